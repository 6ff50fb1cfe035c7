"""The SQLite files of a data folder: opened to read only, and looked at before a participant starts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hdex.node.errors import DatabaseDamaged, NotFound, PeerUnavailable

BUSY_S = 1.0
# What the other of the two must stand beside once it holds records: a lost one is not made anew.
TOGETHER = (("documents.db", "documents", "log.db"), ("log.db", "leaf", "documents.db"))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database without the right to change it.

    Raises NotFound for a missing one, PeerUnavailable for one that its process keeps to itself, DatabaseDamaged.
    """
    if not path.exists():
        raise NotFound(f"the database {path} is not there")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as opened:
            yield opened
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise PeerUnavailable(f"the database {path} is in use by its process") from error
        raise DatabaseDamaged(f"the database {path} cannot be read: {error}") from error


def require_whole(folder: Path) -> None:
    """Raise DatabaseDamaged when a database of a data folder is no database, or one is gone while its pair has records.

    An empty folder is a first start. Contents are verified by who owns them: the log verifies its tree when it opens.
    """
    for path in sorted(folder.glob("*.db")):
        with reading(path) as opened:
            opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
    for name, table, pair in TOGETHER:
        if not (folder / pair).exists() and holds_records(folder / name, table):
            raise DatabaseDamaged(f"{folder / pair} is gone while {name} has records: restore the last backup")


def holds_records(path: Path, table: str) -> bool:
    """Return whether a table of a database has a row; a database that is not there has none."""
    if not path.exists():
        return False
    with reading(path) as opened:
        known = opened.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        return known is not None and opened.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608  # a name from TOGETHER
