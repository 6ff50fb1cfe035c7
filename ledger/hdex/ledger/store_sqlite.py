"""The stores in SQLite: WAL and synchronous=FULL, so that a commit that returned is on disk.

One connection writes and one reads: when the disk is full the writer fails and reading goes on. A failed write is never
tried again on the same connection (a failed fsync may have dropped what it could not write): reopen and verify.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from hdex.ledger.errors import LogConflict, LogFailed, StoreCorrupt
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.ports import LogStore, WitnessStore

_LOG = """
CREATE TABLE IF NOT EXISTS leaf (position INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS head (only INTEGER PRIMARY KEY CHECK (only = 0), note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS note (number INTEGER PRIMARY KEY, kind TEXT, note TEXT, UNIQUE (kind, note));
"""
_WITNESS = """
CREATE TABLE IF NOT EXISTS latest (origin TEXT PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mirror (origin TEXT, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (origin, position))
    WITHOUT ROWID;
"""
_PUT_HEAD = "INSERT INTO head VALUES (0, ?) ON CONFLICT (only) DO UPDATE SET note = excluded.note"
_PUT_LATEST = "INSERT INTO latest VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note"


class _Database:
    """A writer and a reader on one file, each behind its lock."""

    def __init__(self, path: Path, schema: str) -> None:
        self._failed = False
        try:
            self._writer = self._connect(path)
            self._writer.executescript(schema)
            self._reader = self._connect(path)
        except sqlite3.DatabaseError as error:
            raise _translate(error, "opened") from error
        self._write_lock, self._read_lock = Lock(), Lock()

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
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
            except sqlite3.Error as error:
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
            except sqlite3.Error as error:
                raise _translate(error, "read") from error

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return all rows."""
        with self.snapshot() as connection:
            return connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


class SqliteLogStore:
    """A log in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._database = _Database(path, _LOG)

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        """Insert all leaves and the head in one transaction."""
        rows = [(first + i, leaf_hash(leaf), leaf) for i, leaf in enumerate(leaves)]
        with self._database.transaction() as connection:
            stored = _count(connection.execute("SELECT max(position) FROM leaf").fetchall())
            if stored != first:
                raise LogConflict(f"{stored} entries are stored, the writer knows {first}")
            connection.executemany("INSERT INTO leaf VALUES (?, ?, ?)", rows)
            connection.execute(_PUT_HEAD, (head,))

    def read(self, start: int, stop: int) -> list[bytes]:
        """Read bodies in order."""
        sql = "SELECT body FROM leaf WHERE position >= ? AND position < ? ORDER BY position"
        return [_blob(row[0]) for row in self._database.query(sql, start, stop)]

    def load(self) -> tuple[list[bytes], str | None]:
        """Read the hash column and the head in one read transaction."""
        with self._database.snapshot() as connection:
            hashes = [_blob(row[0]) for row in connection.execute("SELECT hash FROM leaf ORDER BY position")]
            return hashes, _only_text(connection.execute("SELECT note FROM head").fetchall())

    def size(self) -> int:
        """Return one more than the last position."""
        return _count(self._database.query("SELECT max(position) FROM leaf"))

    def put_note(self, kind: str, note: str) -> None:
        """Insert once."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO note (kind, note) VALUES (?, ?)", (kind, note))

    def notes(self, kind: str) -> list[str]:
        """Read in insertion order."""
        return [
            str(row[0]) for row in self._database.query("SELECT note FROM note WHERE kind = ? ORDER BY number", kind)
        ]

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class SqliteWitnessStore:
    """What a witness remembers, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._database = _Database(path, _WITNESS)

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned note."""
        return _only_text(self._database.query("SELECT note FROM latest WHERE origin = ?", origin))

    def mirror(self, origin: str) -> list[bytes]:
        """Read the leaf hashes in order."""
        sql = "SELECT hash FROM mirror WHERE origin = ? ORDER BY position"
        return [_blob(row[0]) for row in self._database.query(sql, origin)]

    def advance(self, origin: str, expected: str | None, note: str, leaf_hashes: Sequence[bytes]) -> bool:
        """Compare and swap inside one immediate transaction."""
        with self._database.transaction() as connection:
            found = _only_text(connection.execute("SELECT note FROM latest WHERE origin = ?", (origin,)).fetchall())
            if found != expected:
                return False
            sql = "SELECT max(position) FROM mirror WHERE origin = ?"
            first = _count(connection.execute(sql, (origin,)).fetchall())
            rows = [(origin, first + i, value) for i, value in enumerate(leaf_hashes)]
            connection.executemany("INSERT INTO mirror VALUES (?, ?, ?)", rows)
            connection.execute(_PUT_LATEST, (origin, note))
            return True

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _translate(error: sqlite3.Error, what: str) -> LogFailed | StoreCorrupt:
    """Return our error: damage is damage, everything else is a store that does not do its work."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or "malformed" in str(error):
        return StoreCorrupt(f"the store is damaged and cannot be {what}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return LogFailed(f"the store cannot be {what}: {name}")


def _count(rows: Sequence[tuple[object, ...]]) -> int:
    last = rows[0][0]
    return 0 if last is None else int(str(last)) + 1


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise StoreCorrupt("a stored field is of another type than it was written with")
    return value


def _only_text(rows: Sequence[tuple[object, ...]]) -> str | None:
    return str(rows[0][0]) if rows else None


_log: type[LogStore] = SqliteLogStore
_witness: type[WitnessStore] = SqliteWitnessStore
