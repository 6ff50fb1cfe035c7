"""Journal in PostgreSQL, by URL (`postgresql://host/database`, or any text that libpq takes).

Passwords stand in a file that libpq reads (`passfile=` in the URL, or ~/.pgpass), never in the URL itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from hdex.federated.errors import JournalConflict, JournalUnavailable
from hdex.federated.journal import RoundRecord
from hdex.federated.ports import Journal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hdex_rounds (
    study TEXT NOT NULL, round INTEGER NOT NULL, row BYTEA NOT NULL, PRIMARY KEY (study, round)
)
"""
_CONNECT_S = 10


class PostgresJournal:
    """Rows in one table; a connection per call, so that any thread may use it and a restarted server is no matter.

    Raises JournalUnavailable when the server does not answer: nothing is sent to a site then.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('hdex_rounds'))")  # CREATE IF NOT EXISTS races
            connection.execute(_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator["psycopg.Connection[tuple[int, bytes]]"]:
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

    def rounds(self, study_id: str) -> Sequence[RoundRecord]:
        """Return the rows in order."""
        query = "SELECT round, row FROM hdex_rounds WHERE study = %s ORDER BY round"
        with self._transaction() as connection:
            return [RoundRecord.from_bytes(bytes(row)) for _, row in connection.execute(query, (study_id,))]


_: type[Journal] = PostgresJournal
