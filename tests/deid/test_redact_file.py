"""A file of notes: redacted line by line, or no file at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.redact_file import RedactedFile, redact_jsonl
from hdex.deid.text import Surrogates, Tags

LINES = [
    {
        "id": 1,
        "name": "王小明",
        "phone": "13800138000",
        "note": "患者王小明，王 小明来电１３８００１３８０００，2024-03-05入院",
    },
    {"id": 2, "name": "李芳", "phone": "13900139000", "note": "病情平稳"},
    {"id": 3, "name": "赵敏", "phone": "13700137000", "note": None},
]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n", "utf-8")
    return path


def run(tmp_path: Path, source: Path, **options: Any) -> tuple[RedactedFile, list[dict[str, Any]]]:
    out = tmp_path / "out.jsonl"
    chosen: dict[str, Any] = {
        "text": "note",
        "lang": "zh",
        "detector": RulesDetector(),
        "surrogate": Tags(),
        "record": ["name", "phone"],
        **options,
    }
    done = redact_jsonl(source, out, **chosen)
    return done, [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_every_line_is_kept_and_its_identifiers_are_not(tmp_path: Path) -> None:
    done, lines = run(tmp_path, write(tmp_path / "in.jsonl", LINES))
    assert lines[0] == {"id": 1, "note": "患者[NAME]，[NAME]来电[PHONE]，[DATE]入院"}
    assert [line["note"] for line in lines[1:]] == ["病情平稳", None]
    assert (done.notes, done.residue) == (3, 0)
    assert done.counts == {"DATE": 1, "NAME": 2, "PHONE": 1}


def test_spans_are_code_points_of_the_input_text(tmp_path: Path) -> None:
    _, lines = run(tmp_path, write(tmp_path / "in.jsonl", LINES), with_spans=True, surrogate=Surrogates(b"k" * 32))
    text = str(LINES[0]["note"])
    assert [text[s["start"] : s["end"]] for s in lines[0]["spans"]] == [
        "王小明",
        "王 小明",
        "１３８００１３８０００",
        "2024-03-05",
    ]
    assert {tuple(sorted(s)) for s in lines[0]["spans"]} == {("end", "rule", "start", "type")}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "0 lines"),
        ("{}\n", "in.jsonl:1: fields"),
        ('{"note": "x", "name": "", "phone": ""}\nnot json\n', "in.jsonl:2: no JSON"),
        ("[1]\n", "asked is a JSON object"),
        ('{"note": 5, "name": "", "phone": ""}\n', "asked is text"),
    ],
)
def test_a_broken_file_is_named_by_line_and_leaves_no_output(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "in.jsonl").write_text(content, "utf-8")
    with pytest.raises(InputInvalid, match=match):
        run(tmp_path, tmp_path / "in.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_text_that_was_not_read_to_its_end_leaves_no_output(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    slow = RulesDetector(timeout_s=2.0, clock=lambda: float(next(ticks)))
    with pytest.raises(DetectorTimeout):
        run(tmp_path, write(tmp_path / "in.jsonl", LINES), detector=slow)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputInvalid, match="UTF-8"):
        run(tmp_path, tmp_path / "in.jsonl")
