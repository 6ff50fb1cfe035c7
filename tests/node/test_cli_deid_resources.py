"""`hdex deid fhir` and `dicom`: files in, files out, all or nothing, names of files tell nobody."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from tests.deid.fhir_story import observation, others, patient, story
from typer.testing import CliRunner

from hdex.deid.errors import ArgumentInvalid, ContentRefused, InputInvalid, ReleaseRefused
from hdex.deid.fhir_files import dumped, read_resources
from hdex.node.cli.deid import app
from hdex.node.errors import describe

runner = CliRunner()
IMAGES = Path(pydicom.data.__file__).parent / "test_files"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(b"k" * 32)
    return path


def run(*words: object):  # type: ignore[no-untyped-def]  # typer's result
    return runner.invoke(app, [str(word) for word in words])


def test_a_folder_comes_out_file_by_file(tmp_path: Path, key: Path) -> None:
    source, out = tmp_path / "export", tmp_path / "out"
    source.mkdir()
    (source / "Patient.ndjson").write_text(json.dumps(patient()) + "\n\n" + json.dumps(others()[-3]) + "\n")
    with gzip.open(source / "Observation.ndjson.gz", "wt") as file:
        file.write(json.dumps(observation()))
    (source / "Ostrander_Wilhelmina.json").write_text(json.dumps(story(), indent=1))
    (source / "notes.md").write_text("left out")
    made = run("fhir", source, "--out", out, "--key", key, "--detector", "rules", "--json")
    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert list(answer) == ["files", "left_out", "resources", "dropped", "by_rule"]
    assert (answer["files"], answer["left_out"], answer["resources"]) == (3, 1, 3 + 15)
    assert sorted(one.name for one in out.iterdir()) == ["Observation.ndjson.gz", "Patient.ndjson", "part-00002.json"]
    first = json.loads((out / "Patient.ndjson").read_text().splitlines()[0])
    bundle = json.loads((out / "part-00002.json").read_text())
    assert bundle["entry"][0]["resource"]["id"] == first["id"]
    packed = gzip.decompress((out / "Observation.ndjson.gz").read_bytes()).decode()
    text = "".join(path.read_text() for path in out.glob("*[nj]son")) + packed
    assert "Ostrander" not in text
    assert {one.name for one in tmp_path.iterdir()} == {"export", "out", "key"}


def test_one_file_with_presidio_and_a_random_key(tmp_path: Path) -> None:
    source, out = tmp_path / "b.json", tmp_path / "o.json"
    source.write_text(json.dumps(story()))
    made = run("fhir", source, "--out", out)
    assert made.exit_code == 0, made.output
    assert "warning" in made.stderr
    assert "Ostrander" not in out.read_text()


def test_decimals_keep_their_digits(tmp_path: Path, key: Path) -> None:
    source, out = tmp_path / "o.ndjson", tmp_path / "out.ndjson"
    exact = '"valueQuantity": {"value": 1.00, "comparator": "<", "unit": "mg"}, "component": []'
    source.write_text('{"resourceType": "Observation", "status": "final", "code": {"text": "x"}, ' + exact + "}\n")
    made = run("fhir", source, "--out", out, "--key", key, "--detector", "rules")
    assert made.exit_code == 0, made.output
    assert '"value": 1.00' in out.read_text()
    assert dumped({"a": Decimal("0.010"), "b": [1, "x"]}) == '{"a": 0.010, "b": [1, "x"]}'
    with pytest.raises(InputInvalid):
        dumped({"a": object()})


def test_a_failed_run_leaves_nothing(tmp_path: Path, key: Path) -> None:
    source, out = tmp_path / "export", tmp_path / "out"
    source.mkdir()
    (source / "a.ndjson").write_text(json.dumps(patient()))
    (source / "b.ndjson").write_text('{"resourceType": "Observation", "status": ["final"]}')
    for change in ({}, {"b.ndjson": '{"resourceType": "MolecularSequence"}'}, {"b.ndjson": "{"}, {"b.ndjson": "[1]"}):
        for name, text in change.items():
            (source / name).write_text(text)
        made = run("fhir", source, "--out", out, "--key", key, "--detector", "rules")
        assert isinstance(made.exception, InputInvalid | ReleaseRefused)
        assert not out.exists()
        assert {one.name for one in tmp_path.iterdir()} == {"export", "key"}


def test_wrong_places_are_usage_errors(tmp_path: Path, key: Path) -> None:
    source = tmp_path / "a.ndjson"
    source.write_text(json.dumps(patient()))
    base = ["fhir", source, "--key", key, "--detector", "rules", "--out"]
    assert run(*base, tmp_path / "no/where").exit_code == 2
    assert run(*base, tmp_path).exit_code == 2
    assert run(*base, tmp_path / "o", "--detector", "other").exit_code == 2
    gone = run("fhir", tmp_path / "gone", "--key", key, "--out", tmp_path / "o", "--detector", "rules")
    assert gone.exception is not None
    assert describe(gone.exception).exit_code == 3
    wrong = run(*base, tmp_path / "o", "--unknown", "keep")
    assert wrong.exception is not None
    assert describe(wrong.exception).exit_code == 2


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b\x08broken", b"[" * 100_000, b'{"resourceType": "\xff"}', gzip.compress(b"{}" * 99, mtime=0)[:20]],
)
def test_damage_names_the_file(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "a.ndjson"
    source.write_bytes(content)
    with pytest.raises(InputInvalid, match=r"a\.ndjson"):
        list(read_resources(source))


def test_a_renamed_genome_is_no_resource(tmp_path: Path, key: Path) -> None:
    source = tmp_path / "Patient.ndjson"
    source.write_bytes(gzip.compress(b"##fileformat=VCFv4.3\n", mtime=0))
    made = run("fhir", source, "--out", tmp_path / "o", "--key", key)
    assert isinstance(made.exception, ContentRefused)
    assert describe(made.exception).exit_code == 1


def test_images_come_out_as_headers_under_new_names(tmp_path: Path, key: Path) -> None:
    source, out = tmp_path / "images", tmp_path / "out"
    source.mkdir()
    (source / "CompressedSamples^CT1.dcm").write_bytes((IMAGES / "CT_small.dcm").read_bytes())
    refused = run("dicom", source, "--out", out, "--key", key)
    assert isinstance(refused.exception, ContentRefused)
    assert "--header-only" in str(refused.exception)
    assert not out.exists()
    made = run("dicom", source, "--out", out, "--key", key, "--header-only", "--dates", "shift", "--json")
    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert (answer["files"], answer["objects"]) == (1, 1)
    (file,) = out.iterdir()
    done = pydicom.dcmread(file)
    assert file.name == f"{done.SOPInstanceUID}.dcm"
    assert done.PatientIdentityRemoved == "YES"
    again = run("dicom", source, "--out", out, "--key", key, "--header-only")
    assert again.exit_code == 2  # the folder is not empty


def test_one_image_goes_to_one_file(tmp_path: Path, key: Path) -> None:
    out = tmp_path / "o.dcm"
    made = run("dicom", IMAGES / "rtplan.dcm", "--out", out, "--key", key, "--json")
    assert made.exit_code == 0, made.output
    assert pydicom.dcmread(out).Modality == "RTPLAN"
    other = tmp_path / "x.dcm"
    other.write_text("id,name\n1,Ada\n")
    assert isinstance(run("dicom", other, "--out", tmp_path / "p.dcm", "--key", key).exception, InputInvalid)
    assert isinstance(ArgumentInvalid("x"), InputInvalid)
