"""How often an HTTP client may ask (tokens for each address, bounded in number), and how much it may send."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

CLIENTS = 4096  # addresses remembered; the longest silent one is forgotten first


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, after a burst."""

    per_s: float
    burst: int


class RateLimit:
    """Threads may share it. clock: seconds that never go back."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()  # owns _buckets
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, at this time

    def admit(self, client: str) -> bool:
        """Take one token of this client; False when it has none left."""
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.pop(client, (float(self._rate.burst), now))
            tokens = min(self._rate.burst, tokens + (now - since) * self._rate.per_s)
            admitted = tokens >= 1
            self._buckets[client] = (tokens - admitted, now)
            if len(self._buckets) > CLIENTS:
                self._buckets.popitem(last=False)
        return admitted


async def read_body(request: Request, most: int) -> bytes | None:
    """Return the body, None as soon as it is longer than `most` bytes."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)
