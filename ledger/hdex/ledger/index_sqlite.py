"""The search index in one SQLite file beside the log. Not durable on purpose: what a crash takes is indexed again."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from threading import Lock

from hdex.ledger.errors import IndexFailed
from hdex.ledger.event import Event, format_time
from hdex.ledger.ports import EventIndex, EventQuery

_FIELDS = ("organisation", "role", "product", "contract", "purpose", "action", "decision")
_COLUMNS = ("time TEXT", "actor BLOB", "granted TEXT", *(f"{name} TEXT" for name in _FIELDS))
_values_of = attrgetter(*_FIELDS)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, {", ".join(_COLUMNS)});
CREATE INDEX IF NOT EXISTS by_time ON entry (time);
CREATE INDEX IF NOT EXISTS by_actor ON entry (actor) WHERE actor IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_product ON entry (product) WHERE product IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_contract ON entry (contract) WHERE contract IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_grant ON entry (granted) WHERE granted IS NOT NULL;
"""
_INSERT = f"INSERT INTO entry VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"  # noqa: S608  # places only


class SqliteEventIndex:
    """An index that outlives the process, unless it is damaged."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises IndexFailed when the file is no index."""
        self._lock = Lock()
        with _translated("opened"):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA cache_size = -65536")  # commitments fall anywhere: their pages should stay
            self._db.execute("PRAGMA wal_autocheckpoint = 10000")
            self._db.create_function("digest", 1, _digest, deterministic=True)
            self._db.executescript(_SCHEMA)

    @classmethod
    def fresh(cls, path: Path) -> "SqliteEventIndex":
        """Return an empty index in the place of whatever is there."""
        for name in (path.name, path.name + "-wal", path.name + "-shm"):
            path.with_name(name).unlink(missing_ok=True)
        return cls(path)

    def add(self, first: int, events: Sequence[Event]) -> None:
        """Insert what is not there yet, in one transaction."""
        with self._lock, _translated("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                known = self._known()
                if first > known:
                    raise IndexFailed(f"{known} entries are indexed, the next ones begin at {first}")
                rows = [_row(index, event) for index, event in enumerate(events, first) if index >= known]
                self._db.executemany(_INSERT, rows)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def search(self, query: EventQuery) -> list[int]:
        """Let SQLite choose the narrowest of its indexes."""
        terms, values = _conditions(query)
        sql = f"SELECT position FROM entry WHERE {' AND '.join(terms)} ORDER BY position LIMIT ?"  # noqa: S608  # columns only
        with self._lock, _translated("read"):
            return [int(row[0]) for row in self._db.execute(sql, (*values, max(0, query.limit))).fetchall()]

    def size(self) -> int:
        """Return the last position + 1: positions are dense."""
        with self._lock, _translated("read"):
            return self._known()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _known(self) -> int:
        (last,) = self._db.execute("SELECT max(position) FROM entry").fetchone()
        return 0 if last is None else int(last) + 1


def _row(index: int, event: Event) -> tuple[int | str | bytes | None, ...]:
    actor = None if event.actor is None else bytes.fromhex(event.actor)
    return (index, event.time, actor, event.grant, *_values_of(event))


def _digest(text: str) -> bytes | None:
    """Return the bytes of a commitment, None for a text that is none and so matches nothing."""
    try:
        return bytes.fromhex(text) if text == text.lower() else None
    except ValueError:
        return None


def _conditions(query: EventQuery) -> tuple[list[str], list[str | int]]:
    """Return the terms of the WHERE clause and their values, in order."""
    terms, values = ["position >= ?"], list[str | int]([max(0, query.first)])
    equal = [(name, getattr(query, name)) for name in _FIELDS] + [("granted", query.grant)]
    for name, asked in equal:
        if asked is not None:
            terms.append(f"{name} = ?")
            values.append(asked)
    if query.actor:  # as one value: there may be more commitments than a statement has places
        terms.append("actor IN (SELECT digest(value) FROM json_each(?))")
        values.append(json.dumps(query.actor))
    for comparison, moment in ((">=", query.since), ("<", query.until)):
        if moment is not None:
            terms.append(f"time {comparison} ?")
            values.append(_bound(moment))
    return terms, values


def _bound(moment: datetime) -> str:
    """Return the first millisecond that is not before this moment, in the one form of time that events have."""
    text = format_time(moment)
    return text if moment.microsecond % 1000 == 0 else f"{text[:-1]}~"  # "~" sorts after every form of this millisecond


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeError) as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise IndexFailed(f"the search index cannot be {what}: {name}; it is built again from the log") from error


_: type[EventIndex] = SqliteEventIndex
