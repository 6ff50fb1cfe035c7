"""The memory twin of the store of processes."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from hdex.node.dsp.ports import Outgoing, Processes
from hdex.node.dsp.process import Kind, Process
from hdex.node.errors import AlreadyExists, NotFound

AT_ONCE = datetime.min.replace(tzinfo=UTC)


class MemoryProcesses:
    """Processes and outbox in this process's memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # owns both
        self._processes: dict[str, Process] = {}
        self._outbox: dict[int, tuple[Outgoing, datetime]] = {}  # number -> message, not before
        self._numbers = count(1)

    def get(self, pid: str) -> Process:
        try:
            return self._processes[pid]
        except KeyError:
            raise NotFound(f"no process {pid} is recorded here") from None

    def opened_by(self, kind: Kind, peer: str, peer_pid: str) -> Process | None:
        with self._lock:
            found = [p for p in self._processes.values() if (p.kind, p.peer, p.peer_pid) == (kind, peer, peer_pid)]
        return found[0] if found and peer_pid else None

    def open_of(self, peer: str) -> int:
        return sum(process.peer == peer for process in self.live())

    def live(self) -> list[Process]:
        with self._lock:
            return [process for process in self._processes.values() if not process.ended]

    def save(self, process: Process, outgoing: Outgoing | None = None) -> None:
        with self._lock:
            self._put(process)
            if outgoing is not None:
                number = next(self._numbers)
                self._outbox[number] = (replace(outgoing, number=number), AT_ONCE)
            elif process.ended:
                self._outbox = {n: row for n, row in self._outbox.items() if row[0].pid != process.pid}

    def waiting(self, now: datetime) -> list[Outgoing]:
        return [one for one, since in self._heads() if since <= now]

    def next_try(self, now: datetime) -> datetime | None:
        return min((since for _, since in self._heads() if since > now), default=None)

    def postpone(self, outgoing: Outgoing, until: datetime, *, refused: bool) -> None:
        with self._lock:
            if outgoing.number in self._outbox:
                tried, refusals = outgoing.attempts + 1, outgoing.refusals + refused
                self._outbox[outgoing.number] = (replace(outgoing, attempts=tried, refusals=refusals), until)

    def settle(self, outgoing: Outgoing, process: Process | None = None) -> None:
        with self._lock:
            if process is not None:
                self._put(process)
            self._outbox.pop(outgoing.number, None)

    def _heads(self) -> list[tuple[Outgoing, datetime]]:
        with self._lock:
            heads: dict[str, tuple[Outgoing, datetime]] = {}
            for number in sorted(self._outbox):
                heads.setdefault(self._outbox[number][0].pid, self._outbox[number])
        return list(heads.values())

    def _put(self, process: Process) -> None:
        known = self._processes.get(process.pid)
        if known is not None and known.version >= process.version:
            raise AlreadyExists("the process has moved on meanwhile")
        taken = [(p.kind, p.peer, p.peer_pid) for p in self._processes.values() if p.pid != process.pid and p.peer_pid]
        if (process.kind, process.peer, process.peer_pid) in taken:
            raise AlreadyExists("the other side has opened this id already")
        self._processes[process.pid] = process


_: type[Processes] = MemoryProcesses
