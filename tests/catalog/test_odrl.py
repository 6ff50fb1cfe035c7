"""Policies of the recommendation's every clause: one question each, one answer, the rule that gave it."""

import json
from pathlib import Path
from typing import Any

import pytest

from hdex.catalog.odrl import ask

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "odrl.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in VECTORS["cases"]}


@pytest.mark.parametrize("name", list(CASES))
def test_a_clause_of_the_recommendation_is_kept(name: str) -> None:
    case = CASES[name]
    answer: Any = ask(case["policy"], case["request"], case.get("world"))
    assert answer["outcome"] == case["outcome"], answer
    if "rule" in case:
        assert answer["rule"] == (case["rule"] or None), answer
    duties = {one["duty"]: one["state"] for one in answer["duties"]}
    assert duties == {**duties, **case.get("duties", {})}
    active = {one["rule"]: one["activationState"] for one in answer["rules"]}
    assert active == {**active, **case.get("active", {})}


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(CASES) == len(VECTORS["cases"]) >= 80
