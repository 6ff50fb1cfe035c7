"""Which studies run now: each once at a time, several side by side; everybody who asked hears how far they are."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MOST = 8  # studies at once: each is a process; one that waits for a site must not hold up the others
Say = Callable[[str, str], None]


@dataclass(slots=True)
class Run:
    """One study: who listens, what was said last, and the lock that only one run of it holds."""

    listeners: list[Say] = field(default_factory=list)
    last: tuple[str, str] | None = None
    running: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, step: str, words: str) -> None:
        """Say a step to everybody who listens."""
        self.last = (step, words)
        for listener in list(self.listeners):
            listener(step, words)


class Runs:
    """The runs of one exchange."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the map
        self._runs: dict[str, Run] = {}
        self._room = threading.BoundedSemaphore(MOST)

    @contextmanager
    def join(self, study_id: str, say: Say) -> Iterator[Say]:
        """Wait until no other run of this study is left, listening to it meanwhile; yield what tells all listeners."""
        with self._lock:
            run = self._runs.setdefault(study_id, Run())
            run.listeners.append(say)
        if run.last is not None:
            say(*run.last)
        try:
            with run.running, self._room:
                yield run.tell
        finally:
            with self._lock:
                run.listeners.remove(say)
                if not run.listeners:
                    self._runs.pop(study_id, None)
