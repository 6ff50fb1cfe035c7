"""Only patients whose consent allows this purpose, this recipient, at this moment; silence and withdrawal are no."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.node.consent import Consent, Consents, MemoryConsents, band, covered_by, includes, read_consents
from hdex.node.consent_sqlite import SqliteConsents
from hdex.node.harmonize.model import schema_of
from hdex.node.sources import ConsentInvalid

GRU, HMB, DS = "DUO:0000042", "DUO:0000006", "DUO:0000007"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def consents(request: pytest.FixtureRequest, tmp_path: Path) -> Consents:
    return MemoryConsents() if request.param == "memory" else SqliteConsents(tmp_path / "consents.db")


def table(*rows: dict[str, object]) -> pl.DataFrame:
    base: dict[str, object] = {"purpose": HMB, "recipient_class": "any", "form": "separate", "status": "given"}
    return pl.DataFrame([base | {"start_date": date(2024, 1, 1)} | row for row in rows], schema=schema_of("consent"))


def who(consents: Consents, purpose: str = HMB, recipient: str | None = "industry", at: datetime = NOW) -> set[str]:
    return consents.covered(["a", "b", "c", "d"], purpose, recipient_class=recipient, at=at)


def test_a_wider_consent_includes_the_narrower_use_and_not_the_other_way(consents: Consents) -> None:
    consents.add(table({"person_id": "a", "purpose": GRU}, {"person_id": "b"}, {"person_id": "c", "purpose": DS}))
    assert who(consents, GRU) == {"a"}
    assert who(consents, HMB) == {"a", "b"}
    assert who(consents, DS) == {"a", "b", "c"}
    assert who(consents, "DUO:0000099") == set()


def test_a_consent_for_one_class_of_recipients_covers_no_other(consents: Consents) -> None:
    consents.add(table({"person_id": "a", "recipient_class": "academic"}, {"person_id": "b"}))
    assert who(consents, recipient="academic") == {"a", "b"}
    assert who(consents, recipient="industry") == {"b"}
    assert who(consents, recipient=None) == who(consents, recipient="") == {"b"}


def test_a_consent_holds_from_its_first_to_its_last_day(consents: Consents) -> None:
    consents.add(table({"person_id": "a", "start_date": date(2024, 5, 1), "end_date": date(2024, 5, 31)}))
    for day, covered in (
        (datetime(2024, 4, 30, 23), set()),
        (datetime(2024, 5, 1), {"a"}),
        (datetime(2024, 5, 31, 23), {"a"}),
    ):
        assert who(consents, at=day.replace(tzinfo=UTC)) == covered
    assert who(consents, at=datetime(2024, 6, 1, tzinfo=UTC)) == set()


def test_a_withdrawal_takes_effect_at_once_and_a_later_consent_counts_again(consents: Consents) -> None:
    consents.add(table({"person_id": "a"}, {"person_id": "b"}))
    consents.withdraw(["a"], at=NOW)
    assert who(consents, at=NOW - timedelta(microseconds=1)) == {"a", "b"}
    assert who(consents) == who(consents, DS) == who(consents, recipient=None) == {"b"}
    consents.add(table({"person_id": "a", "start_date": date(2027, 1, 1)}))
    assert who(consents, at=NOW + timedelta(days=60)) == {"a", "b"}


def test_a_withdrawal_of_one_use_reaches_the_uses_above_and_below_it(consents: Consents) -> None:
    consents.add(table({"person_id": "a", "purpose": GRU}))
    consents.add(table({"person_id": "a", "status": "withdrawn", "start_date": date(2025, 1, 1)}))
    assert who(consents, GRU) == who(consents, HMB) == who(consents, DS) == set()
    assert who(consents, "DUO:0000011") == {"a"}  # population origins: beside it, not touched


def test_a_legal_basis_never_overrides_the_word_of_a_patient(consents: Consents) -> None:
    consents.add(table({"person_id": "a", "purpose": DS}))
    consents.withdraw(["b"], at=NOW)
    consents.add_legal_basis(["a", "b", "c"], since=NOW + timedelta(days=1))
    consents.add_legal_basis(["c"], since=NOW + timedelta(days=2))
    assert who(consents, GRU, at=NOW + timedelta(days=3)) == {"c"}


def test_the_same_rows_again_change_nothing(consents: Consents) -> None:
    rows = table({"person_id": "a"}, {"person_id": "b"})
    consents.add(rows)
    consents.withdraw(["a"], at=NOW)
    consents.add(rows)
    assert who(consents) == {"b"}


def test_patients_who_were_not_asked_for_are_not_told(consents: Consents) -> None:
    consents.add(table({"person_id": "z"}, {"person_id": "a"}))
    assert who(consents) == {"a"}


def test_a_registry_outlives_its_process(tmp_path: Path) -> None:
    first = SqliteConsents(tmp_path / "c.db")
    first.add(table({"person_id": "a"}, {"person_id": "b"}))
    first.withdraw(["b"], at=NOW)
    first.close()
    assert who(SqliteConsents(tmp_path / "c.db")) == {"a"}


def test_no_withdrawn_patient_is_covered_in_a_hundred_thousand_histories() -> None:
    rng = random.Random(5)
    rows: list[Consent] = []
    expected: set[str] = set()
    for number in range(100_000):
        patient, history = f"p{number}", [(rng.randrange(1_000), rng.random() < 0.5) for _ in range(rng.randrange(5))]
        rows += [
            Consent(patient, HMB, "given" if is_given else "withdrawn", NOW - timedelta(hours=hours))
            for hours, is_given in history
        ]
        last = min(history, default=None, key=lambda entry: (entry[0], entry[1]))  # newest; withdrawal before consent
        expected |= {patient} if last and last[1] else set()
    rng.shuffle(rows)
    assert covered_by(rows, HMB, "industry", NOW) == expected


@pytest.mark.parametrize(
    "row",
    [{"person_id": "a", "status": "maybe"}, {"person_id": None}, {"person_id": "a", "start_date": None}],
)
def test_a_row_that_cannot_be_understood_is_refused_whole(consents: Consents, row: dict[str, object]) -> None:
    with pytest.raises(ConsentInvalid):
        consents.add(table({"person_id": "b"}, row))
    assert who(consents) == set()


def test_consents_come_from_a_csv_file_of_any_dialect(tmp_path: Path) -> None:
    text = "person_id;purpose;status;start_date;end_date\na;DUO:0000006;given;13.01.2024;31.12.2030\n"
    (tmp_path / "consents.csv").write_text(text, encoding="utf-16")
    registry = MemoryConsents()
    registry.add(read_consents(tmp_path / "consents.csv"))
    assert who(registry) == {"a"}
    (tmp_path / "consents.csv").write_text("person_id;purpose\na;DUO:0000006\n")
    with pytest.raises(ConsentInvalid, match="start_date"):
        read_consents(tmp_path / "consents.csv")


def test_purposes_follow_the_data_use_ontology() -> None:
    pairs = [(one, other) for one in (GRU, HMB, DS) for other in (GRU, HMB, DS) if includes(one, other)]
    assert pairs == [(GRU, GRU), (GRU, HMB), (GRU, DS), (HMB, HMB), (HMB, DS), (DS, DS)]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0-9"),
        (9, "0-9"),
        (10, "10-19"),
        (49, "20-49"),
        (50, "50-99"),
        (100, "100-199"),
        (862, "500-999"),
        (2550, "2000-4999"),
    ],
)
def test_a_count_is_shown_as_a_band(count: int, shown: str) -> None:
    assert band(count) == shown


@given(st.integers(0, 10**12))
def test_every_count_lies_in_its_band(count: int) -> None:
    low, high = map(int, band(count).split("-"))
    assert low <= count <= high


_: Callable[[], Consents] = MemoryConsents


def test_an_edition_tells_every_word_and_the_next_moment_that_matters(consents: Consents) -> None:
    assert consents.edition(NOW) == (0, None)
    consents.add(table({"person_id": "a", "start_date": date(2024, 5, 1), "end_date": date(2026, 12, 31)}))
    number, until = consents.edition(NOW)
    assert number == 1
    assert until is not None
    moment = until - timedelta(microseconds=1)
    assert (who(consents, at=moment), who(consents, at=until)) == ({"a"}, set())
    consents.add(table({"person_id": "b", "start_date": date(2026, 11, 25)}))
    number, until = consents.edition(NOW)
    assert number == 2
    assert until is not None
    moment = until - timedelta(microseconds=1)
    assert (who(consents, at=moment), who(consents, at=until)) == ({"a"}, {"a", "b"})
    consents.withdraw(["a"], at=NOW)
    assert consents.edition(NOW)[0] > 2
