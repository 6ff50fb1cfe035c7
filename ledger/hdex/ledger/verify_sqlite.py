"""A participant's log as its files hold it, opened without the right to change it: for audits of a folder."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.note import parse_checkpoint

GONE = (b"", bytes(32))
_ENTRIES = "SELECT position, CAST(body AS BLOB), CAST(hash AS BLOB) FROM leaf ORDER BY position"
_COSIGNED = "SELECT note FROM note WHERE kind = 'cosigned' ORDER BY number"


class LogFile:
    """One log in one SQLite file. Everything is read as of one moment, while its node may go on writing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def size(self) -> int:
        """Return how many entries there are."""
        return int(self._all("SELECT count(*) FROM leaf")[0])

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries from index 0 with the leaf hash each was stored under; one that is gone is empty."""
        with _readable():
            expected = 0
            for position, body, leaf in self._connection.execute(_ENTRIES):
                yield from (GONE for _ in range(expected, position))
                yield bytes(body), bytes(leaf)
                expected = position + 1

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


@contextmanager
def open_log(path: Path) -> Iterator[LogFile]:
    """Open a log's file, or the log in a participant's data folder. Raises EvidenceUnreadable."""
    file = path / "log.db" if path.is_dir() else path
    if not file.is_file():
        raise EvidenceUnreadable(f"{path} holds no log: a participant's data folder with log.db is asked")
    with _readable(), closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        yield LogFile(connection)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise EvidenceUnreadable(f"the log's file cannot be read: {error}") from error
