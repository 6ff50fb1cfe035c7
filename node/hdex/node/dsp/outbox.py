"""The outbox: messages leave in the order in which their process wrote them, again and again until they are taken.

A message counts as refused only when the other side says so with a status of 400 and its own state is not the one the
message leads to: our first attempt may have arrived although its answer was lost.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import shown_path, state_of
from hdex.node.dsp.ports import Answer, Courier, Outgoing, Processes
from hdex.node.errors import AccessDenied, NodeError, PeerUnavailable

logger = logging.getLogger(__name__)
WORKERS = 8
IDLE_S = 30.0
PASSING = frozenset({404, 408, 425, 429})  # may be another answer soon; so may every 5xx
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on: the first pause, the longest, how often a refusal is asked again, when all is given up."""

    first_s: float = 0.5
    longest_s: float = 300.0
    refusals: int = 3
    give_up_s: float = 7 * 86400.0

    def pause(self, attempts: int) -> timedelta:
        """Return the pause after so many failed attempts: doubled each time."""
        return timedelta(seconds=min(self.longest_s, self.first_s * 2 ** min(attempts, 30)))

    def spent(self, attempts: int) -> bool:
        """Return whether the pauses of so many attempts exceed the time that is given."""
        doubling = range(min(attempts, 400))
        return sum(self.pause(n).total_seconds() for n in doubling) > self.give_up_s or attempts > len(doubling)


DRAIN_S = 0.05


class Outbox:
    """Delivers what waits. `run` is the body of one thread; slow peers hold up nobody but themselves."""

    def __init__(
        self, connector: Connector, processes: Processes, courier: Courier, *,
        patience: Patience, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._connector = connector
        self._processes = processes
        self._courier = courier
        self._patience = patience
        self._clock = clock
        self._busy: set[str] = set()  # owned by the thread of `run`, and by `done` under _lock
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop`, which whoever sets it follows by setting the connector's `wake`."""
        with ThreadPoolExecutor(WORKERS, "dsp-outbox") as pool:
            while not stop.is_set():
                self._connector.wake.clear()
                for outgoing in self._ready():
                    future = pool.submit(self.attempt, outgoing)
                    future.add_done_callback(self._done(outgoing.pid))
                self._connector.wake.wait(self._idle_s())

    def flush(self) -> int:
        """Try once what may be tried now, in this thread; return how many messages were tried."""
        ready = self._processes.waiting(self._clock())
        for outgoing in ready:
            self.attempt(outgoing)
        return len(ready)

    def drain(self, longest_s: float) -> bool:
        """Wait until `run` has sent what may be sent now, `longest_s` at most; return whether nothing is left."""
        pause, waited = threading.Event(), 0.0
        while self._processes.waiting(self._clock()) and waited < longest_s:
            self._connector.wake.set()
            pause.wait(DRAIN_S)
            waited += DRAIN_S
        return not self._processes.waiting(self._clock())

    def attempt(self, outgoing: Outgoing) -> None:
        """Try one message once and say what became of it."""
        process = outgoing.before
        try:
            answer = self._courier.post(process.peer, process.address + outgoing.path, outgoing.document)
        except PeerUnavailable as error:
            self._again(outgoing, str(error))
        except AccessDenied as error:
            self._connector.undeliverable(outgoing, str(error))
        else:
            self._judge(outgoing, answer)

    def _judge(self, outgoing: Outgoing, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            self._connector.delivered(outgoing, answer)
        elif answer.status in PASSING or answer.status >= 500:
            self._again(outgoing, told(answer))
        elif outgoing.attempts and self._arrived(outgoing):
            self._connector.delivered(outgoing, Answer(200, {}))
        else:
            self._again(outgoing, told(answer), refused=True)

    def _again(self, outgoing: Outgoing, reason: str, *, refused: bool = False) -> None:
        attempts, refusals = outgoing.attempts + 1, outgoing.refusals + refused
        if refusals >= self._patience.refusals or self._patience.spent(attempts):
            logger.warning("message given up", extra={"pid": outgoing.pid, "attempts": attempts})
            self._connector.undeliverable(outgoing, reason)
            return
        self._processes.postpone(outgoing, self._clock() + self._patience.pause(outgoing.attempts), refused=refused)

    def _arrived(self, outgoing: Outgoing) -> bool:
        """Return whether the other side stands where the message leads: then an earlier attempt has arrived."""
        process = self._connector.process(outgoing.pid)
        if process.version != outgoing.after or not process.peer_pid:
            return False
        try:
            answer = self._courier.get(process.peer, process.address + shown_path(process))
        except NodeError:
            return False
        return answer.status == 200 and state_of(answer.document) == process.state

    def _ready(self) -> list[Outgoing]:
        with self._lock:
            ready = [one for one in self._processes.waiting(self._clock()) if one.pid not in self._busy]
            self._busy.update(one.pid for one in ready)
        return ready

    def _idle_s(self) -> float:
        now = self._clock()
        next_try = self._processes.next_try(now)  # what is due already is under way: its end wakes us
        return IDLE_S if next_try is None else min(IDLE_S, (next_try - now).total_seconds())

    def _done(self, pid: str) -> Callable[["Future[None]"], None]:
        def done(future: "Future[None]") -> None:
            with self._lock:
                self._busy.discard(pid)
            if error := future.exception():  # our own log or disk: tried again when the loop next looks
                logger.error("a message could not be handled", exc_info=error, extra={"pid": pid})
            else:
                self._connector.wake.set()

        return done


def told(answer: Answer) -> str:
    """Return what the other side said of its refusal, cut."""
    reasons = answer.document.get("reason")
    first = reasons[0] if isinstance(reasons, list) and reasons else ""
    text = first if isinstance(first, str) else ""
    return f"the other side answered {answer.status}" + (f": {text}"[:LONGEST_REASON] if text else "")
