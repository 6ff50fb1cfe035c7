"""Store in SQLite: kept replies of a site, keys and opened rounds of a key holder."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hdex.federated.ports import Store

Transform = Callable[[bytes], bytes]


def _as_is(value: bytes) -> bytes:
    return value


class SqliteStore:
    """Named bytes in one file; `seal` and `unseal` protect values at rest where they are keys."""

    def __init__(self, path: Path, *, seal: Transform = _as_is, unseal: Transform = _as_is) -> None:
        self._path, self._seal, self._unseal = path, seal, unseal
        with closing(self._connect()) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def get(self, name: str) -> bytes | None:
        """Return the bytes under `name`, or None."""
        with closing(self._connect()) as connection:
            row = connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else self._unseal(row[0])

    def put(self, name: str, value: bytes) -> None:
        """Replace the bytes under `name` durably."""
        with closing(self._connect()) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, self._seal(value)))


_: type[Store] = SqliteStore
