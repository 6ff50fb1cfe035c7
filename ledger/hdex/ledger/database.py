"""A SQLite file as the stores use it: WAL and synchronous=FULL, so that a commit that returned is on disk.

One connection writes and one reads: when the disk is full the writer fails and reading goes on. A failed write is never
tried again on the same connection (a failed fsync may have dropped what it could not write): reopen and verify.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from hdex.ledger.errors import LogFailed, StoreCorrupt

_FAILURES = (sqlite3.Error, UnicodeError)  # of a damaged file even the message may be no text


class Database:
    """A writer and a reader on one file, each behind its lock."""

    def __init__(self, path: Path, schema: str, *, page_bytes: int = 4096) -> None:
        """Open or create; page_bytes counts for a new file."""
        self._failed = False
        try:
            self._writer = self._connect(path, page_bytes)
            self._writer.executescript(schema)
            self._reader = self._connect(path, page_bytes)
        except _FAILURES as error:
            raise _translate(error, "opened") from error
        self._write_lock, self._read_lock = Lock(), Lock()

    @staticmethod
    def _connect(path: Path, page_bytes: int) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute(f"PRAGMA page_size = {page_bytes:d}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit on leaving, durable; roll back and refuse from then on when anything fails to be written."""
        with self._write_lock:
            if self._failed:
                raise LogFailed("the store failed to write before: reopen it")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except _FAILURES as error:
                self._failed = True
                self._abandon()
                raise _translate(error, "written") from error
            except BaseException:
                self._abandon()
                raise

    def _abandon(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._failed = True

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read as of one moment, whatever is written meanwhile."""
        with self._read_lock:
            try:
                self._reader.execute("BEGIN")
                try:
                    yield self._reader
                finally:
                    self._reader.execute("ROLLBACK")
            except _FAILURES as error:
                raise _translate(error, "read") from error

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return all rows."""
        with self.snapshot() as connection:
            return connection.execute(sql, values).fetchall()

    def truncate_wal(self) -> bool:
        """Move everything into the file and empty the write-ahead log; False while a reader still needs it."""
        with self._write_lock, self._read_lock:
            try:
                busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except _FAILURES as error:
                raise _translate(error, "written") from error
        return not busy

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


def _translate(error: Exception, what: str) -> LogFailed | StoreCorrupt:
    """Return our error: damage is damage, everything else is a store that does not do its work."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    if (
        code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
        or "malformed" in str(error)
        or isinstance(error, UnicodeError)
    ):
        return StoreCorrupt(f"the store is damaged and cannot be {what}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return LogFailed(f"the store cannot be {what}: {name}")


def blob(value: object) -> bytes:
    """Return a field that was written as bytes. Raises StoreCorrupt for any other type."""
    if not isinstance(value, bytes):
        raise StoreCorrupt("a stored field is of another type than it was written with")
    return value
