"""An export becomes a data set once and whole, read as a person signed; a doubtful classification needs two."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.node.record_stage import HIV, PURPOSE, RECIPIENT, STENTS, VIEWS, Record, exports, silent

from hdex.deid.errors import InputInvalid
from hdex.ledger.errors import LogFailed
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, RequestInvalid, SignatureInvalid
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.staff import read_staff
from hdex.node.sources.errors import SourceError, ViewInvalid


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A hospital with an ingested data set; tests that share it change nothing."""
    record = Record(tmp_path_factory.mktemp("kept"))
    record.ingest()
    return record


def test_nothing_is_kept_before_a_steward_signed_the_mapping(record: Record) -> None:
    found = record.datasets.ingest(STENTS, record.folder, VIEWS[STENTS], actor=record.who(), say=silent)
    assert found["state"] == "mapping.proposed"
    assert record.vault.items() == []
    with pytest.raises(NotFound):
        record.datasets.rows(STENTS)


def test_the_same_export_again_changes_nothing(kept: Record) -> None:
    size, items = kept.ground.log.size, kept.vault.items()
    assert kept.ingest()["state"] == "ingested"
    assert (kept.ground.log.size, kept.vault.items()) == (size, items)


def test_what_is_known_outside_the_node_is_a_band(kept: Record) -> None:
    facts = kept.datasets.facts(STENTS)
    assert facts["patients"] == exports()[1].hospitals["hospital-c"].patients
    assert facts["patients_band"] == "100-199"
    leaves = b"".join(kept.ground.log.entries(0, kept.ground.log.size)).decode()
    planted = exports()[1].identifiers()
    assert not [text for text in planted if len(text) > 3 and text in leaves]


def test_rows_at_rest_are_not_readable(kept: Record) -> None:
    stored = b"".join(path.read_bytes() for path in Path(kept.vault._folder).rglob("*") if path.is_file())
    planted = [text for text in exports()[1].hospitals["hospital-c"].identifiers["resident_id"] if len(text) > 8]
    assert planted
    assert not [text for text in planted if text.encode() in stored]


@pytest.mark.parametrize("broken", ["empty", "missing", "rubbish"])
def test_a_broken_export_keeps_nothing_and_says_which(record: Record, tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "export"
    if broken != "missing":
        folder.mkdir()
    if broken == "rubbish":
        (folder / "patient.csv").write_bytes(b"\x00\x01\x02" * 1000)
    with pytest.raises((SourceError, OSError, NotFound)):
        record.ingest(path=folder)
    assert record.vault.items() == []
    assert record.ground.documents.all("ingest") == []
    assert [(event.action, event.decision) for event in record.ground.events()] == [("ingest.run", "deny")]


def test_what_cannot_be_classified_or_withdrawn_is_a_refusal(record: Record, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        record.datasets.withdraw_consent("no such", tmp_path / "no such list", actor=record.who())
    assert record.ground.refusals() == [("consent.withdraw", "not-found")]


def test_an_unknown_view_is_refused_before_anything_is_kept(record: Record) -> None:
    record.ingest()
    with pytest.raises(ViewInvalid):
        record.datasets.ingest(STENTS, record.folder, "../../etc/passwd", actor=record.who(), say=silent)
    assert len(record.ground.documents.all("ingest")) == 1


def test_a_data_set_is_an_event_before_it_is_kept(record: Record) -> None:
    found = record.datasets.ingest(STENTS, record.folder, VIEWS[STENTS], actor=record.who(), say=silent)
    record.approve("mapping", STENTS, found["mapping"])
    record.ground.store.fails = True
    with pytest.raises(LogFailed):
        record.ingest()
    assert record.vault.items() == []


def test_a_withdrawal_is_remembered_first_and_counts_only_patients_of_the_data_set(
    record: Record, tmp_path: Path
) -> None:
    record.ingest()
    covered = record.consents.covered(
        record.datasets.rows(STENTS)[PATIENT].to_list(), PURPOSE, recipient_class=RECIPIENT, at=record.market.now
    )
    somebody = sorted(covered)[0]
    (tmp_path / "list").write_text(f"{somebody}\nnobody-known\n")
    record.ground.store.fails = True
    with pytest.raises(LogFailed):
        record.datasets.withdraw_consent(STENTS, tmp_path / "list", actor=record.who())
    still = record.consents.covered([somebody], PURPOSE, recipient_class=RECIPIENT, at=record.market.now)
    assert still == {somebody}


def test_a_withdrawn_patient_is_in_no_later_population(record: Record, tmp_path: Path) -> None:
    record.ingest()
    before = record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list()
    (tmp_path / "list").write_text(f"{before[0]} nobody-known")
    told = record.datasets.withdraw_consent(STENTS, tmp_path / "list", actor=record.who())
    assert (told["asked"], told["withdrawn"]) == (2, 1)
    after = record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list()
    assert before[0] not in after
    assert set(after) < set(before)
    assert record.datasets.consented(STENTS, "DUO:0000042", "insurer")[PATIENT].to_list() == []
    with pytest.raises(NotFound):
        record.datasets.withdraw_consent(STENTS, tmp_path / "none", actor=record.who())


# ---- what people sign ------------------------------------------------------------------------------------------------


def lowered(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the classification with one identifying column called harmless."""
    edited: dict[str, Any] = json.loads(json.dumps(document))
    for column in edited["tables"][0]["columns"]:
        if column["name"] == name:
            column.update(role="other", level=2)
    return edited


def test_a_steward_alone_does_not_call_an_identifier_harmless(record: Record) -> None:
    """Without this one signature would have let resident identity numbers leave as a plain column."""
    record.ingest()
    document = lowered(record.classified(), "resident_id")
    with pytest.raises(AccessDenied) as refused:
        record.approve("classification", STENTS, document)
    assert refused.value.rule == "classification.contested"
    with pytest.raises(AccessDenied) as unreviewed:
        record.release()
    assert unreviewed.value.rule == "classification.unreviewed"
    assert record.ground.refusals()[-2:] == [
        ("classification.approve", "classification.contested"),
        ("deidentify.run", "classification.unreviewed"),
    ]


def test_the_second_name_stands_under_the_same_words(record: Record) -> None:
    record.ingest()
    document = lowered(record.classified(), "address")
    with pytest.raises(AccessDenied) as early:
        record.approve("classification", STENTS, document, "privacy_officer")
    assert early.value.rule == "approve.role"  # nothing waits yet
    envelope, officer = record.signed("classification", document, "data_steward"), record.who("privacy_officer")
    with pytest.raises(AccessDenied, match="nothing waits for a second name"):  # whatever signature lies on it
        record.approvals.approve("classification", STENTS, envelope, actor=officer)
    with pytest.raises(AccessDenied):
        record.approve("classification", STENTS, document)
    other = lowered(document, "resident_id")
    with pytest.raises(AccessDenied) as swapped:
        record.approve("classification", STENTS, other, "privacy_officer")
    assert swapped.value.rule == "approve.other"
    done = record.approve("classification", STENTS, document, "privacy_officer")
    assert done["signed_by"] == "hospital-c/data_steward, hospital-c/privacy_officer"


@pytest.mark.parametrize(
    ("kind", "role", "error"),
    [
        ("mapping", "privacy_officer", AccessDenied),
        ("mapping", "node_admin", AccessDenied),
        ("classification", "node_admin", AccessDenied),
        ("agreement", "data_steward", RequestInvalid),
        ("x" * 500, "data_steward", RequestInvalid),
    ],
)
def test_only_the_responsible_role_signs(kept: Record, kind: str, role: str, error: type[Exception]) -> None:
    envelope = kept.signed("mapping", {"name": "x"})
    with pytest.raises(error):
        kept.approvals.approve(kind, STENTS, envelope, actor=kept.who(role))


def test_a_signature_of_another_hospital_or_key_is_none(kept: Record) -> None:
    document = kept.classified()
    stranger = Record(Path(kept.vault._folder).parent / "other", "hospital-b")
    for envelope in (
        stranger.signed("classification", document),
        kept.signed("mapping", document),
        {"document": document, "signatures": []},
        kept.signed("classification", document) | {"document": document | {"level": 2}},
    ):
        with pytest.raises(SignatureInvalid):
            kept.approvals.approve("classification", STENTS, envelope, actor=kept.who())


def test_a_classification_is_of_one_data_set_and_one_export(record: Record, tmp_path: Path) -> None:
    record.ready()
    document = record.classified()
    for changed in (
        {**document, "tables": [{**document["tables"][0], "name": HIV}]},
        {**document, "tables": [{**document["tables"][0], "columns": document["tables"][0]["columns"][1:]}]},
        {**document, "level": 1},
        {"schema": "other"},
    ):
        with pytest.raises(InputInvalid):
            record.approve("classification", STENTS, changed)
    shutil.copytree(exports()[0] / "hospital-a", tmp_path / "next")
    other = record.datasets.ingest("next", tmp_path / "next", VIEWS[STENTS], actor=record.who(), say=silent)
    record.approve("mapping", STENTS, other["mapping"])
    record.ingest(path=tmp_path / "next")
    with pytest.raises(AccessDenied) as refused:
        record.release()
    assert refused.value.rule == "classification.outdated"


def test_staff_is_a_list_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "staff.json"
    path.write_text(json.dumps({"data_steward": "00" * 32}))
    assert read_staff(path) == {"data_steward": b"\x00" * 32}
    for broken in ("[]", "{", '{"a": 1}', '{"a": "zz"}', "null"):
        path.write_text(broken)
        with pytest.raises(ConfigInvalid):
            read_staff(path)
    with pytest.raises(ConfigInvalid):
        read_staff(tmp_path / "none.json")
