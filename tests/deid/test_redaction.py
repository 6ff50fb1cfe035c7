"""A file of notes in, the redacted one out."""

import json
from pathlib import Path

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.redaction import redact_file
from hdex.deid.text import Surrogates, Tags

LINES = [
    {"name": "Wilhelmina Ostrander", "note": "Seen: Wilhelmina Ostrander, call 555-201-3344."},
    {"name": "Bao Li", "note": None},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\n")
    return path


def run(source: Path, out: Path, **changes: object) -> dict[str, object]:
    arguments: dict[str, object] = {
        "out": out,
        "text": "note",
        "lang": "en",
        "detector": RulesDetector(),
        "surrogate": Tags(),
        "record": ["name"],
    } | changes
    return redact_file(source, **arguments)  # type: ignore[arg-type]  # a mapping of the right values


def test_the_own_name_is_gone_and_spans_point_into_the_input(source: Path, tmp_path: Path) -> None:
    answer = run(source, tmp_path / "out.jsonl", with_spans=True)
    first, second = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "Ostrander" not in first["note"]
    assert second["note"] is None
    names = [LINES[0]["note"][s["start"] : s["end"]] for s in first["spans"] if s["type"] == "NAME"]  # type: ignore[index]
    assert names == ["Wilhelmina Ostrander"]
    assert answer["rows"] == 2


def test_the_same_key_gives_the_same_surrogates(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "a.jsonl", surrogate=Surrogates(bytes(32)))
    run(source, tmp_path / "b.jsonl", surrogate=Surrogates(bytes(32)))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "0 lines"), (b"{", "line 1 is not JSON"), (b"[]", "line 1 is a list"), (b"\xff\xfe", "UTF-8")],
)
def test_broken_files_are_named_and_leave_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputInvalid, match=message):
        run(path, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_field_that_is_not_there_is_a_usage_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentInvalid, match="2 of 2 lines"):
        run(source, tmp_path / "out.jsonl", text="notes")
