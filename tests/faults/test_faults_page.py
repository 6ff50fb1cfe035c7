"""docs/faults.md and docs/threats.md name tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("page", "head"), [("faults.md", "| fault"), ("threats.md", "| attack |")])
def test_every_row_names_tests_that_exist(page: str, head: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith((head, "| ---"))]
    assert rows
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row) for row in rows]
    assert [row for row, found in zip(rows, named, strict=True) if not found] == []
    missing = [(file, test) for row in named for file, test in row if test not in defined_in(ROOT / file)]
    assert missing == []


def defined_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}
