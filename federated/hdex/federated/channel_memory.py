"""Channels inside one process: answered at once, or by a thread per site; with a script of faults."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hdex.federated.errors import FrameInvalid, SiteLost
from hdex.federated.ports import Channel

Handler = Callable[[bytes], bytes]


class FaultKind(Enum):
    """What may happen to a frame."""

    DROP = "drop"
    DELAY = "delay"  # arrives when the next frame of the same direction passes
    DUPLICATE = "duplicate"
    CORRUPT = "corrupt"  # one byte differs
    REORDER = "reorder"  # overtakes what waits
    CRASH = "crash"  # the caller dies with `error`
    GONE = "gone"  # the site is not connected for this send; a reply is lost


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the `at`-th frame (from 1) in one direction, over all sites or one."""

    direction: str  # "send" (to a site) or "reply" (from a site)
    at: int
    kind: FaultKind
    site: str | None = None
    error: BaseException | None = None


class FaultScript:
    """Applies faults by counting frames per direction and site."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._seen: dict[tuple[str, str | None], int] = {}
        self._held: dict[str, list[tuple[str, bytes]]] = {}

    def find(self, direction: str, site: str) -> Fault | None:
        """Count one frame and return the fault it meets."""
        for name in (None, site):
            self._seen[direction, name] = self._seen.get((direction, name), 0) + 1
        for fault in self._faults:
            mine = fault.direction == direction and fault.site in (None, site)
            if mine and self._seen[direction, fault.site] == fault.at:
                return fault
        return None

    def pass_frame(self, direction: str, site: str, frame: bytes) -> list[tuple[str, bytes]]:
        """Return the frames that go through now, in order; raise the fault's error on a crash."""
        fault = self.find(direction, site)
        released = self._held.pop(direction, [])
        if fault is None:
            return [(site, frame), *released]
        if fault.kind is FaultKind.CRASH:
            raise fault.error if fault.error is not None else SystemError("scripted crash")
        if fault.kind is FaultKind.GONE and direction == "send":
            raise SiteLost(f"{site} is not connected")
        return released + self._altered(fault.kind, direction, site, frame)

    def _altered(self, kind: FaultKind, direction: str, site: str, frame: bytes) -> list[tuple[str, bytes]]:
        if kind is FaultKind.DELAY:
            self._held[direction] = [(site, frame)]
            return []
        if kind is FaultKind.DUPLICATE:
            return [(site, frame), (site, frame)]
        if kind is FaultKind.CORRUPT:
            middle = len(frame) // 2
            return [(site, frame[:middle] + bytes([frame[middle] ^ 1]) + frame[middle + 1 :])]
        return [(site, frame)] if kind is FaultKind.REORDER else []


class MemoryChannel:
    """Each send is answered at once in the caller's thread; replies wait in order."""

    def __init__(self, handlers: Mapping[str, Handler], *, faults: Sequence[Fault] = ()) -> None:
        self._handlers = dict(handlers)
        self._script = FaultScript(faults)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self.bytes_from: dict[str, int] = dict.fromkeys(handlers, 0)  # frames of each site, whole
        self.bytes_to: dict[str, int] = dict.fromkeys(handlers, 0)

    def sites(self) -> set[str]:
        """Return all sites."""
        return set(self._handlers)

    def send(self, site: str, frame: bytes) -> None:
        """Let the site answer."""
        if site not in self._handlers:
            raise SiteLost(f"{site} is not connected")
        for target, passed in self._script.pass_frame("send", site, frame):
            self.bytes_to[target] += len(passed)
            self._answer(target, passed)

    def _answer(self, site: str, frame: bytes) -> None:
        try:
            reply = self._handlers[site](frame)
        except FrameInvalid:
            return
        self.bytes_from[site] += len(reply)
        self._waiting.extend(self._script.pass_frame("reply", site, reply))

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        """Return the oldest reply; there is nothing to wait for."""
        if not self._waiting:
            raise TimeoutError("no reply waits")
        return self._waiting.popleft()


class ThreadChannel:
    """Each site answers in a thread of its own, as separate processes would."""

    def __init__(self, handlers: Mapping[str, Handler], *, faults: Sequence[Fault] = ()) -> None:
        self._script = FaultScript(faults)
        self._lock = threading.Lock()  # guards the script
        self._inbox: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._outboxes: dict[str, queue.Queue[bytes | None]] = {site: queue.Queue() for site in handlers}
        self._threads = [
            threading.Thread(target=self._serve, args=(site, handler), name=f"site {site}", daemon=True)
            for site, handler in handlers.items()
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self, site: str, handler: Handler) -> None:
        while (frame := self._outboxes[site].get()) is not None:
            try:
                reply = handler(frame)
            except FrameInvalid:
                continue
            with self._lock:
                passed = self._script.pass_frame("reply", site, reply)
            for entry in passed:
                self._inbox.put(entry)

    def sites(self) -> set[str]:
        """Return all sites."""
        return set(self._outboxes)

    def send(self, site: str, frame: bytes) -> None:
        """Queue the frame for the site's thread."""
        if site not in self._outboxes:
            raise SiteLost(f"{site} is not connected")
        with self._lock:
            passed = self._script.pass_frame("send", site, frame)
        for target, data in passed:
            self._outboxes[target].put(data)

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        """Return the next reply."""
        try:
            return self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        except queue.Empty as error:
            raise TimeoutError("no reply in time") from error

    def close(self) -> None:
        """End the sites' threads."""
        for outbox in self._outboxes.values():
            outbox.put(None)
        for thread in self._threads:
            thread.join()


_memory: type[Channel] = MemoryChannel
_thread: type[Channel] = ThreadChannel
