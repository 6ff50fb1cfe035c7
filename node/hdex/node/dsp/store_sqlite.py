"""Processes and outbox in one SQLite file: both change in one transaction, synced before it returns."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from hdex.node.documents import decode, encode
from hdex.node.dsp.ports import Outgoing, Processes
from hdex.node.dsp.process import Kind, Process
from hdex.node.errors import AlreadyExists, NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS processes (
    position INTEGER PRIMARY KEY, pid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, peer TEXT NOT NULL,
    peer_pid TEXT, version INTEGER NOT NULL, ended INTEGER NOT NULL, json TEXT NOT NULL,
    UNIQUE (kind, peer, peer_pid));
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, pid TEXT NOT NULL, path TEXT NOT NULL, document TEXT NOT NULL,
    before TEXT NOT NULL, after INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS live_of ON processes (peer) WHERE ended = 0;
CREATE INDEX IF NOT EXISTS outbox_of ON outbox (pid, number);
"""
DUE = (
    "SELECT number, pid, path, document, before, after, attempts, refusals FROM outbox o "
    "WHERE number = (SELECT MIN(number) FROM outbox WHERE pid = o.pid) AND not_before <= ? ORDER BY number"
)
SOONEST = (
    "SELECT MIN(not_before) FROM outbox o "
    "WHERE number = (SELECT MIN(number) FROM outbox WHERE pid = o.pid) AND not_before > ?"
)


class SqliteProcesses:
    """Safe to share between threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()  # owns the connection
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def get(self, pid: str) -> Process:
        with self._lock:
            row = self._db.execute("SELECT json FROM processes WHERE pid=?", (pid,)).fetchone()
        if row is None:
            raise NotFound(f"no process {pid} is recorded here")
        return Process.from_document(decode(row[0]))

    def opened_by(self, kind: Kind, peer: str, peer_pid: str) -> Process | None:
        query = "SELECT json FROM processes WHERE kind=? AND peer=? AND peer_pid=?"
        with self._lock:
            row = self._db.execute(query, (kind, peer, peer_pid)).fetchone()
        return None if row is None else Process.from_document(decode(row[0]))

    def open_of(self, peer: str) -> int:
        query = "SELECT COUNT(*) FROM processes WHERE peer=? AND ended=0"
        with self._lock:
            (found,) = self._db.execute(query, (peer,)).fetchone()
        return int(found)

    def live(self) -> list[Process]:
        with self._lock:
            rows = self._db.execute("SELECT json FROM processes WHERE ended=0 ORDER BY position").fetchall()
        return [Process.from_document(decode(row[0])) for row in rows]

    def save(self, process: Process, outgoing: Outgoing | None = None) -> None:
        with self._writing():
            self._put(process)
            if outgoing is not None:
                self._db.execute(
                    "INSERT INTO outbox (pid, path, document, before, after) VALUES (?,?,?,?,?)",
                    (outgoing.pid, outgoing.path, encode(outgoing.document), encode(outgoing.before.to_document()),
                     outgoing.after),
                )  # fmt: skip
            elif process.ended:
                self._db.execute("DELETE FROM outbox WHERE pid=?", (process.pid,))

    def waiting(self, now: datetime) -> list[Outgoing]:
        with self._lock:
            rows = self._db.execute(DUE, (now.timestamp(),)).fetchall()
        return [
            Outgoing(pid, path, decode(document), Process.from_document(decode(before)), after, number, tried, refused)
            for number, pid, path, document, before, after, tried, refused in rows
        ]

    def next_try(self, now: datetime) -> datetime | None:
        with self._lock:
            (soonest,) = self._db.execute(SOONEST, (now.timestamp(),)).fetchone()
        return None if soonest is None else datetime.fromtimestamp(soonest, now.tzinfo)

    def postpone(self, outgoing: Outgoing, until: datetime, *, refused: bool) -> None:
        values = (outgoing.attempts + 1, outgoing.refusals + refused, until.timestamp(), outgoing.number)
        with self._writing():
            self._db.execute("UPDATE outbox SET attempts=?, refusals=?, not_before=? WHERE number=?", values)

    def settle(self, outgoing: Outgoing, process: Process | None = None) -> None:
        with self._writing():
            if process is not None:
                self._put(process)
            self._db.execute("DELETE FROM outbox WHERE number=?", (outgoing.number,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except sqlite3.IntegrityError as error:
                self._db.execute("ROLLBACK")
                raise AlreadyExists("the other side has opened this id already") from error
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _put(self, process: Process) -> None:
        text = encode(process.to_document())
        changed = self._db.execute(
            "INSERT INTO processes (pid, kind, peer, peer_pid, version, ended, json) VALUES (?,?,?,?,?,?,?) "
            "ON CONFLICT(pid) DO UPDATE SET peer_pid=excluded.peer_pid, version=excluded.version, "
            "ended=excluded.ended, json=excluded.json WHERE processes.version < excluded.version",
            (process.pid, process.kind, process.peer, process.peer_pid or None, process.version, process.ended, text),
        ).rowcount
        if not changed:
            raise AlreadyExists("the process has moved on meanwhile")


_: type[Processes] = SqliteProcesses
