"""The node reads no genome, picture, document or archive, whatever the file is called."""

import gzip
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdex.deid.errors import ContentRefused
from hdex.node.cli.deid import app
from hdex.node.errors import describe
from hdex.node.sources import read_export

VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n20\t14370\trs6054257\tG\tA\t29\tPASS\t.\n"


@pytest.mark.parametrize("name", ["patients.csv", "Patient.ndjson", "patients.csv.gz", "patients.parquet", "readme"])
@pytest.mark.parametrize("content", [VCF, gzip.compress(VCF), b"%PDF-1.7\n", b"PK\x03\x04" + bytes(60)])
def test_an_export_with_a_renamed_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "encounters.csv").write_text("id,day\n1,2020-01-01\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContentRefused) as refused:
        read_export(tmp_path)
    assert describe(refused.value).exit_code == 1
    assert refused.value.level == (5 if b"PDF" not in content and b"PK" not in content else 4)


@pytest.mark.parametrize(
    "verb",
    [
        ["classify", "INPUT"],
        ["anonymize", "INPUT", "--quasi", "a", "--out", "o.csv"],
        ["verify", "INPUT", "--quasi", "a"],
        ["redact", "INPUT", "--text", "note", "--out", "o.jsonl"],
    ],
)
def test_every_verb_looks_at_its_input_first(verb: list[str], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(gzip.compress(VCF))
    ended = CliRunner().invoke(app, [str(path) if word == "INPUT" else word for word in verb])
    assert isinstance(ended.exception, ContentRefused)
    assert "level 5" in str(ended.exception)
