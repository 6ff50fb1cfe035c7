"""The shards of one participant as files of a folder: `log.db`, the first, then `log-<year>.db` for each later year.

The newest shard is written, the others are read. When the year of the clock is past that of the shard, the next append
begins a new file; a clock that goes back begins nothing.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.log import Log, Successor
from hdex.ledger.note import Signer, parse_checkpoint
from hdex.ledger.shard import link_to, origin_of, parse_origin, require_continued
from hdex.ledger.store_sqlite import SqliteLogStore

FIRST = "log.db"
_LATER = re.compile(r"log-([0-9]{4})\.db", re.ASCII)


class Shards:
    """One participant's log over the years."""

    def __init__(
        self, folder: Path, node: str, *, signer: Callable[[str], Signer], clock: Callable[[], datetime],
        retired: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:  # fmt: skip
        """Look into `folder`. signer: origin -> the signer of that shard; retired: public keys that signed before."""
        self._folder, self._node, self._retired = folder, node, retired
        self._signer, self._clock = signer, clock

    def open(self) -> Log:
        """Return the log that is written now; it goes on with a new shard by itself when a year has begun.

        Raises StoreCorrupt when a shard is not what was signed, or does not continue the one before it.
        """
        files = self.files()
        if not files:
            origin = origin_of(self._node, self._clock().year)
            return Log(SqliteLogStore(self._folder / FIRST), origin, self._signer(origin), following=self._following)
        newest = max(files)
        origin, store = origin_of(self._node, newest), SqliteLogStore(files[newest])
        log = Log(store, origin, self._signer(origin), following=self._following, retired=self._retired())
        self._require_link(files, newest, log)
        return log

    def past(self) -> list[Log]:
        """Return the finished shards, oldest first, opened and verified. The caller closes them."""
        years = sorted(self.files())[:-1]
        return [self.read(year) for year in years]

    def read(self, year: int) -> Log:
        """Return one shard. Raises StoreCorrupt when there is none of this year."""
        files = self.files()
        if year not in files:
            raise StoreCorrupt(f"there is no shard of {year}; there are {', '.join(map(str, sorted(files))) or 'none'}")
        origin = origin_of(self._node, year)
        return Log(SqliteLogStore(files[year]), origin, self._signer(origin), retired=self._retired())

    def files(self) -> dict[int, Path]:
        """Return year -> file of every shard that has begun."""
        return self.years(self._folder)

    @staticmethod
    def years(folder: Path) -> dict[int, Path]:
        """Return year -> file of every shard in a folder; an empty file is a shard whose first write failed.

        Raises StoreCorrupt when a file holds the shard of another year than its name says.
        """
        paths = [path for path in folder.glob("log*.db") if path.name == FIRST or _LATER.fullmatch(path.name)]
        begun = {path: head for path in paths if (head := head_of(path)) is not None}
        found = {parse_origin(parse_checkpoint(head).origin)[1]: path for path, head in begun.items()}
        wrong = [path for year, path in found.items() if path.name not in {FIRST, _name(year)}]
        if wrong or len(found) != len(begun):
            raise StoreCorrupt("the files of a log hold another year than their names say, or one year twice")
        return found

    def _following(self, head: str) -> Successor | None:
        _, year = parse_origin(parse_checkpoint(head).origin)
        now = self._clock()
        if now.year <= year:
            return None
        store = SqliteLogStore(self._folder / _name(now.year))
        return Successor(store, self._signer(origin_of(self._node, now.year)), link_to(head, now))

    def _require_link(self, files: dict[int, Path], newest: int, log: Log) -> None:
        before = max((year for year in files if year < newest), default=None)
        if before is None:
            return
        head = head_of(files[before])
        if head is None:
            raise StoreCorrupt(f"the shard of {before} is gone")
        require_continued(head, log.entries(0, 1)[0], log.public_key, *self._retired())


def head_of(path: Path) -> str | None:
    """Return the newest head of a shard's file, None while it has no entry."""
    store = SqliteLogStore(path)
    try:
        return store.load()[2]
    finally:
        store.close()


def _name(year: int) -> str:
    return f"log-{year}.db"
