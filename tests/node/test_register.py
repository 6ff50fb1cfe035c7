"""The node asks its register before a version is stored, keeps digests only, and refuses what it cannot read."""

from pathlib import Path

import polars as pl
import pytest
from tests.node.record_stage import PURPOSE, RECIPIENT, STENTS, Record

from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.errors import RegisterRefused
from hdex.deid.pipeline import Release, deidentify
from hdex.deid.policy import preset
from hdex.deid.pseudonym import derive_keys
from hdex.deid.register import require_apart
from hdex.node.documents import MemoryDocuments
from hdex.node.errors import AccessDenied
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.populations import THRESHOLD, Populations
from hdex.node.hospital.release_register import SHELF, ReleaseRegister
from hdex.node.keys import MemoryKeys
from hdex.node.vault import Vault

TABLE, DATASET, SECRET = "patients", "cohort", bytes(range(32))
PROFILES = [
    ColumnProfile("t", "person_id", Role.DIRECT, Category.PERSONAL_ATTRIBUTE, 4),
    ColumnProfile("t", "ward", Role.QUASI, Category.PERSONAL_ATTRIBUTE, 3),
    ColumnProfile("t", "value", Role.OTHER, Category.HEALTH_STATUS, 3),
]


class Shelf:
    """A register over the shipped twins, and versions made by the real engine."""

    def __init__(self, folder: Path) -> None:
        self.documents = MemoryDocuments()
        self.vault = Vault(folder, MemoryKeys())
        self.register = ReleaseRegister(self.documents, self.vault, SECRET)

    def release(self, patients: list[int], *, wards: int = 3, dataset: str = DATASET, table: str = TABLE) -> None:
        """Compare and keep a version; `wards` cuts the classes."""
        rows, made = version(patients, wards=wards)
        candidate = self.register.require(table, dataset, made, rows["person_id"], k=5)
        number = len(self.documents.all("release"))
        facts = {"dataset": dataset, "version": f"1.{number}.0", "preset": "controlled"}
        self.documents.put("release", f"{dataset}/{number}", facts | {"register": self.register.keep(candidate)})


def version(patients: list[int], *, wards: int) -> tuple[pl.DataFrame, Release]:
    labels = [f"ward {patient % wards}" for patient in patients]
    rows = pl.DataFrame({"person_id": [f"p{patient:03}" for patient in patients], "ward": labels, "value": patients})
    keys = derive_keys(SECRET, recipient="r", project="p")
    policy = preset("controlled").with_changes(max_average=0.2)
    return rows, deidentify(rows, PROFILES, policy, keys=keys, patient="person_id", seed=1)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    found = Shelf(tmp_path)
    found.release(list(range(60)))
    return found


def test_a_version_that_differs_by_one_patient_is_refused_and_nothing_is_stored(shelf: Shelf) -> None:
    items = shelf.vault.items()
    with pytest.raises(RegisterRefused, match=r"version cohort 1\.0\.0") as refused:
        shelf.release(list(range(1, 60)))
    assert (refused.value.rule, refused.value.found, refused.value.asked) == ("register.difference", 1, 5)
    assert shelf.vault.items() == items
    assert len(shelf.register.entries(TABLE, DATASET)) == 1


def test_a_version_that_cuts_the_classes_anew_is_refused(shelf: Shelf) -> None:
    with pytest.raises(RegisterRefused) as refused:
        shelf.release(list(range(60)), wards=5)
    assert refused.value.rule == "register.joined"


def test_versions_apart_by_crowds_are_kept_and_remembered(shelf: Shelf) -> None:
    shelf.release(list(range(60)))
    shelf.release([patient for patient in range(60) if patient % 3 or patient > 20])
    with pytest.raises(RegisterRefused):
        shelf.release(list(range(4, 60)))
    again = ReleaseRegister(shelf.documents, shelf.vault, SECRET)
    assert [entry.members.height for entry in again.entries(TABLE, DATASET)] == [60, 60, 53]


def test_a_data_set_by_another_name_is_the_same_table(shelf: Shelf) -> None:
    with pytest.raises(RegisterRefused):
        shelf.release(list(range(1, 60)), dataset="renamed")
    shelf.release(list(range(1, 60)), dataset="renamed", table="something else")


def test_the_register_holds_no_patient_in_clear(shelf: Shelf) -> None:
    told = [str(document) for document in shelf.documents.all("release")]
    frames = [shelf.vault.read_frame(SHELF, item.name) for item in shelf.vault.items(SHELF)]
    cells = {str(cell) for frame in frames for row in frame.rows() for cell in row}
    assert frames
    assert not [one for one in (*told, *cells) if "p0" in one]


def test_a_version_without_an_entry_stops_everything_of_its_data_set(shelf: Shelf) -> None:
    shelf.documents.put("release", "cohort/9", {"dataset": DATASET, "version": "0.9.0", "preset": "controlled"})
    with pytest.raises(AccessDenied, match=r"no readable entry of version 0\.9\.0") as refused:
        shelf.release(list(range(60)))
    assert (refused.value.rule, bool(refused.value.next_step)) == ("register.incomplete", True)


def test_an_entry_that_cannot_be_read_stops_everything(shelf: Shelf) -> None:
    shelf.vault.shred(SHELF)
    with pytest.raises(AccessDenied) as refused:
        shelf.release(list(range(60)))
    assert refused.value.rule == "register.incomplete"


def test_a_run_that_broke_off_counts_for_nothing(shelf: Shelf) -> None:
    """Its entry is stored, its version is not: nobody was ever offered it."""
    rows, made = version(list(range(20, 60)), wards=3)
    shelf.register.keep(shelf.register.require(TABLE, DATASET, made, rows["person_id"], k=5))
    shelf.release(list(range(20, 60)))
    assert len(shelf.register.entries(TABLE, DATASET)) == 2


def test_who_withdraws_leaves_with_companions_of_his_class(tmp_path: Path) -> None:
    """Of 60 patients in 3 classes one leaves: ten of his class do, nobody else."""
    shelf = Shelf(tmp_path)
    populations = Populations(shelf.documents, shelf.vault, SECRET)
    shelf.register = populations.register
    everybody = [f"p{patient:03}" for patient in range(60)]
    assert populations.settle(DATASET, everybody, table=TABLE) == everybody
    shelf.release(list(range(60)))
    settled = populations.settle(DATASET, everybody[1:], table=TABLE)
    gone = sorted(int(patient[1:]) for patient in set(everybody) - set(settled))
    assert len(gone) == THRESHOLD
    assert 0 in gone
    assert {patient % 3 for patient in gone} == {0}
    shelf.release([int(patient[1:]) for patient in settled])


def test_a_class_of_a_few_leaves_as_a_whole_rather_than_few_of_it(tmp_path: Path) -> None:
    """Four classes of 7: five who leave would strand two, so all seven leave, and a second class for the crowd."""
    shelf = Shelf(tmp_path)
    populations = Populations(shelf.documents, shelf.vault, SECRET)
    shelf.register = populations.register
    everybody = [f"p{patient:03}" for patient in range(28)]
    populations.settle(DATASET, everybody, table=TABLE)
    shelf.release(list(range(28)), wards=4)
    settled = populations.settle(DATASET, everybody[1:], table=TABLE)
    gone = [int(patient[1:]) % 4 for patient in set(everybody) - set(settled)]
    assert {ward: gone.count(ward) for ward in gone} == dict.fromkeys(set(gone), 7)
    assert 0 in gone
    assert len(gone) == 14
    shelf.release([int(patient[1:]) for patient in settled], wards=4)


def test_a_withdrawal_from_a_real_data_set_leaves_no_small_group(tmp_path: Path) -> None:
    record = Record(tmp_path).ready()
    record.release()
    before = set(record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list())
    (tmp_path / "withdrawals").write_text(min(before))
    record.datasets.withdraw_consent(STENTS, tmp_path / "withdrawals", actor=record.who())
    assert record.release()["version"] == "1.1.0"
    after = set(record.datasets.consented(STENTS, PURPOSE, RECIPIENT)[PATIENT].to_list())
    assert min(before) not in after
    assert len(before - after) >= THRESHOLD
    entries = record.datasets.register.entries(record.datasets.table(STENTS), STENTS)
    (found,) = require_apart(entries[1], entries[:1])
    assert min(size for size in (found.joined, found.left) if size) >= 5
