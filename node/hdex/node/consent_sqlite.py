"""The registry of consents in one SQLite file of the node."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from hdex.node.consent import NOBODY, Consent, Consents, consents_of, covered_by, legal_basis, withdrawals

SCHEMA = """
CREATE TABLE IF NOT EXISTS consents (
  patient TEXT NOT NULL, purpose TEXT NOT NULL, status TEXT NOT NULL, start INTEGER NOT NULL,
  recipient_class TEXT NOT NULL, ends INTEGER, form TEXT NOT NULL, notice_version TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS consents_once ON consents
  (patient, purpose, status, start, recipient_class, ifnull(ends, -1), form, notice_version);
"""
COLUMNS = "patient, purpose, status, start, recipient_class, ends, form, notice_version"
MICROSECONDS = 1_000_000
Row = tuple[str, str, str, int, str, int | None, str, str]


class SqliteConsents:
    """Consents in one SQLite file; safe to share between threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def add(self, consents: pl.DataFrame) -> None:
        self._insert(consents_of(consents))

    def add_legal_basis(self, patients: Sequence[str], *, since: datetime) -> None:
        with self._lock:
            heard = {patient for (patient,) in self._db.execute("SELECT DISTINCT patient FROM consents")}
        self._insert(legal_basis((patient for patient in patients if patient not in heard), since))

    def withdraw(self, patients: Sequence[str], *, at: datetime) -> None:
        self._insert(withdrawals(patients, at))

    def covered(
        self,
        patients: Sequence[str],
        purpose: str,
        *,
        recipient_class: str | None,
        at: datetime,
        of_age: Mapping[str, datetime] = NOBODY,
    ) -> set[str]:
        with self._lock:
            rows = self._db.execute(f"SELECT {COLUMNS} FROM consents").fetchall()  # noqa: S608  # a constant
        return covered_by((_consent(row) for row in rows), purpose, recipient_class, at, of_age) & set(patients)

    def edition(self, at: datetime) -> tuple[int, datetime | None]:
        query = "SELECT count(*), min(iif(start > ?1, start, NULL)), min(iif(ends > ?1, ends, NULL)) FROM consents"
        with self._lock:
            count, *moments = self._db.execute(query, (_stamp(at),)).fetchone()
        following = min((moment for moment in moments if moment is not None), default=None)
        return count, None if following is None else _moment(following)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _insert(self, consents: list[Consent]) -> None:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR IGNORE INTO consents VALUES (?,?,?,?,?,?,?,?)", map(_row, consents))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise


def _row(consent: Consent) -> Row:
    end = None if consent.end is None else _stamp(consent.end)
    start, to = _stamp(consent.start), consent.recipient_class
    return (consent.patient, consent.purpose, consent.status, start, to, end, consent.form, consent.notice_version)


def _consent(row: Row) -> Consent:
    patient, purpose, status, start, to, end, form, version = row
    ends = None if end is None else _moment(end)
    return Consent(patient, purpose, status, _moment(start), to, ends, form, version)


def _stamp(moment: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    passed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * MICROSECONDS + passed.microseconds


def _moment(stamp: int) -> datetime:
    seconds, micros = divmod(stamp, MICROSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


_: type[Consents] = SqliteConsents
