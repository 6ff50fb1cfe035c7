"""The embedded chain's pairs and event index in SQLite: one durable transaction per block, one process per file."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth.db.backends.base import BaseDB

from hdex.ledger.errors import ChainUnavailable, ChainWrong

FORMAT = "1"
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pair (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE log (
  block INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL, topics TEXT NOT NULL, data BLOB NOT NULL,
  block_hash BLOB NOT NULL, tx BLOB NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX log_of_address ON log (address, block);
"""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One emitted event, as eth_getLogs tells it."""

    block: int
    position: int  # in the block
    address: bytes
    topics: tuple[str, ...]  # 0x hex
    data: bytes
    block_hash: bytes
    tx: bytes
    time: int  # the block's, seconds


class BlockStore(BaseDB):
    """py-evm's database over one SQLite file. Writes happen only inside `block()`."""

    def __init__(self, path: Path, *, create: bool) -> None:
        if not create and not path.exists():
            raise ChainUnavailable(f"there is no chain at {path}")
        self._failed = False
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise ChainUnavailable(f"the chain's file {path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise ChainWrong(f"{path} is not a chain's file: {error}") from error

    def _prepare(self) -> None:
        # EXCLUSIVE: a second server on the same file would mine a second history
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        with self.block():
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self.put_meta("format", FORMAT)
        if self.meta("format") != FORMAT:
            raise ChainWrong(f"the chain's file has format {self.meta('format')}, this program reads {FORMAT}")

    @contextmanager
    def block(self) -> Iterator[None]:
        """Make all writes of the body durable together, or none of them."""
        if self._failed:
            raise ChainUnavailable("the chain's store failed: restart it")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._commit()

    def _commit(self) -> None:
        """Commit once: a failed fsync is never retried (what reached the disk is unknown until a restart)."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed = True
            raise ChainUnavailable(f"the chain's store failed: {error}") from error

    def __getitem__(self, key: bytes) -> bytes:
        row = self._db.execute("SELECT value FROM pair WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return bytes(row[0])

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._require_block()
        self._db.execute("INSERT OR REPLACE INTO pair VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        self._require_block()
        if self._db.execute("DELETE FROM pair WHERE key = ?", (key,)).rowcount == 0:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        return self._db.execute("SELECT 1 FROM pair WHERE key = ?", (key,)).fetchone() is not None

    def _require_block(self) -> None:
        if not self._db.in_transaction:
            raise RuntimeError("the chain's store is written outside a block")

    def meta(self, name: str) -> str | None:
        """Return a setting that was fixed when the chain was made."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put_meta(self, name: str, value: str) -> None:
        """Fix a setting; inside a block."""
        self._require_block()
        self._db.execute("INSERT INTO meta VALUES (?, ?)", (name, value))

    def put_logs(self, rows: Sequence[LogRow]) -> None:
        """Index the events of the block that is being written."""
        self._require_block()
        values = [
            (r.block, r.position, r.address, json.dumps(r.topics), r.data, r.block_hash, r.tx, r.time) for r in rows
        ]
        self._db.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def logs(self, first: int, last: int, addresses: Sequence[bytes]) -> Iterator[LogRow]:
        """Return the events of blocks first..last, of any address when none is named, in chain order."""
        query = "SELECT * FROM log WHERE block BETWEEN ? AND ?"
        if addresses:
            query += f" AND address IN ({','.join('?' * len(addresses))})"
        for block, position, address, topics, *rest in self._db.execute(
            query + " ORDER BY block, position", (first, last, *addresses)
        ):
            yield LogRow(block, position, address, tuple(json.loads(topics)), *rest)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
