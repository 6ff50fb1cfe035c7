"""Journal in SQLite: write-ahead log, synchronous=FULL, one commit per round."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hdex.federated.errors import JournalConflict
from hdex.federated.journal import Attempt, Gathered, RoundRecord
from hdex.federated.ports import Journal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rounds (
    study TEXT NOT NULL, round INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY (study, round)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    study TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, sites TEXT NOT NULL,
    PRIMARY KEY (study, round)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gathered (
    study TEXT NOT NULL, round INTEGER NOT NULL, replies BLOB NOT NULL, PRIMARY KEY (study, round)
) STRICT
"""


class SqliteJournal:
    """Rows in one file; a connection per call, so that any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level="IMMEDIATE")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def commit(self, record: RoundRecord) -> None:
        """Keep the row durably."""
        row = record.to_bytes()
        with closing(self._connect()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")  # before the look: of two coordinators one sees the other's row
            query = "SELECT round, row FROM rounds WHERE study = ? ORDER BY round"
            rows = dict(connection.execute(query, (record.study_id,)).fetchall())
            if record.round == len(rows) + 1:
                connection.execute("INSERT INTO rounds VALUES (?, ?, ?)", (record.study_id, record.round, row))
            elif rows.get(record.round) != row:
                raise JournalConflict(
                    f"round {record.round} is committed with other content, or a round before it is missing"
                )
            connection.execute("DELETE FROM gathered WHERE study = ? AND round = ?", (record.study_id, record.round))

    def rounds(self, study_id: str) -> Sequence[RoundRecord]:
        """Return the rows in order."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT row FROM rounds WHERE study = ? ORDER BY round", (study_id,)).fetchall()
        return [RoundRecord.from_bytes(row) for (row,) in rows]

    def declare(self, attempt: Attempt) -> None:
        """Keep the attempt durably."""
        with closing(self._connect()) as connection, connection:
            kept = _attempt(connection, attempt.study_id, attempt.round)
            if kept is not None and kept != attempt and kept.attempt >= attempt.attempt:
                raise JournalConflict(f"round {attempt.round} was declared in attempt {kept.attempt} with other sites")
            row = (attempt.study_id, attempt.round, attempt.attempt, json.dumps(attempt.sites))
            connection.execute("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?)", row)

    def declared(self, study_id: str, number: int) -> Attempt | None:
        """Return the last attempt of a round."""
        with closing(self._connect()) as connection:
            return _attempt(connection, study_id, number)

    def gather(self, gathered: Gathered) -> None:
        """Keep the replies durably."""
        data = gathered.to_bytes()
        with closing(self._connect()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            kept = _gathered(connection, gathered.study_id, gathered.round)
            if kept is None:
                row = (gathered.study_id, gathered.round, data)
                connection.execute("INSERT INTO gathered VALUES (?, ?, ?)", row)
            elif kept != data:
                raise JournalConflict(f"round {gathered.round} was gathered from others, or with other replies")

    def gathered(self, study_id: str, number: int) -> Gathered | None:
        """Return the replies of a round that is not committed."""
        with closing(self._connect()) as connection:
            data = _gathered(connection, study_id, number)
        return None if data is None else Gathered.from_bytes(study_id, number, data)


def _attempt(connection: sqlite3.Connection, study_id: str, number: int) -> Attempt | None:
    query = "SELECT attempt, sites FROM attempts WHERE study = ? AND round = ?"
    row = connection.execute(query, (study_id, number)).fetchone()
    return None if row is None else Attempt(study_id, number, row[0], tuple(json.loads(row[1])))


def _gathered(connection: sqlite3.Connection, study_id: str, number: int) -> bytes | None:
    query = "SELECT replies FROM gathered WHERE study = ? AND round = ?"
    row = connection.execute(query, (study_id, number)).fetchone()
    return None if row is None else bytes(row[0])


_: type[Journal] = SqliteJournal
