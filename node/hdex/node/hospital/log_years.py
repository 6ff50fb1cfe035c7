"""A node's log of all years, each with an index beside it that is made anew when it is lost: the log alone counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hdex.ledger.event import Event, parse
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.shard import parse_origin

BATCH = 1000  # entries indexed at once


@dataclass(frozen=True, slots=True)
class Year:
    """One shard of the log. Its entries have a number over all years too: `first` and their index in the shard."""

    log: Log
    origin: str
    index: SqliteEventIndex
    first: int

    @property
    def year(self) -> int:
        """The year whose events it holds."""
        return parse_origin(self.origin)[1]

    def event(self, position: int) -> Event:
        """Return one of its events."""
        (entry,) = self.log.entries(position, position + 1)
        return parse(entry)


class LogYears:
    """Not safe between threads: the reader's own lock guards it. Finished shards stay open until a year begins."""

    def __init__(self, log: Log, past: Callable[[], Sequence[Log]], folder: Path) -> None:
        """past: opens the finished shards of the log, oldest first. folder: of the indexes."""
        self._log, self._past, self._folder = log, past, folder
        self._years: list[Year] = []

    def read(self) -> list[Year]:
        """Return every year, oldest first, its index with every durable entry in it. The last one is written now."""
        while not self._years or self._years[-1].origin != self._log.origin:
            self._close()
            origin = self._log.origin  # before the finished ones: a year that ends meanwhile is seen as one of them
            for shard in (*self._past(), self._log):
                self._open(shard, origin if shard is self._log else shard.origin)
        catch_up(self._years[-1])
        return self._years

    def _open(self, log: Log, origin: str) -> None:
        index = SqliteEventIndex.fresh(self._folder / f"accesses-{parse_origin(origin)[1]}.index")
        first = self._years[-1].first + self._years[-1].log.size if self._years else 0
        self._years.append(Year(log, origin, index, first))
        catch_up(self._years[-1])

    def _close(self) -> None:
        for one in self._years:
            one.index.close()
            if one.log is not self._log:
                one.log.close()
        self._years = []


def catch_up(year: Year) -> None:
    """Index what the log has gained."""
    size = year.log.size
    for start in range(year.index.size(), size, BATCH):
        year.index.add(start, [parse(entry) for entry in year.log.entries(start, min(start + BATCH, size))])


def whose(years: Sequence[Year], number: int) -> Year:
    """Return the year that holds an entry, by its number over all years."""
    return next(one for one in reversed(years) if one.first <= number)
