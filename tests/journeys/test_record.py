"""A record's way: read, mapped, classified, approved, de-identified, published; and every way it stops."""

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journeys.stage import Stage, refusal, silent

from hdex.node.demo import acts_data, rows
from hdex.node.demo.setting import HOSPITALS
from hdex.node.errors import RemoteRefused
from hdex.node.hospital.datasets import PERSONS
from hdex.node.synthetic import generate

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
READER = "hospital-b"  # its export is in English, one table of it gzipped
VIEW = "hypertension"
WAY = ["mapping.approve", "ingest.run", "classification.propose", "classification.approve", "deidentify.run",
       "catalogue.publish"]  # fmt: skip


def test_an_export_becomes_a_listed_product_step_by_step(stage: Stage) -> None:
    memory = stage.reach("publish")
    for hospital in HOSPITALS:
        listed, report = memory.products[hospital], memory.released[hospital]["report"]
        product, digest = memory.cast.buyer.show(listed["product"])
        assert digest == listed["digest"]
        assert product.level == listed["level"] <= 3
        assert report["risk_after"]["k"] >= 5
        assert report["attack_after"]["rate"] < report["attack_before"]["rate"]
        assert [action for action in dict.fromkeys(stage.actions(hospital)) if action in WAY] == WAY
        assert product.release is not None
        assert product.release.sha256 == memory.released[hospital]["sha256"]


def test_what_is_released_holds_nothing_that_identifies(stage: Stage) -> None:
    memory = stage.reach("deidentify")
    for hospital in HOSPITALS:
        persons = rows.raw(stage.setting, hospital, PERSONS)
        frame = rows.released_frame(stage.setting, hospital, memory.released[hospital])
        text = frame.write_csv()
        for name in ("record_number", "resident_id", "phone", "person_id"):
            assert not [value for value in persons[name].drop_nulls().cast(str) if value in text], name


def test_the_same_export_again_changes_nothing(stage: Stage) -> None:
    memory = stage.reach("ingest")
    desk = stage.steward(READER).desk
    before, runs = stage.stored(READER), stage.actions(READER).count("ingest.run")
    again = desk.ingest("cohort", memory.folders[READER], VIEW, silent)
    assert {name: again[name] for name in ("export_digest", "patients")} == {
        name: memory.ingested[READER][name] for name in ("export_digest", "patients")
    }
    assert stage.stored(READER) == before
    assert stage.actions(READER).count("ingest.run") == runs  # of other things its log may tell meanwhile


def test_the_same_order_again_is_the_same_version(stage: Stage) -> None:
    memory = stage.reach("deidentify")
    before = stage.stored(READER)
    again = stage.steward(READER).desk.deidentify("cohort", stage.order(), silent)
    assert (again["version"], again["sha256"]) == tuple(memory.released[READER][k] for k in ("version", "sha256"))
    assert stage.stored(READER) == before


def test_an_unreviewed_classification_is_not_released(stage: Stage) -> None:
    memory = stage.reach("ingest")
    steward = stage.steward(READER)
    steward.ingest("unreviewed", memory.folders[READER], VIEW, silent)
    steward.desk.classify("unreviewed", silent)
    error = refusal(lambda: steward.desk.deidentify("unreviewed", stage.order(), silent))
    assert (error.rule, error.next_step) == ("classification.unreviewed", "a data steward reviews and signs it")
    assert not stage.has_release(READER, "unreviewed")


def test_only_the_steward_signs_a_classification(stage: Stage) -> None:
    stage.reach("classify")
    document = stage.memory.classified[READER]["classification"]
    error = refusal(lambda: stage.officer(READER).sign("classification", "cohort", document))
    assert isinstance(error, RemoteRefused)
    assert error.status == "PERMISSION_DENIED"


def test_a_release_above_its_ceiling_keeps_nothing_and_is_an_event(stage: Stage, tmp_path: Path) -> None:
    generate(tmp_path, seed=1, patients=14)  # too few to hide among
    steward = stage.steward(READER)
    steward.ingest("handful", tmp_path / READER, VIEW, silent)
    acts_data.propose_and_sign(stage.memory, READER, "handful")
    error = refusal(lambda: steward.desk.deidentify("handful", stage.order(), silent))
    assert error.rule == "risk-too-high"
    assert not stage.has_release(READER, "handful")
    assert stage.has_release(READER, "cohort") == ("deidentify" in stage.told)
    denied = [event for event in stage.events(READER) if event.get("product") == "handful"][-1]
    assert (denied["action"], denied["decision"], denied["reason"]) == ("deidentify.run", "deny", "risk-too-high")


def a_torn_row(folder: Path) -> None:
    path = folder / "patients.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].rstrip(b"\r\n") + b"|surplus|surplus\n"
    path.write_bytes(b"".join(lines))


def a_cut_gzip(folder: Path) -> None:
    path = folder / "lab_results.csv.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def a_stray_picture(folder: Path) -> None:
    (folder / "scan.dcm").write_bytes(b"\0" * 132 + b"DICM")


def a_gzip_of_rubbish(folder: Path) -> None:
    (folder / "lab_results.csv.gz").write_bytes(gzip.compress(random.Random(7).randbytes(20_000)))


def nothing_at_all(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (a_torn_row, ("patients.csv", "5")),
        (a_cut_gzip, ("lab_results.csv.gz",)),
        (a_stray_picture, ("scan.dcm",)),
        (a_gzip_of_rubbish, ("lab_results.csv.gz",)),
        (nothing_at_all, ("export",)),
    ],
)
def test_a_wrong_export_is_named_and_leaves_nothing(
    stage: Stage, tmp_path: Path, damage: Callable[[Path], None], names: tuple[str, ...]
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(stage.memory.folders[READER], folder)
    damage(folder)
    before = stage.stored(READER)
    steward = stage.steward(READER)
    error = refusal(lambda: steward.ingest(damage.__name__, folder, VIEW, silent))
    assert isinstance(error, RemoteRefused)
    assert error.status == "INVALID_ARGUMENT"
    assert [name for name in names if name not in str(error)] == []
    assert stage.stored(READER) == before
    assert refusal(lambda: steward.desk.classify(damage.__name__, silent)).rule == "not-found"


def test_who_acted_is_erased_only_after_its_term_and_never_under_a_hold(stage: Stage) -> None:
    stage.reach("ingest")
    steward, officer = stage.steward(READER), stage.officer(READER)
    actor = f"spiffe://{stage.hospital(READER).trust_domain}/hospital/{READER}/data_steward"
    order = {"name": "request 17", "scope": {"actor": actor}}
    error = refusal(lambda: steward.sign("erasure", "", order))
    assert error.rule in {"retention.preparation.us", "retention.provision.us"}  # by what this person did last
    assert "order it again after" in error.next_step
    case = {"name": "case 4", "scope": {"actor": actor}}
    assert officer.sign("hold.place", "", case)["holds"] == ["case 4"]
    assert officer.sign("hold.lift", "", case)["holds"] == []
    assert refusal(lambda: officer.sign("hold.lift", "", case)).rule == "hold.unknown"
    data = stage.hospital(READER).data_dir
    assert (data / "details.db").exists()
    assert not [path for path in data.glob("d*.db*") if actor.encode() in path.read_bytes()]
    assert {"hold.place", "hold.lift", "erasure.apply"} <= set(stage.actions(READER))
