"""A log and what a witness remembers, each in one SQLite file."""

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection

from hdex.ledger.database import Database, blob
from hdex.ledger.errors import LogConflict, StoreCorrupt
from hdex.ledger.merkle import HASH_SIZE, leaf_hash
from hdex.ledger.ports import LogStore, WitnessStore
from hdex.ledger.tiles import HEIGHT, Frontier, levels_of

_LOG = """
CREATE TABLE IF NOT EXISTS leaf (position INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tile (number INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS head (only INTEGER PRIMARY KEY CHECK (only = 0), note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS note (number INTEGER PRIMARY KEY, kind TEXT, note TEXT, UNIQUE (kind, note));
"""
_WITNESS = """
CREATE TABLE IF NOT EXISTS latest (origin TEXT PRIMARY KEY, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mirror (origin TEXT, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (origin, position))
    WITHOUT ROWID;
"""
_PUT_HEAD = "INSERT INTO head VALUES (0, ?) ON CONFLICT (only) DO UPDATE SET note = excluded.note"
_LAST = "SELECT max(position) FROM leaf"
_TILE = "SELECT hashes FROM tile WHERE number = ?"
_LEVEL_BITS = 48
_PAGE_BYTES = 8192  # of the log: a tile and its neighbours waste least
_PUT_LATEST = "INSERT INTO latest VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note"


class SqliteLogStore:
    """A log in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _LOG, page_bytes=_PAGE_BYTES)
        self._adopt()

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        """Insert all leaves, their hashes and the head in one transaction."""
        hashes = [leaf_hash(leaf) for leaf in leaves]
        with self._database.transaction() as connection:
            stored = _count(connection.execute(_LAST).fetchall())
            if stored != first:
                raise LogConflict(f"{stored} entries are stored, the writer knows {first}")
            connection.executemany("INSERT INTO leaf VALUES (?, ?)", enumerate(leaves, first))
            _add_hashes(connection, _frontier(connection, stored), hashes)
            connection.execute(_PUT_HEAD, (head,))

    def read(self, start: int, stop: int) -> list[bytes]:
        """Read bodies in order."""
        sql = "SELECT body FROM leaf WHERE position >= ? AND position < ? ORDER BY position"
        return [blob(row[0]) for row in self._database.query(sql, start, stop)]

    def load(self) -> tuple[int, tuple[bytes, ...], str | None]:
        """Read the edges and the head in one transaction."""
        with self._database.snapshot() as connection:
            size = _count(connection.execute(_LAST).fetchall())
            head = _only_text(connection.execute("SELECT note FROM head").fetchall())
            return size, _edges(connection, size), head

    def tile(self, level: int, number: int) -> bytes | None:
        """Read one row."""
        found = self._database.query(_TILE, _row(level, number))
        return blob(found[0][0]) if found else None

    def size(self) -> int:
        """Return one more than the last position."""
        return _count(self._database.query(_LAST))

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

    def _adopt(self) -> None:
        """Move the hashes of a file of an earlier version from beside its leaves into tiles."""
        with self._database.snapshot() as connection:
            columns = connection.execute("SELECT name FROM pragma_table_info('leaf')").fetchall()
        if ("hash",) not in columns:
            return
        with self._database.transaction() as connection:
            hashes = [blob(row[0]) for row in connection.execute("SELECT hash FROM leaf ORDER BY position")]
            if any(len(value) != HASH_SIZE for value in hashes):
                raise StoreCorrupt(f"a stored leaf hash is not {HASH_SIZE} bytes")
            _add_hashes(connection, Frontier(), hashes)
            connection.execute("ALTER TABLE leaf DROP COLUMN hash")


class SqliteWitnessStore:
    """What a witness remembers, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _WITNESS)

    def latest(self, origin: str) -> str | None:
        """Return the last cosigned note. Raises StoreCorrupt for rows that are not what was written."""
        rows = self._database.query("SELECT origin, note FROM latest")
        _require_own(rows)
        found = [str(note) for name, note in rows if name == origin]
        if not found and self._database.query("SELECT 1 FROM mirror WHERE origin = ? LIMIT 1", origin):
            raise StoreCorrupt("this witness mirrors a log of which it remembers no checkpoint")
        return next(iter(found), None)

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


def _require_own(rows: Sequence[tuple[object, ...]]) -> None:
    """Raise StoreCorrupt when a note is not of the log it is kept for: else a damaged name reads as never seen."""
    for origin, note in rows:
        if not str(note).startswith(f"{origin}\n"):
            raise StoreCorrupt("a checkpoint is kept under another log's name")


def _row(level: int, number: int) -> int:
    """Return the row of a tile: levels apart, a level's tiles side by side."""
    return level << _LEVEL_BITS | number


def _edges(connection: Connection, size: int) -> tuple[bytes, ...]:
    """Return the edge of each level; one that is missing comes out empty and fits no size."""
    numbers = [(level, size >> HEIGHT * (level + 1)) for level in range(levels_of(size))]
    found = [connection.execute(_TILE, (_row(*number),)).fetchone() for number in numbers]
    return tuple(b"" if row is None else blob(row[0]) for row in found)


def _frontier(connection: Connection, size: int) -> Frontier:
    return Frontier(size, _edges(connection, size))


def _add_hashes(connection: Connection, frontier: Frontier, hashes: Sequence[bytes]) -> None:
    """Write the tiles that these hashes fill, and the new edges: a tile that fills takes the place of its edge."""
    grown, full = frontier.grown(hashes)
    rows = [(_row(tile.level, tile.number), tile.hashes) for tile in (*full, *grown.partial())]
    connection.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?)", rows)


def _count(rows: Sequence[tuple[object, ...]]) -> int:
    last = rows[0][0]
    return 0 if last is None else int(str(last)) + 1


def _only_text(rows: Sequence[tuple[object, ...]]) -> str | None:
    return str(rows[0][0]) if rows else None


_log: type[LogStore] = SqliteLogStore
_witness: type[WitnessStore] = SqliteWitnessStore
