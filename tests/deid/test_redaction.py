"""A file of notes in, the redacted one out."""

import json
from datetime import date
from pathlib import Path

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import ArgumentInvalid, DetectorTimeout, InputInvalid
from hdex.deid.redaction import Answer, redact_file
from hdex.deid.rules import Rule
from hdex.deid.surrogates import Mention, Surrogates, Tags

LINES = [
    {"name": "Wilhelmina Ostrander", "note": "Seen: Wilhelmina Ostrander, call 555-201-3344."},
    {"name": "Bao Li", "note": None},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\n")
    return path


def run(source: Path, out: Path, **changes: object) -> Answer:
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
    [
        (b"", "0 lines"),
        (b"{", "in.jsonl line 1 is not JSON"),
        (b"[]", "in.jsonl line 1 is a list"),
        (b"\xff\xfe", "in.jsonl line 1 is not UTF-8"),
        (b'{"note": "x"}\n\n{"note": "\\ud800"}', "in.jsonl line 3 is not UTF-8"),
        (b'{"note": "x"}\n{"note": 7}', "in.jsonl line 2: field note is a int"),
        (b"[" * 100_000, "in.jsonl line 1 is not JSON"),
    ],
)
def test_broken_files_are_named_and_leave_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputInvalid, match=message):
        run(path, tmp_path / "out.jsonl")
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_field_that_is_not_there_is_a_usage_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentInvalid, match="2 of 2 lines"):
        run(source, tmp_path / "out.jsonl", text="notes")


def test_fields_of_the_record_that_a_line_lacks_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [{"name": "Bao Li", "note": "x"}, {"name": "", "note": "y"}, {"note": "z"}]
    source.write_text("\n".join(json.dumps(line) for line in lines))
    assert run(source, tmp_path / "out.jsonl")["record_fields_missing"] == {"name": 2}


def test_a_field_of_the_record_that_no_line_has_is_a_usage_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentInvalid, match=r"\['nmae'\] of the record stand in 0 of 2 lines"):
        run(source, tmp_path / "out.jsonl", record=["name", "nmae"])


def test_a_note_that_is_not_read_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"note": "fine"}) + "\n" + json.dumps({"note": "a" * 5000 + "b"}))
    slow = RulesDetector({"en": (Rule.of("slow", "ID", r"(?:a|aa)+$"),)}, timeout_s=0.05)
    with pytest.raises(DetectorTimeout, match="note 2 of 2"):
        run(source, tmp_path / "out.jsonl", record=[], detector=slow)
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]


def test_lines_with_one_record_are_of_one_patient(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    notes = ["Ann Lee came 2024-03-05.", "Ann Lee came 2024-03-07.", "Bo Ray came 2024-03-05."]
    lines = [{"name": " ".join(note.split()[:2]), "note": note} for note in notes]
    source.write_text("\n".join(json.dumps(line) for line in lines))
    run(source, tmp_path / "out.jsonl", surrogate=Surrogates(bytes(32)))
    texts = [json.loads(line)["note"].split(" came ") for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    days = [date.fromisoformat(text[1].rstrip(".")) for text in texts]
    assert texts[0][0] == texts[1][0] != texts[2][0]
    assert (days[1] - days[0]).days == 2
    assert days[0] not in {days[2], date(2024, 3, 5)}


@pytest.mark.parametrize(
    ("kind", "surface", "day_first", "made"),
    [
        ("DATE", "03/05/2024", True, "06/05/2024"),
        ("DATE", "03/05/2024", False, "03/08/2024"),
        ("DATE", "3-5-24", True, "6-5-24"),
        ("DATE", "2024-03-05", True, "2024-03-08"),
        ("AGE", "32 años", True, "30-39 años"),
        ("AGE", "93", False, "90+"),
        ("AGE", "tres meses", True, "[AGE]"),
        ("SEX", "varón", True, "[SEX]"),
    ],
)
def test_days_ages_and_unknown_types(kind: str, surface: str, day_first: bool, made: str) -> None:
    mention = Mention(kind, surface, surface, "full", "p", 3)
    assert Surrogates(bytes(32), day_first=day_first).replace(mention) == made
