"""Patients under fourteen: flagged, told in the manifest, and in a version only where a guardian consents."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.market_stage import NOW
from tests.node.record_stage import PURPOSE, RECIPIENT, STENTS, Record, exports

from hdex.deid.minors import of_age, under_age
from hdex.node.consent import Consents, MemoryConsents
from hdex.node.consent_sqlite import SqliteConsents
from hdex.node.errors import AccessDenied
from hdex.node.harmonize.model import schema_of
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.publishing import MINORS

CHILDREN, GUARDED = 24, 12
BORN = "07/13/2015"


def rewritten(path: Path, change: Any) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="|"))
    for row in rows:
        change(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="|")
        writer.writeheader()
        writer.writerows(rows)


def export(folder: Path) -> tuple[Path, list[str]]:
    """Return hospital B's export with its first consenting patients made children, and these; half have a guardian."""
    target = folder / "hospital-b"
    target.mkdir(parents=True)
    for source in (exports()[0] / "hospital-b").iterdir():
        (target / source.name).write_bytes(source.read_bytes())
    with (target / "consents.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="|"))
    given = [row["patient_no"] for row in rows if (row["status"], row["recipient"]) == ("given", "any")]
    asked = {row["patient_no"] for row in rows if row["duo_code"] != "DUO:0000006"}
    children = [patient for patient in dict.fromkeys(given) if patient not in asked][:CHILDREN]
    rewritten(target / "patients.csv", lambda row: row["patient_no"] in children and row.update(dob=BORN))
    guarded = set(children[:GUARDED])
    rewritten(target / "consents.csv", lambda row: row["patient_no"] in guarded and row.update(consent_form="guardian"))
    return target, children


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, list[str]]:
    """A hospital with children, ingested; tests that share it release nothing."""
    folder = tmp_path_factory.mktemp("ward")
    record = Record(folder, "hospital-b")
    path, children = export(folder / "export")
    record.ingest(path=path)
    return record, children


def test_children_are_flagged_at_a_raw_level_of_four_and_the_reason_says_so(ward: tuple[Record, list[str]]) -> None:
    document = ward[0].classified()
    assert document["flags"] == {"minor_under_14": True}
    assert document["level"] >= 4
    assert any("patients under 14" in reason for reason in document["reasons"])


def test_a_steward_who_clears_the_flag_needs_the_officer_beside_him(ward: tuple[Record, list[str]]) -> None:
    record, _ = ward
    document = record.classified() | {"flags": {"minor_under_14": False}}
    with pytest.raises(AccessDenied, match="1 columns or flags are placed below") as refused:
        record.approve("classification", STENTS, document)
    assert refused.value.rule == "classification.contested"
    assert refused.value.next_step == "the privacy officer reads and signs it too"


def test_a_child_without_a_guardian_is_left_out_and_told_in_bands(ward: tuple[Record, list[str]]) -> None:
    record, children = ward
    settled = set(record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list())
    assert settled & set(children) == set(children[:GUARDED])
    assert record.datasets.without_guardian(STENTS, PURPOSE, RECIPIENT) == "10-19"
    studied = record.datasets.rows(STENTS).filter(pl.col(PATIENT).is_in(settled))
    assert studied.height == len(settled) > 100


def test_a_version_and_its_manifest_tell_that_children_are_in_it(tmp_path: Path) -> None:
    record = Record(tmp_path, "hospital-b")
    path, children = export(tmp_path / "export")
    record.ingest(path=path)
    record.approve("classification", STENTS, record.classified())
    told: list[tuple[str, str]] = []
    from tests.node.record_stage import offer, order

    def say(step: str, text: str) -> None:
        told.append((step, text))

    facts = record.releases.deidentify(order(), actor=record.who(), say=say)
    assert (facts["minor_under_14"], facts["without_guardian"]) == (True, "10-19")
    assert ("minors", "10-19 patients who consented under age, and no guardian for them, are left out") in told
    assert not set(children) & set(record.releases.frame(STENTS, "1.0.0").get_column(PATIENT).to_list())
    officer = record.who("privacy_officer")
    record.publish(STENTS, "1.0.0")
    record.publishing.publish(STENTS, "1.0.0", offer(), actor=officer, say=say)
    assert ("flag", MINORS) in told
    assert MINORS in record.products.all()[0].inclusion


@pytest.fixture(params=["memory", "sqlite"])
def consents(request: pytest.FixtureRequest, tmp_path: Path) -> Consents:
    return MemoryConsents() if request.param == "memory" else SqliteConsents(tmp_path / "consents.db")


def word(patient: str, **changed: object) -> dict[str, object]:
    base: dict[str, object] = {"person_id": patient, "purpose": "DUO:0000006", "form": "separate", "status": "given"}
    return base | {"start_date": date(2024, 1, 1), "recipient_class": "any"} | changed


def test_who_consented_as_a_child_is_covered_by_a_guardian_or_by_a_later_word_of_his_own(consents: Consents) -> None:
    turned = datetime(2025, 6, 1, tzinfo=UTC)
    rows = [
        word("own"),
        word("guarded", form="guardian"),
        word("grown", start_date=date(2025, 6, 1)),
        word("adult"),
        word("left", form="guardian"),
        word("left", status="withdrawn", start_date=date(2024, 2, 1)),
    ]
    consents.add(pl.DataFrame(rows, schema=schema_of("consent")))
    consents.add_legal_basis(["by_law"], since=datetime(2024, 1, 1, tzinfo=UTC))
    everybody = ["own", "guarded", "grown", "adult", "left", "by_law"]
    of_age = dict.fromkeys((name for name in everybody if name != "adult"), turned)

    def covered(**given: Any) -> set[str]:
        return consents.covered(everybody, "DUO:0000006", recipient_class=None, at=NOW, **given)

    assert covered(of_age=of_age) == {"guarded", "grown", "adult"}
    assert covered() == {"own", "guarded", "grown", "adult", "by_law"}


@given(st.dates(date(1930, 1, 1), date(2020, 12, 31)), st.dates(date(1950, 1, 1), date(2034, 12, 31)))
def test_the_age_is_counted_as_a_calendar_counts_it(born: date, at: date) -> None:
    years = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
    assert under_age(pl.Series("b", [born]), at).to_list() == [years < 14]
    turned = of_age(pl.Series("b", [born])).to_list()[0]
    assert under_age(pl.Series("b", [born]), turned - timedelta(days=1)).to_list() == [True]


def test_nobody_without_a_date_of_birth_is_said_to_be_a_child() -> None:
    assert under_age(pl.Series("b", [None, date(2020, 2, 29)], dtype=pl.Date), date(2034, 2, 28)).to_list() == [
        False,
        True,
    ]
