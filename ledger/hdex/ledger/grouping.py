"""Many callers, one write: whoever finds nobody writing writes for all who wait."""

from collections.abc import Callable, Sequence
from threading import Condition
from typing import Generic, TypeVar

from hdex.ledger.errors import LogFailed

Item = TypeVar("Item")


class _Batch(Generic[Item]):
    """One caller's items on their way. Owner: the condition of its Grouped."""

    __slots__ = ("done", "error", "items")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.done = False
        self.error: Exception | None = None


class Grouped(Generic[Item]):
    """Calls `write` with the items of everybody who waits, one call at a time, in the order in which they came."""

    def __init__(self, write: Callable[[Sequence[Item]], None]) -> None:
        self._write = write
        self._turn = Condition()  # guards the two below
        self._queue: list[_Batch[Item]] = []
        self._writing = False

    def add(self, items: Sequence[Item]) -> None:
        """Return once these items are written; raise what the write of their group raised."""
        mine = _Batch(items)
        with self._turn:
            self._queue.append(mine)
            self._turn.wait_for(lambda: mine.done or not self._writing)
            if mine.done:
                return self._answer(mine)
            self._writing = True
            group, self._queue = self._queue, []
        self._write_group(group)
        return self._answer(mine)

    def _write_group(self, group: list[_Batch[Item]]) -> None:
        error: Exception | None = LogFailed("the writer was interrupted")  # whatever ends it
        try:
            self._write([item for batch in group for item in batch.items])
            error = None
        except Exception as caught:  # handed to everybody whose items were in the group
            error = caught
        finally:
            with self._turn:
                for batch in group:
                    batch.done, batch.error = True, error
                self._writing = False
                self._turn.notify_all()

    @staticmethod
    def _answer(mine: _Batch[Item]) -> None:
        if mine.error is not None:
            raise mine.error
