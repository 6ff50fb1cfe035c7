"""Journal in PostgreSQL, by URL (`postgresql://host/database`, or any text that libpq takes).

Passwords stand in a file that libpq reads (`passfile=` in the URL, or ~/.pgpass), never in the URL itself.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from hdex.federated.errors import JournalConflict, JournalUnavailable
from hdex.federated.journal import Attempt, Gathered, RoundRecord
from hdex.federated.ports import Journal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hdex_rounds (
    study TEXT NOT NULL, round INTEGER NOT NULL, row BYTEA NOT NULL, PRIMARY KEY (study, round)
);
CREATE TABLE IF NOT EXISTS hdex_attempts (
    study TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, sites TEXT NOT NULL,
    PRIMARY KEY (study, round)
);
CREATE TABLE IF NOT EXISTS hdex_gathered (
    study TEXT NOT NULL, round INTEGER NOT NULL, replies BYTEA NOT NULL, PRIMARY KEY (study, round)
)
"""
_CONNECT_S = 10


class PostgresJournal:
    """Rows in three tables; a connection per call, so that any thread may use it and a restarted server is no matter.

    Raises JournalUnavailable when the server does not answer: nothing is sent to a site then.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('hdex_rounds'))")  # CREATE IF NOT EXISTS races
            connection.execute(_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection; commit at its end, on the server's disk, whatever its configuration says."""
        try:
            with psycopg.connect(self._url, connect_timeout=_CONNECT_S, application_name="hdex") as connection:
                connection.execute("SET LOCAL synchronous_commit TO on")
                yield connection
        except psycopg.Error as error:
            raise JournalUnavailable(f"PostgreSQL does not keep the journal ({type(error).__name__})") from error

    def commit(self, record: RoundRecord) -> None:
        """Keep the row durably."""
        row = record.to_bytes()
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (record.study_id,))  # one writer a study
            query = "SELECT round, row FROM hdex_rounds WHERE study = %s ORDER BY round"
            rows = {number: bytes(kept) for number, kept in connection.execute(query, (record.study_id,))}
            if record.round == len(rows) + 1:
                values = (record.study_id, record.round, row)
                connection.execute("INSERT INTO hdex_rounds VALUES (%s, %s, %s)", values)
            elif rows.get(record.round) != row:
                raise JournalConflict(
                    f"round {record.round} is committed with other content, or a round before it is missing"
                )
            done = (record.study_id, record.round)
            connection.execute("DELETE FROM hdex_gathered WHERE study = %s AND round = %s", done)

    def rounds(self, study_id: str) -> Sequence[RoundRecord]:
        """Return the rows in order."""
        query = "SELECT round, row FROM hdex_rounds WHERE study = %s ORDER BY round"
        with self._transaction() as connection:
            return [RoundRecord.from_bytes(bytes(row)) for _, row in connection.execute(query, (study_id,))]

    def declare(self, attempt: Attempt) -> None:
        """Keep the attempt durably."""
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (attempt.study_id,))  # one writer a study
            kept = _attempt(connection, attempt.study_id, attempt.round)
            if kept is not None and kept != attempt and kept.attempt >= attempt.attempt:
                raise JournalConflict(f"round {attempt.round} was declared in attempt {kept.attempt} with other sites")
            values = (attempt.study_id, attempt.round, attempt.attempt, json.dumps(attempt.sites))
            query = "INSERT INTO hdex_attempts VALUES (%s, %s, %s, %s) ON CONFLICT (study, round) DO UPDATE"
            connection.execute(query + " SET attempt = excluded.attempt, sites = excluded.sites", values)

    def declared(self, study_id: str, number: int) -> Attempt | None:
        """Return the last attempt of a round."""
        with self._transaction() as connection:
            return _attempt(connection, study_id, number)

    def gather(self, gathered: Gathered) -> None:
        """Keep the replies durably."""
        data = gathered.to_bytes()
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (gathered.study_id,))  # one writer a study
            kept = _gathered(connection, gathered.study_id, gathered.round)
            if kept is None:
                values = (gathered.study_id, gathered.round, data)
                connection.execute("INSERT INTO hdex_gathered VALUES (%s, %s, %s)", values)
            elif kept != data:
                raise JournalConflict(f"round {gathered.round} was gathered from others, or with other replies")

    def gathered(self, study_id: str, number: int) -> Gathered | None:
        """Return the replies of a round that is not committed."""
        with self._transaction() as connection:
            data = _gathered(connection, study_id, number)
        return None if data is None else Gathered.from_bytes(study_id, number, data)


def _attempt(connection: "psycopg.Connection[Any]", study_id: str, number: int) -> Attempt | None:
    query = "SELECT attempt, sites FROM hdex_attempts WHERE study = %s AND round = %s"
    row = connection.execute(query, (study_id, number)).fetchone()
    return None if row is None else Attempt(study_id, number, row[0], tuple(json.loads(row[1])))


def _gathered(connection: "psycopg.Connection[Any]", study_id: str, number: int) -> bytes | None:
    query = "SELECT replies FROM hdex_gathered WHERE study = %s AND round = %s"
    row = connection.execute(query, (study_id, number)).fetchone()
    return None if row is None else bytes(row[0])


_: type[Journal] = PostgresJournal
