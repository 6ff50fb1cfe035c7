"""Which papers of a contract a party has just read: the same reading again tells nothing new and is no second event.

A page that follows a contract asks every two seconds. One event for each would bury those that tell something, and an
event for a reading that brought nothing says nothing. So a reading is remembered when its content differs from what the
same certificate read last, or when that is AGAIN_S ago: the log still says who read what, and that somebody kept
looking.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from hdex.node.identity import Identity
from hdex.node.signed import digest

AGAIN_S = 600.0
MOST = 4096  # readings that are known; the oldest is forgotten, and would be one event more


class Looks:
    """The last reading of each certificate and subject. Every thread may ask. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, int, str], tuple[str, float]] = OrderedDict()

    def once(self, actor: Identity, subject: str, content: Any, remember: Callable[[], object]) -> None:
        """Have a reading remembered unless the same was a short while ago; what cannot be remembered raises.

        content: what is told, of JSON's types.
        """
        key, told = (actor.spiffe_id, actor.serial, subject), digest(content)
        with self._lock:
            last, at = self._last.get(key, ("", 0.0))
            if last == told and self._clock() - at < AGAIN_S:
                return
        remember()
        with self._lock:
            self._last[key] = (told, self._clock())
            self._last.move_to_end(key)
            while len(self._last) > MOST:
                self._last.popitem(last=False)
