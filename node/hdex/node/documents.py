"""A participant's own records (requests, agreements, releases, studies) as JSON documents, durable on return."""

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hdex.ledger.grouping import Grouped
from hdex.node.errors import AlreadyExists, NotFound

PUT = "INSERT INTO documents(kind, key, json) VALUES (?,?,?) ON CONFLICT(kind, key) DO UPDATE SET json=excluded.json"
Document = dict[str, Any]  # JSON values


class Documents(Protocol):
    """Named JSON documents. On return from a write they are on disk."""

    def put(self, kind: str, key: str, document: Document) -> None:
        """Store or replace."""
        ...

    def put_all(self, kind: str, documents: Mapping[str, Document]) -> None:
        """Store or replace many by their keys: all of them, or none."""
        ...

    def add(self, kind: str, key: str, document: Document) -> None:
        """Store once; raise AlreadyExists where the key is taken by another document. The same again is no error."""
        ...

    def get(self, kind: str, key: str) -> Document:
        """Return the document or raise NotFound."""
        ...

    def all(self, kind: str) -> list[Document]:
        """Return the documents of one kind in the order they were first stored."""
        ...

    def keys(self, kind: str) -> list[str]:
        """Return the keys of one kind in the order they were first stored."""
        ...

    def remove(self, kind: str, keys: Sequence[str]) -> None:
        """Forget documents, so that no file holds their bytes on return; those that are not there are no error."""
        ...


class SqliteDocuments:
    """Documents in one SQLite file; safe to share between threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._grouped = Grouped(self._write)  # who stores at the same time shares one transaction
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents "
            "(position INTEGER PRIMARY KEY, kind TEXT, key TEXT, json TEXT, UNIQUE(kind, key))"
        )

    def put(self, kind: str, key: str, document: Document) -> None:
        self._grouped.add([(kind, key, encode(document))])

    def put_all(self, kind: str, documents: Mapping[str, Document]) -> None:
        self._grouped.add([(kind, key, encode(document)) for key, document in documents.items()])

    def add(self, kind: str, key: str, document: Document) -> None:
        with self._lock:
            text = encode(document)
            self._db.execute("INSERT OR IGNORE INTO documents(kind, key, json) VALUES (?,?,?)", (kind, key, text))
            (kept,) = self._db.execute("SELECT json FROM documents WHERE kind=? AND key=?", (kind, key)).fetchone()
        if kept != text:
            raise AlreadyExists(f"{kind} {key} is recorded already with other content")

    def get(self, kind: str, key: str) -> Document:
        with self._lock:
            row = self._db.execute("SELECT json FROM documents WHERE kind=? AND key=?", (kind, key)).fetchone()
        if row is None:
            raise NotFound(f"no {kind} {key} is recorded here")
        return decode(row[0])

    def all(self, kind: str) -> list[Document]:
        with self._lock:
            rows = self._db.execute("SELECT json FROM documents WHERE kind=? ORDER BY position", (kind,)).fetchall()
        return [decode(row[0]) for row in rows]

    def keys(self, kind: str) -> list[str]:
        with self._lock:
            rows = self._db.execute("SELECT key FROM documents WHERE kind=? ORDER BY position", (kind,)).fetchall()
        return [str(row[0]) for row in rows]

    def remove(self, kind: str, keys: Sequence[str]) -> None:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM documents WHERE kind=? AND key=?", [(kind, key) for key in keys])
            self._db.execute("COMMIT")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._db.close()

    def _write(self, rows: Sequence[tuple[str, str, str]]) -> None:
        if not rows:
            return
        with self._lock:
            if len(rows) == 1:
                self._db.execute(PUT, rows[0])
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(PUT, rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


class MemoryDocuments:
    """The memory twin."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], str] = {}

    def put(self, kind: str, key: str, document: Document) -> None:
        self._rows[(kind, key)] = encode(document)

    def put_all(self, kind: str, documents: Mapping[str, Document]) -> None:
        self._rows |= {(kind, key): encode(document) for key, document in documents.items()}

    def add(self, kind: str, key: str, document: Document) -> None:
        if self._rows.setdefault((kind, key), encode(document)) != encode(document):
            raise AlreadyExists(f"{kind} {key} is recorded already with other content")

    def get(self, kind: str, key: str) -> Document:
        try:
            return decode(self._rows[(kind, key)])
        except KeyError:
            raise NotFound(f"no {kind} {key} is recorded here") from None

    def all(self, kind: str) -> list[Document]:
        return [decode(text) for (found, _), text in self._rows.items() if found == kind]

    def keys(self, kind: str) -> list[str]:
        return [key for found, key in self._rows if found == kind]

    def remove(self, kind: str, keys: Sequence[str]) -> None:
        for key in keys:
            self._rows.pop((kind, key), None)


def encode(document: Document) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def decode(text: str) -> Document:
    document: Document = json.loads(text)
    return document


_sqlite: type[Documents] = SqliteDocuments
_memory: type[Documents] = MemoryDocuments
