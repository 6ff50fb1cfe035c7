"""The anchor's outbox in SQLite: at most two rows, durable on return.

No nonce is kept: the chain is asked for it, so a crash between sending and writing down leaves no gap.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.ports import Head, Outbox, TxRef

SCHEMA = """
CREATE TABLE IF NOT EXISTS head (
  state TEXT PRIMARY KEY CHECK (state IN ('waiting', 'anchored')),
  size INTEGER NOT NULL, root BLOB NOT NULL, note_hash BLOB NOT NULL, tx BLOB, block INTEGER, since TEXT
) WITHOUT ROWID
"""
Row = tuple[int, bytes, bytes, bytes, int | None, str | None]


class SqliteOutbox:
    """One file of one node; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # owns the connection
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(SCHEMA)
            if "since" not in {row[1] for row in self._db.execute("PRAGMA table_info(head)")}:
                self._db.execute("ALTER TABLE head ADD COLUMN since TEXT")  # a file of an earlier version
        except (sqlite3.DatabaseError, UnicodeError) as error:
            self._db.close()
            raise StoreCorrupt(f"the outbox {path} cannot be read: {error}") from error

    def put(self, head: Head) -> None:
        with self._transaction() as db:
            since = None if head.since is None else head.since.isoformat()
            row = ("waiting", head.size, head.root, head.note_hash, None, None, since)
            db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM head WHERE state = 'anchored' AND size >= ?", (head.size,))

    def waiting(self) -> Head | None:
        row = self._row("waiting")
        return None if row is None else head_of(row)

    def done(self, head: Head, tx: TxRef) -> None:
        with self._transaction() as db:
            row = ("anchored", head.size, head.root, head.note_hash, tx.tx, tx.block, None)
            db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM head WHERE state = 'waiting' AND size = ? AND root = ?", (head.size, head.root))

    def anchored(self) -> tuple[Head, TxRef] | None:
        row = self._row("anchored")
        return None if row is None else (head_of(row), TxRef(row[3], row[4]))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _row(self, state: str) -> Row | None:
        with self._lock, _translated():
            query = "SELECT size, root, note_hash, tx, block, since FROM head WHERE state = ?"
            row: Row | None = self._db.execute(query, (state,)).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeError) as error:
        raise StoreCorrupt(f"the outbox cannot be read or written: {type(error).__name__}") from error


def head_of(row: Row) -> Head:
    """Return the head that a row holds. Raises StoreCorrupt for a row that was never written so."""
    size, root, note_hash, *_, since = row
    if type(size) is not int or [type(one) for one in (root, note_hash)] != [bytes, bytes]:
        raise StoreCorrupt("a row of the outbox holds something else than it was written with")
    try:
        return Head(size, root, note_hash, None if since is None else datetime.fromisoformat(since))
    except (TypeError, ValueError) as error:
        raise StoreCorrupt("a row of the outbox holds something else than it was written with") from error


_: type[Outbox] = SqliteOutbox
