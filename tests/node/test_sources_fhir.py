"""FHIR R4 NDJSON and Parquet become tables of text; a bad line is named."""

import gzip
import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from hdex.node.sources import SourceBroken, SourceUnknown, read_export

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
PATIENT: dict[str, object] = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"type": {"coding": [{"code": "MR"}]}, "value": "M-1"},
        {"type": {"coding": [{"code": "SS"}]}, "value": "999-11-2222"},
    ],
    "name": [{"use": "old", "family": "Before"}, {"use": "official", "family": "Now", "given": ["Ann", "Bo"]}],
    "gender": "female",
    "birthDate": "1960-02-03",
    "telecom": [{"system": "email", "value": "a@x"}, {"system": "phone", "value": "555-1"}],
}
PRESSURE: dict[str, object] = {
    "resourceType": "Observation",
    "id": "o1",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "effectiveDateTime": "2024-03-05T10:00:00+08:00",
    "component": [
        {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 141, "code": "mm[Hg]"}},
        {"code": {"coding": [{"code": "8462-4"}]}, "valueQuantity": {"value": 88.5, "code": "mm[Hg]"}},
    ],
}


def write(path: Path, *resources: dict[str, object]) -> None:
    path.write_text("\n".join(json.dumps(resource) for resource in resources) + "\n")


def test_a_patient_is_flattened_by_its_declared_view(tmp_path: Path) -> None:
    write(tmp_path / "Patient.ndjson", PATIENT)
    row = read_export(tmp_path).tables["patient"].frame.row(0, named=True)
    assert (row["record_number"], row["ssn"]) == ("M-1", "999-11-2222")
    assert (row["family_name"], row["given_name"], row["phone"]) == ("Now", "Ann Bo", "555-1")
    assert (row["_file"], row["_row"]) == ("Patient.ndjson", 1)


def test_blood_pressure_gives_one_row_per_component_and_none_for_the_panel(tmp_path: Path) -> None:
    write(tmp_path / "Observation.ndjson", PRESSURE, PRESSURE | {"component": [], "valueString": "x"})
    frame = read_export(tmp_path).tables["observation"].frame
    assert frame.select("patient", "code", "value", "_row").rows() == [
        ("p1", "8480-6", "141", 1),
        ("p1", "8462-4", "88.5", 1),
        ("p1", "85354-9", None, 2),
    ]


def test_a_bundle_and_packed_lines_are_read_the_same(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}, {"resource": PRESSURE}]}
    (tmp_path / "b.json").write_text(json.dumps(bundle, indent=1))
    (tmp_path / "Patient.ndjson.gz").write_bytes(gzip.compress(json.dumps(PATIENT).encode()))
    export = read_export(tmp_path)
    assert export.tables["patient"].frame.height == 2
    assert export.tables["patient"].files == ("Patient.ndjson.gz", "b.json")
    assert export.tables["observation"].frame.height == 2


@pytest.mark.parametrize("bad", ['{"resourceType": "Patient", "id": ', "[1]", '{"id": "x"}', '"text"', "[" * 100_000])
def test_a_bad_line_is_named_and_nothing_is_taken(tmp_path: Path, bad: str) -> None:
    (tmp_path / "Patient.ndjson").write_text(json.dumps(PATIENT) + "\n" + bad + "\n")
    with pytest.raises(SourceBroken, match=r"Patient\.ndjson, line 2"):
        read_export(tmp_path)


def test_types_without_a_view_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "All.ndjson", PATIENT, {"resourceType": "Goal", "id": "g"})
    assert read_export(tmp_path).warnings == ("All.ndjson: no view takes 1 resources of type Goal",)


def test_parquet_becomes_text_with_iso_dates(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1, 2], "born": [date(1960, 2, 3), None]}).write_parquet(tmp_path / "p.parquet")
    table = read_export(tmp_path).tables["p"]
    assert table.frame.select("id", "born", "_row").rows() == [("1", "1960-02-03", 1), ("2", None, 2)]
    assert table.dialect.date_pattern("born") == "YYYY-MM-DD"


def test_broken_and_nested_parquet_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(SourceBroken, match=r"p\.parquet"):
        read_export(tmp_path)
    pl.DataFrame({"id": [1], "many": [[1, 2]]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(SourceUnknown, match="many"):
        read_export(tmp_path)


def test_the_shared_fhir_export_is_read_whole() -> None:
    folder = SHARED / "hospitals_fhir/hospital_a"
    if not folder.exists():
        pytest.skip("../shared/data is absent")
    export = read_export(folder)
    assert export.kind == "fhir"
    assert export.tables["patient"].frame.height == 96
    codes = export.tables["observation"].frame["code"]
    assert (codes == "8480-6").sum() == (codes == "8462-4").sum() == 886
