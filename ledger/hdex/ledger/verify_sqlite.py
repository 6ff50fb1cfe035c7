"""A participant's log as its files hold it, opened without the right to change it: for audits of a folder."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.merkle import HASH_SIZE
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.tiles import WIDTH

GONE = (b"", bytes(32))
_ENTRIES = "SELECT position, CAST(body AS BLOB) FROM leaf ORDER BY position"
_TILE = "SELECT hashes FROM tile WHERE number = ?"  # of level 0: its number alone
_COSIGNED = "SELECT note FROM note WHERE kind = 'cosigned' ORDER BY number"


class LogFile:
    """One log in one SQLite file. Everything is read as of one moment, while its node may go on writing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._number, self._tile = -1, b""

    def size(self) -> int:
        """Return how many entries there are."""
        return int(self._all("SELECT count(*) FROM leaf")[0])

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries from index 0 with the leaf hash each was stored under; one that is gone is empty."""
        with _readable():
            expected = 0
            for position, body in self._connection.execute(_ENTRIES):
                yield from (GONE for _ in range(expected, position))
                yield bytes(body), self._told(position)
                expected = position + 1

    def _told(self, position: int) -> bytes:
        """Return the leaf hash that the tiles hold of an entry; a tile is read once."""
        number, place = divmod(position, WIDTH)
        if number != self._number:
            found = self._connection.execute(_TILE, (number,)).fetchone()
            self._number, self._tile = number, bytes(found[0]) if found else b""
        return self._tile[HASH_SIZE * place : HASH_SIZE * (place + 1)]

    def head(self) -> str | None:
        """Return the newest signed head."""
        return next(iter(self._all("SELECT note FROM head")), None)

    def cosigned(self) -> list[str]:
        """Return the cosigned checkpoints, oldest first."""
        return self._all(_COSIGNED)

    def origin(self) -> str:
        """Return the origin that the newest head names. Raises EvidenceUnreadable when there is none."""
        try:
            return parse_checkpoint(self.head() or "").origin
        except NoteInvalid as error:
            raise EvidenceUnreadable("the log's file holds no head that can be read") from error

    def _all(self, sql: str) -> list[str]:
        with _readable():
            return [str(row[0]) for row in self._connection.execute(sql)]


def shard_files(path: Path) -> list[Path]:
    """Return the shards of a participant's data folder, oldest first, or the one file. Raises EvidenceUnreadable."""
    files = [path] if path.is_file() else [path / "log.db", *sorted(path.glob("log-????.db"))]
    if not files[0].is_file():
        raise EvidenceUnreadable(f"{path} holds no log: a participant's data folder with log.db is asked")
    return files


@contextmanager
def open_log(file: Path) -> Iterator[LogFile]:
    """Open the file of one shard. Raises EvidenceUnreadable."""
    with _readable(), closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        yield LogFile(connection)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise EvidenceUnreadable(f"the log's file cannot be read: {error}") from error
