"""A version meets its preset or is not kept; consent decides who is in it; the same inputs are the same version."""

from pathlib import Path

import polars as pl
import pytest
from tests.node.record_stage import HIV, PURPOSE, RECIPIENT, STENTS, Record, exports, order

from hdex.deid.errors import PolicyInvalid, RiskTooHigh
from hdex.deid.verify import verify_release
from hdex.ledger.errors import LogFailed
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.released import release_name
from hdex.node.synthetic import generate


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A hospital with one release; tests that share it change nothing."""
    record = Record(tmp_path_factory.mktemp("kept")).ready()
    record.release()
    return record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path).ready()


@pytest.fixture
def small(tmp_path: Path) -> Record:
    """The level-5 cohort: quick, and refused by the same steps."""
    return Record(tmp_path).ready(HIV)


def withdraw(record: Record, folder: Path, patient: str) -> None:
    (folder / "withdrawals").write_text(patient)
    record.datasets.withdraw_consent(STENTS, folder / "withdrawals", actor=record.who())


def test_a_release_holds_what_its_report_says(kept: Record) -> None:
    facts, frame = kept.releases.facts(STENTS, "1.0.0"), kept.releases.frame(STENTS, "1.0.0")
    assert (facts["records"], facts["columns"]) == (frame.height, frame.columns)
    found = verify_release(frame, facts["report"]["quasi"], facts["report"]["risk_after"]["k"])
    assert found.ok
    assert facts["report"]["risk_after"]["unique_rows"] == 0
    assert facts["sha256"] == kept.vault.stat(STENTS, release_name("1.0.0")).sha256
    reports = sorted(path.name for path in kept.reports.iterdir())
    assert reports == [f"{STENTS}-1.0.0.en.html", f"{STENTS}-1.0.0.json", f"{STENTS}-1.0.0.zh.html"]


def test_no_identifier_of_any_patient_is_in_the_release_or_its_reports(kept: Record) -> None:
    planted = sorted(text for text in exports()[1].hospitals["hospital-c"].identifiers["name"] if len(text) > 3)
    frame = kept.releases.frame(STENTS, "1.0.0")
    cells = [str(cell) for name in frame.columns for cell in frame[name].cast(pl.String).to_list() if cell]
    texts = [path.read_text(encoding="utf-8") for path in kept.reports.iterdir()]
    direct = {
        kind: exports()[1].hospitals["hospital-c"].identifiers[kind] for kind in ("resident_id", "phone", "serial")
    }
    for wanted in (planted, *direct.values()):
        assert not pl.Series([*cells, *texts]).str.contains_any(wanted).any()


def test_only_patients_who_consent_are_in_it(kept: Record) -> None:
    truth = exports()[1].hospitals["hospital-c"]
    report = kept.releases.facts(STENTS, "1.0.0")["report"]
    assert report["rows_before"] == truth.patients - truth.without_consent


def test_a_purpose_that_nobody_consented_to_is_refused_as_that(kept: Record) -> None:
    with pytest.raises(AccessDenied, match="no patient's consent covers this purpose") as refused:
        kept.release(purpose="DUO:6")
    assert refused.value.rule == "consent.nobody"
    assert kept.ground.refusals()[-1] == ("deidentify.run", "consent.nobody")


def test_the_same_inputs_are_the_same_version_and_no_new_event(kept: Record) -> None:
    size = kept.ground.log.size
    assert kept.release()["version"] == "1.0.0"
    assert kept.ground.log.size == size


def test_another_project_has_other_pseudonyms_and_another_version(record: Record) -> None:
    first = record.release()
    second = record.release(recipient_class="hospital")
    assert (first["version"], second["version"]) == ("1.0.0", "1.1.0")
    frames = [record.releases.frame(STENTS, version) for version in ("1.0.0", "1.1.0")]
    if PATIENT in frames[0].columns:
        assert not set(frames[0][PATIENT].to_list()) & set(frames[1][PATIENT].to_list())


def test_a_patient_who_withdraws_is_not_in_the_next_version(record: Record, tmp_path: Path) -> None:
    first = record.release()
    somebody = record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list()[0]
    withdraw(record, tmp_path, somebody)
    second = record.release()
    assert second["version"] == "1.1.0"
    assert second["report"]["rows_before"] < first["report"]["rows_before"]
    assert somebody not in record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list()


def test_a_version_that_is_too_risky_is_not_kept_and_is_an_event(tmp_path: Path) -> None:
    """Nine patients cannot hide one another."""
    generate(tmp_path / "few", seed=3, patients=25)
    record = Record(tmp_path, "hospital-a")
    record.ingest(path=tmp_path / "few" / "hospital-a")
    record.approve("classification", STENTS, record.classified())
    with pytest.raises(RiskTooHigh):
        record.release(preset="public")
    assert not [item for item in record.vault.items() if item.name.startswith("release")]
    assert record.ground.documents.all("release") == []
    assert not record.reports.exists()
    assert record.ground.refusals() == [("deidentify.run", "risk-too-high")]


def test_an_unknown_preset_is_refused(small: Record) -> None:
    for preset in ("", "none", "../presets"):
        with pytest.raises(PolicyInvalid):
            small.release(HIV, preset=preset)
    assert small.ground.documents.all("release") == []
    assert [action for action, _ in small.ground.refusals()] == ["deidentify.run"] * 3


def test_without_a_durable_event_there_is_no_version(record: Record) -> None:
    items = record.vault.items()
    record.ground.store.fails = True
    with pytest.raises(LogFailed):
        record.release()
    assert [item for item in record.vault.items() if item not in items and "release" in item.name] == []
    assert record.ground.documents.all("release") == []


def test_an_unreviewed_data_set_is_not_released(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.ingest(HIV)
    with pytest.raises(AccessDenied) as refused:
        record.release(HIV)
    assert refused.value.rule == "classification.unreviewed"


def test_the_file_of_a_run_that_broke_off_is_not_taken_for_a_later_ones(record: Record, tmp_path: Path) -> None:
    """Killed between file and record; before the next run a patient withdrew: the old file must not be offered."""
    record.vault.put(STENTS, release_name("1.0.0"), b"made when the patient still consented")
    facts = record.release()
    assert facts["version"] == "1.1.0"
    assert facts["sha256"] == record.vault.stat(STENTS, release_name("1.1.0")).sha256


def test_two_orders_at_once_make_two_versions(record: Record) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda recipient: record.release(recipient_class=recipient), (RECIPIENT, "hospital")))
    assert sorted(str(facts["version"]) for facts in made) == ["1.0.0", "1.1.0"]
    for facts in made:
        name = release_name(str(facts["version"]))
        assert record.vault.stat(STENTS, name).sha256 == facts["sha256"]


def before_the_register(record: Record, version: str = "1.0.0") -> Document:
    """Make a version's document as it was written before there was a register; return what it said."""
    facts = record.releases.facts(STENTS, version)
    known: Document = facts.pop("register")
    record.ground.documents.put("release", f"{STENTS}/{version}", facts)
    return known


def test_a_version_of_before_the_register_gets_its_entry_from_its_stored_file(record: Record, tmp_path: Path) -> None:
    record.release()
    known = before_the_register(record)
    with pytest.raises(AccessDenied, match="no readable entry") as refused:
        record.datasets.register.entries(record.datasets.table(STENTS), STENTS)
    assert "hdex node deidentify stents" in refused.value.next_step
    told: list[str] = []
    withdraw(record, tmp_path, record.datasets.rows(STENTS)[PATIENT].to_list()[0])
    record.releases.deidentify(order(), actor=record.who(), say=lambda step, text: told.append(f"{step} {text}"))
    assert "register version 1.0.0: its entry was made anew from the stored file" in told
    restored = record.releases.facts(STENTS, "1.0.0")["register"]
    assert {name: restored[name] for name in ("table", "k", "members")} == {
        name: known[name] for name in ("table", "k", "members")
    }


@pytest.mark.parametrize(("lost", "why"), [("file", "its file cannot be read"), ("names", "no pseudonyms")])
def test_where_the_entry_cannot_be_made_anew_nothing_is_released(record: Record, lost: str, why: str) -> None:
    record.release(**({"preset": "registered"} if lost == "names" else {}))
    before_the_register(record)
    if lost == "file":
        record.vault._path(STENTS, release_name("1.0.0")).unlink()
    with pytest.raises(AccessDenied, match=why) as refused:
        record.release(recipient_class="hospital")
    assert (refused.value.rule, record.ground.refusals()[-1]) == (
        "register.incomplete",
        ("deidentify.run", "register.incomplete"),
    )
    assert "privacy officer" in refused.value.next_step


def test_level_5_makes_no_file_and_reads_no_note(small: Record) -> None:
    facts = small.release(HIV)
    assert (facts["level"], facts["bytes"], small.detectors) == (5, 0, 0)
    assert not [item for item in small.vault.items() if item.name.startswith("release")]
    assert facts["report"]["delivery_modes"] == ["federated"]
