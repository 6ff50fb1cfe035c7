"""Details in one SQLite file: a table of sealed rows, a table of their keys. Many callers share one flush.

A destroyed key is overwritten in its page (secure_delete), and the write-ahead log that may hold it is emptied.
"""

from collections.abc import Sequence
from pathlib import Path

from hdex.ledger.database import Database, blob
from hdex.ledger.errors import LogFailed
from hdex.ledger.grouping import Grouped
from hdex.ledger.ports import DetailRow, DetailStore

_SCHEMA = """
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS detail (number INTEGER PRIMARY KEY, event TEXT UNIQUE NOT NULL, time TEXT NOT NULL,
    action TEXT NOT NULL, product TEXT, contract TEXT, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS detail_key (number INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, tag BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_tag ON detail_key (tag);
CREATE TABLE IF NOT EXISTS hold (name TEXT PRIMARY KEY, sealed BLOB NOT NULL);
"""
_PUT = "INSERT INTO detail (event, time, action, product, contract, sealed) VALUES (?, ?, ?, ?, ?, ?)"
_PUT += " ON CONFLICT (event) DO NOTHING RETURNING number"
_READ = "SELECT event, time, action, product, contract, sealed, wrapped, tag FROM detail JOIN detail_key USING (number)"


class SqliteDetailStore:
    """Details that outlive the process."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)
        self._grouped = Grouped(self._write)

    def put(self, rows: Sequence[DetailRow]) -> None:
        """Insert the rows and their keys; one transaction for all who wait."""
        self._grouped.add(rows)

    def get(self, event_id: str) -> DetailRow | None:
        """Read one row with its key."""
        found = self._database.query(f"{_READ} WHERE event = ?", event_id)
        return _row(found[0]) if found else None

    def find(self, tag: bytes) -> list[DetailRow]:
        """Read by the index over tags."""
        return [_row(found) for found in self._database.query(f"{_READ} WHERE tag = ? ORDER BY number", tag)]

    def destroy(self, event_ids: Sequence[str]) -> None:
        """Overwrite the key rows, then empty the write-ahead log."""
        sql = "DELETE FROM detail_key WHERE number = (SELECT number FROM detail WHERE event = ?)"
        with self._database.transaction() as connection:
            connection.executemany(sql, [(event_id,) for event_id in event_ids])
        if not self._database.truncate_wal():
            raise LogFailed("the keys are destroyed, but a copy in the write-ahead log is still read: do it again")

    def put_hold(self, name: str, sealed: bytes) -> None:
        """Insert or replace."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO hold VALUES (?, ?)", (name, sealed))

    def drop_hold(self, name: str) -> None:
        """Delete."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM hold WHERE name = ?", (name,))

    def holds(self) -> list[tuple[str, bytes]]:
        """Read all."""
        return [(str(name), blob(sealed)) for name, sealed in self._database.query("SELECT * FROM hold ORDER BY name")]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _write(self, rows: Sequence[DetailRow]) -> None:
        with self._database.transaction() as connection:
            for row in rows:
                values = (row.event_id, row.time, row.action, row.product, row.contract, row.sealed)
                number = connection.execute(_PUT, values).fetchone()
                if number is not None:
                    connection.execute("INSERT INTO detail_key VALUES (?, ?, ?)", (number[0], row.key, row.tag))


def _row(found: tuple[object, ...]) -> DetailRow:
    event_id, time, action, product, contract, sealed, key, tag = found
    return DetailRow(
        event_id=str(event_id),
        time=str(time),
        action=str(action),
        product=None if product is None else str(product),
        contract=None if contract is None else str(contract),
        sealed=blob(sealed),
        key=blob(key),
        tag=blob(tag),
    )


_: type[DetailStore] = SqliteDetailStore
