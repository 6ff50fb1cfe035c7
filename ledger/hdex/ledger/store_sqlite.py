"""A log and what a witness remembers, each in one SQLite file."""

from collections.abc import Sequence
from pathlib import Path

from hdex.ledger.database import Database, blob
from hdex.ledger.errors import LogConflict
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


class SqliteLogStore:
    """A log in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _LOG)

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
        return [blob(row[0]) for row in self._database.query(sql, start, stop)]

    def load(self) -> tuple[list[bytes], str | None]:
        """Read the hash column and the head in one read transaction."""
        with self._database.snapshot() as connection:
            hashes = [blob(row[0]) for row in connection.execute("SELECT hash FROM leaf ORDER BY position")]
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
        self._database = Database(path, _WITNESS)

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned note."""
        return _only_text(self._database.query("SELECT note FROM latest WHERE origin = ?", origin))

    def mirror(self, origin: str) -> list[bytes]:
        """Read the leaf hashes in order."""
        sql = "SELECT hash FROM mirror WHERE origin = ? ORDER BY position"
        return [blob(row[0]) for row in self._database.query(sql, origin)]

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


def _count(rows: Sequence[tuple[object, ...]]) -> int:
    last = rows[0][0]
    return 0 if last is None else int(str(last)) + 1


def _only_text(rows: Sequence[tuple[object, ...]]) -> str | None:
    return str(rows[0][0]) if rows else None


_log: type[LogStore] = SqliteLogStore
_witness: type[WitnessStore] = SqliteWitnessStore
