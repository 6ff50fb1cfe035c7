"""Who may be used for what: consents given and withdrawn, and the patients they cover at one moment.

A patient is covered when some consent given by now includes the purpose and the recipient, has not ended, and no
withdrawal at or after it touches the purpose. Silence is no consent, and a consent from before the patient was
fourteen counts only where a guardian gave it: neither the child's own nor a basis in law will do. A withdrawal counts
whoever says it. Counts leave the node in bands only: an exact difference of one would publish the person.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Protocol

import polars as pl

from hdex.node.harmonize.model import ENUMS, fields_of
from hdex.node.sources import ConsentInvalid, read_export
from hdex.node.sources.dates import parse_date

GIVEN, WITHDRAWN = "given", "withdrawn"
GUARDIAN = "guardian"  # form of a consent
NOBODY: Mapping[str, datetime] = {}
ANY = "any"  # every class of recipients
EVERY_PURPOSE = "*"  # of a withdrawal: whatever was consented to
LEGAL_BASIS_PURPOSE = "DUO:0000042"
PARENTS = {  # DUO: a consent to the wider use includes the narrower. GRU > HMB > DS; GRU > POA
    "DUO:0000006": "DUO:0000042",
    "DUO:0000007": "DUO:0000006",
    "DUO:0000011": "DUO:0000042",
}


@dataclass(frozen=True, slots=True)
class Consent:
    """One word of one patient."""

    patient: str
    purpose: str  # DUO code
    status: str  # given, withdrawn
    start: datetime  # UTC, from when it holds
    recipient_class: str = ANY
    end: datetime | None = None  # no longer from this moment on
    form: str = "separate"  # separate, general, guardian, law
    notice_version: str = ""

    def __post_init__(self) -> None:
        if self.status not in ENUMS["status"] or self.form not in ENUMS["form"]:
            raise ConsentInvalid("a consent is given or withdrawn, and separate, general, by a guardian or by law")
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise ConsentInvalid("a consent's times need a time zone")


class Consents(Protocol):
    """A node's registry of consents. What was added stays; the same again changes nothing. On return it is on disk."""

    def add(self, consents: pl.DataFrame) -> None:
        """Add the rows of a common model's consent table. Raises ConsentInvalid."""
        ...

    def add_legal_basis(self, patients: Sequence[str], *, since: datetime) -> None:
        """Record a basis in law for patients of whom no word is recorded: it never overrides a patient's own."""
        ...

    def withdraw(self, patients: Sequence[str], *, at: datetime) -> None:
        """Record that these patients withdraw whatever they consented to."""
        ...

    def covered(
        self,
        patients: Sequence[str],
        purpose: str,
        *,
        recipient_class: str | None,
        at: datetime,
        of_age: Mapping[str, datetime] = NOBODY,
    ) -> set[str]:
        """Return the patients covered at this moment. No recipient class: only consents open to any recipient.

        of_age: from when on a patient's own consent counts; before, only a guardian's. Who is not in it is of age.
        """
        ...

    def edition(self, at: datetime) -> tuple[int, datetime | None]:
        """Return how many consents are recorded, and the next moment after `at` when one begins or ends, if any does.

        Until then the same number covers the same patients.
        """
        ...


def includes(given: str, asked: str) -> bool:
    """Return whether a consent to `given` allows a use for `asked`: the same purpose, or one below it in DUO."""
    step: str | None = asked
    while step is not None:
        if step == given:
            return True
        step = PARENTS.get(step)
    return False


def covered_by(
    consents: Iterable[Consent],
    purpose: str,
    recipient_class: str | None,
    at: datetime,
    of_age: Mapping[str, datetime] = NOBODY,
) -> set[str]:
    """Return the patients these consents cover. A withdrawal at the same moment as a consent wins."""
    given: dict[str, datetime] = {}
    withdrawn: dict[str, datetime] = {}
    for consent in consents:
        if consent.start > at:
            continue
        if consent.status == WITHDRAWN and _touches(consent, purpose, recipient_class):
            withdrawn[consent.patient] = max(consent.start, withdrawn.get(consent.patient, consent.start))
        if consent.status == GIVEN and _is_entitled(consent, of_age) and _allows(consent, purpose, recipient_class, at):
            given[consent.patient] = max(consent.start, given.get(consent.patient, consent.start))
    return {patient for patient, since in given.items() if patient not in withdrawn or since > withdrawn[patient]}


def _allows(consent: Consent, purpose: str, recipient_class: str | None, at: datetime) -> bool:
    to = consent.recipient_class == ANY or (bool(recipient_class) and consent.recipient_class == recipient_class)
    return to and includes(consent.purpose, purpose) and (consent.end is None or at < consent.end)


def _is_entitled(consent: Consent, of_age: Mapping[str, datetime]) -> bool:
    """Return whether who gave it could: a guardian, or a patient who was of age then (PIPL article 31)."""
    since = of_age.get(consent.patient)
    return since is None or consent.form == GUARDIAN or consent.start >= since


def _touches(consent: Consent, purpose: str, recipient_class: str | None) -> bool:
    """Return whether a withdrawal reaches this use: by a purpose above or below it, for this or any recipient."""
    to = not recipient_class or consent.recipient_class in (ANY, recipient_class)
    related = includes(consent.purpose, purpose) or includes(purpose, consent.purpose)
    return to and (consent.purpose == EVERY_PURPOSE or related)


def consents_of(frame: pl.DataFrame) -> list[Consent]:
    """Return the rows of a common model's consent table. The day a consent ends is its last."""
    if missing := {"person_id", "purpose", "status", "start_date"} - set(frame.columns):
        raise ConsentInvalid(f"a consent table lacks {', '.join(sorted(missing))}")
    return [_consent(row) for row in frame.iter_rows(named=True)]


def _consent(row: dict[str, object]) -> Consent:
    start, end = row["start_date"], row.get("end_date")
    if row["person_id"] is None or row["purpose"] is None or start is None:
        raise ConsentInvalid("a consent row lacks its patient, its purpose or its beginning")
    return Consent(
        patient=str(row["person_id"]),
        purpose=str(row["purpose"]),
        status=str(row["status"]),
        start=_midnight(start),
        recipient_class=str(row.get("recipient_class") or ANY),
        end=None if end is None else _midnight(end) + timedelta(days=1),
        form=str(row.get("form") or "separate"),
        notice_version=str(row.get("notice_version") or ""),
    )


def _midnight(day: object) -> datetime:
    return datetime.combine(day, time(), UTC)  # type: ignore[arg-type]  # a date column gives dates


def legal_basis(patients: Iterable[str], since: datetime) -> list[Consent]:
    """Return the rows for patients who are covered by law and not by a consent of their own."""
    return [Consent(patient, LEGAL_BASIS_PURPOSE, GIVEN, since, form="law") for patient in patients]


def withdrawals(patients: Iterable[str], at: datetime) -> list[Consent]:
    """Return the rows by which patients withdraw whatever they consented to."""
    return [Consent(patient, EVERY_PURPOSE, WITHDRAWN, at) for patient in patients]


def read_consents(path: Path) -> pl.DataFrame:
    """Return a CSV file of consents as a consent table. Its columns bear the model's names; dates in any pattern."""
    table = next(iter(read_export(path).tables.values()))
    known = [name for name in fields_of("consent") if name in table.columns]
    days = [name for name in ("start_date", "end_date") if name in known and table.dialect.date_pattern(name)]
    frame = table.frame.select(known).with_columns(
        parse_date(pl.col(name), table.dialect.date_pattern(name) or "").alias(name) for name in days
    )
    consents_of(frame)
    return frame


class MemoryConsents:
    """The memory twin."""

    def __init__(self) -> None:
        self._rows: dict[Consent, None] = {}

    def add(self, consents: pl.DataFrame) -> None:
        self._rows |= dict.fromkeys(consents_of(consents))

    def add_legal_basis(self, patients: Sequence[str], *, since: datetime) -> None:
        heard = {row.patient for row in self._rows}
        self._rows |= dict.fromkeys(legal_basis((patient for patient in patients if patient not in heard), since))

    def withdraw(self, patients: Sequence[str], *, at: datetime) -> None:
        self._rows |= dict.fromkeys(withdrawals(patients, at))

    def covered(
        self,
        patients: Sequence[str],
        purpose: str,
        *,
        recipient_class: str | None,
        at: datetime,
        of_age: Mapping[str, datetime] = NOBODY,
    ) -> set[str]:
        return covered_by(self._rows, purpose, recipient_class, at, of_age) & set(patients)

    def edition(self, at: datetime) -> tuple[int, datetime | None]:
        moments = [
            moment for row in self._rows for moment in (row.start, row.end) if moment is not None and moment > at
        ]
        return len(self._rows), min(moments, default=None)


_: type[Consents] = MemoryConsents


def band(count: int) -> str:
    """Return the band a count lies in: 0-9, 10-19, 20-49, 50-99, 100-199, ..."""
    if count < 10:
        return "0-9"
    scale = 10 ** (len(str(count)) - 1)
    low, high = next((low, high) for low, high in ((1, 2), (2, 5), (5, 10)) if count < high * scale)
    return f"{low * scale}-{high * scale - 1}"
