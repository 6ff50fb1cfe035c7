"""One patient in a table, in FHIR resources and in an image: the same pseudonym, the same shift, under the same key."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deid.test_dicom import image

from hdex.deid import partitions
from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.dicom import deidentify_dicom
from hdex.deid.dicom_profile import DicomPolicy
from hdex.deid.errors import InputInvalid, PolicyInvalid
from hdex.deid.fhir import FhirPolicy, deidentify_resources
from hdex.deid.partition import read_master
from hdex.deid.pipeline import deidentify
from hdex.deid.policy import preset
from hdex.deid.pseudonym import derive_keys
from hdex.deid.recipe import Request
from hdex.deid.resource_keys import ResourceKeys, patient_keys

MASTER = bytes(range(32))
WHO = {"recipient": "buyer-heartline", "project": "stent"}
NUMBER, DAY = "GT-884512", date(2019, 5, 6)
IMAGES = DicomPolicy(header_only=True, dates="shift")
MR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}


def in_table(**whose: str) -> tuple[str, int]:
    """The patient's pseudonym and shift in a released table."""
    numbers = [NUMBER, *(f"P{i:03}" for i in range(40))]
    frame = pl.DataFrame({"person_id": numbers, "seen": [DAY] * len(numbers)})
    known = [
        ColumnProfile("t", "person_id", Role.DIRECT, Category.PERSONAL_ATTRIBUTE, 4),
        ColumnProfile("t", "seen", Role.OTHER, Category.HEALTH_STATUS, 4),
    ]
    keys = derive_keys(MASTER, **(WHO | whose))
    made = deidentify(frame, known, preset("controlled"), keys=keys, patient="person_id", seed=1)
    row = made.frame.row(made.source_rows.to_list().index(0), named=True)
    return row["person_id"], (row["seen"] - DAY).days


def in_resources(patient: dict[str, Any], policy: FhirPolicy | None = None, **whose: str) -> tuple[str, int]:
    """The same of a FHIR Patient, by an Observation that is about him."""
    seen: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient['id']}"},
        "effectiveDateTime": DAY.isoformat(),
    }
    keys = ResourceKeys.of(MASTER, **(WHO | whose))
    who, what = deidentify_resources([patient, seen], key=keys, detector=RulesDetector(), policy=policy)
    identifiers: Iterable[Any] = who["identifier"]  # type: ignore[assignment]  # a list of identifiers
    (own,) = [one["value"] for one in identifiers if one["system"] == "urn:hdex:patient"]
    return own, (date.fromisoformat(str(what["effectiveDateTime"])) - DAY).days


def in_image(number: str, **whose: str) -> tuple[str, int]:
    """The same of a DICOM header."""
    done = deidentify_dicom(image(PatientID=number), key=ResourceKeys.of(MASTER, **(WHO | whose)), policy=IMAGES)
    moved = str(done.StudyDate)
    return str(done.PatientID), (date(int(moved[:4]), int(moved[4:6]), int(moved[6:])) - DAY).days


def patient(number: str = NUMBER, **more: object) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": number, **more}


@pytest.mark.parametrize("whose", [{}, {"project": "other"}, {"recipient": "other"}])
def test_one_patient_lines_up_in_table_resources_and_image(whose: Any) -> None:
    table = in_table(**whose)
    assert in_resources(patient(), **whose) == in_image(NUMBER, **whose) == table
    assert table[1] != 0


def test_another_project_or_recipient_has_another_pseudonym_everywhere() -> None:
    told = [in_table(**whose)[0] for whose in ({}, {"project": "other"}, {"recipient": "other"})]
    assert len(set(told)) == 3


@pytest.mark.parametrize("written", [f" {NUMBER} ", f"{NUMBER}\t", "ＧＴ－８８４５１２"])
def test_an_image_pads_a_number_and_it_stays_the_same_patient(written: str) -> None:
    if not written.isascii():
        image_of = ResourceKeys.of(MASTER, **WHO)
        assert image_of.patients([written]) == image_of.patients([NUMBER])
        return
    assert in_image(written) == in_image(NUMBER)


def test_where_images_bear_the_record_number_resources_can_too() -> None:
    record = patient("0b9f5c06-94b5-4e6b-9d3c-1c2d3e4f5a6b", identifier=[{"type": MR, "system": "s", "value": NUMBER}])
    assert in_resources(record, FhirPolicy(patient="record")) == in_image(NUMBER)
    assert in_resources(record) != in_image(NUMBER)
    with pytest.raises(InputInvalid, match="1 of 1 patients have no identifier of type MR"):
        in_resources(patient(), FhirPolicy(patient="record"))
    with pytest.raises(PolicyInvalid, match="patient is name, asked is id or record"):
        FhirPolicy(patient="name")


def test_partitions_of_a_large_table_line_up_too(tmp_path: Path) -> None:
    numbers = [NUMBER, *(f"P{i:03}" for i in range(40))]
    pl.DataFrame({"person_id": numbers, "sex": ["F"] * 41, "seen": [DAY] * 41}).write_parquet(tmp_path / "in.parquet")
    (tmp_path / "key").write_bytes(MASTER)
    (tmp_path / "key").chmod(0o600)
    asked = Request(quasi=("sex",), patient="person_id", shift=("seen",), shift_days=3650)
    asked = replace(asked, recipient=WHO["recipient"], project=WHO["project"])
    partitions.run(tmp_path / "in.parquet", asked, out=tmp_path / "out", master=read_master(tmp_path / "key"))
    written = pl.read_parquet(tmp_path / "out" / "*.parquet")
    name, days = in_image(NUMBER)
    (row,) = written.filter(pl.col("person_id") == name).rows(named=True)
    assert (row["seen"] - DAY).days == days


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20))
def test_a_number_is_normalised_once_and_for_all(text: str) -> None:
    once = patient_keys(pl.Series([text]))
    assert patient_keys(once).equals(once)


def test_two_numbers_that_would_become_one_are_refused_without_being_told() -> None:
    with pytest.raises(InputInvalid, match="1 numbers of patients of column person_id differ") as refused:
        patient_keys(pl.Series("person_id", ["A1", "A1 ", "B2", None]))
    assert "A1" not in str(refused.value)
