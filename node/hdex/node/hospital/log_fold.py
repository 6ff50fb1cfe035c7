"""Reading on in a log of many years: every entry once, in order, and all of them again where a year has begun."""

from collections.abc import Callable, Sequence

from hdex.ledger.log import Log

SLICE = 1024  # entries read at once
Take = Callable[[bytes, str, int], None]  # an entry, the origin of its shard, its index there


class LogFold:
    """Hands the entries of a log to whoever counts them. Not safe between threads: the counter's own lock guards it."""

    def __init__(self, log: Log, past: Callable[[], Sequence[Log]], *, clear: Callable[[], None], take: Take) -> None:
        """past: opens the finished shards of the log; they are closed here once they are read.

        clear: forget what was taken, since all entries follow again.
        """
        self._log, self._past, self._clear, self._take = log, past, clear, take
        self._origin, self._read = "", 0  # how far the shard that is written now is read

    def read(self) -> None:
        """Read what the log has gained; all of it at the start, and where a year has begun, even meanwhile."""
        while self._origin != (origin := self._log.origin):
            self._clear()
            for shard in self._past():
                self._read_on(shard, 0)
                shard.close()
            self._origin, self._read = origin, 0
        self._read = self._read_on(self._log, self._read)
        if self._log.origin != self._origin:
            self.read()

    def _read_on(self, log: Log, start: int) -> int:
        """Take the entries from `start` to the end, and return where that is."""
        origin, size = log.origin, log.size
        for begin in range(start, size, SLICE):
            for index, leaf in enumerate(log.entries(begin, min(begin + SLICE, size)), begin):
                self._take(leaf, origin, index)
        return max(start, size)
