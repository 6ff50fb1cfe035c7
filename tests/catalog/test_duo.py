"""The pre-check: every term of the Data Use Ontology, one question each, one answer and the rule that gave it."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.duo import Advice, precheck
from hdex.catalog.errors import DocumentInvalid
from hdex.catalog.purposes import covers, modifiers, purposes
from hdex.catalog.terms import AccessRequest, Terms

ROOT = Path(__file__).resolve().parents[1]
VECTORS = json.loads((ROOT / "vectors" / "duo.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in VECTORS["cases"]}
NOW = "2026-11-22T12:00:00Z"
LIMIT_TERMS = {"DUO:0000001", "DUO:0000017"}  # names of the two kinds, no terms of their own


@pytest.mark.parametrize("name", list(CASES))
def test_a_definition_of_the_ontology_is_kept(name: str) -> None:
    case = CASES[name]
    found = precheck(case["terms"], case["request"], at=NOW)
    assert (found.advice.value, found.rule) == (case["advice"], case["rule"])
    assert found.why.en
    assert found.next.zh


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(CASES) == len(VECTORS["cases"]) >= 60


def test_no_term_of_the_ontology_is_missing_and_each_is_tried() -> None:
    path = ROOT.parents[1] / "shared/data/duo_ontology/duo.csv"
    if not path.exists():
        pytest.skip("../shared/data is absent")
    with path.open(encoding="utf-8") as lines:
        published = {row["id"] for row in csv.DictReader(lines)} - LIMIT_TERMS
    assert published <= {**purposes(), **modifiers()}.keys()
    tried = " ".join(case["source"] for case in CASES.values())
    assert [code for code in published if code not in tried] == []


ASKED = st.sampled_from(list(purposes()))


@given(permitted=ASKED, purpose=ASKED, wider=ASKED)
def test_what_is_approved_under_a_purpose_is_approved_under_a_wider_one(
    permitted: str, purpose: str, wider: str
) -> None:
    request = AccessRequest(purpose=purpose, recipient="a", at=NOW, disease="I63")
    narrow = precheck(Terms(permitted=(permitted,), diseases=("I63",)), request, at=NOW)
    if narrow.advice is Advice.APPROVE and covers(wider, permitted):
        assert precheck(Terms(permitted=(wider,), diseases=("I63",)), request, at=NOW).advice is Advice.APPROVE


@given(permitted=ASKED, purpose=ASKED, limits=st.sets(st.sampled_from(list(modifiers()))))
def test_a_modifier_never_approves_what_was_not(permitted: str, purpose: str, limits: set[str]) -> None:
    added = tuple(limits - {"DUO:0000043"})  # the one that permits
    request = AccessRequest(purpose=purpose, recipient="a", at=NOW, disease="I63", country="CN")
    free = Terms(permitted=(permitted,), diseases=("I63",))
    limited = Terms(permitted=(permitted,), diseases=("I63",), modifiers=added, countries=("CN",))
    if precheck(limited, request, at=NOW).advice is Advice.APPROVE:
        assert precheck(free, request, at=NOW).advice is Advice.APPROVE


@pytest.mark.parametrize(
    ("terms", "request_", "problem"),
    [
        ({"hmbResearch": True, "fullMoon": True}, {"hmbResearch": True}, "unknown field 'fullMoon'"),
        ({"hmbResearch": 3}, {"hmbResearch": True}, "yes or no"),
        ({"diseaseRestrictions": [3]}, {"hmbResearch": True}, "a disease id"),
        ({"diseaseRestrictions": ["DOID:4"] * 1001}, {"hmbResearch": True}, "at most 1000"),
        ({"codes": ["DUO:9999999"]}, {"hmbResearch": True}, "the vocabulary does not have"),
        ({"poa": True, "populationOriginsAncestry": False}, {"hmbResearch": True}, "said twice"),
        ({"hmbResearch": True}, {"ancestors": ["DOID:4"]}, "an object of"),
        ({"hmbResearch": True}, {"diseases": "DOID:4", "recipient": 3}, "a text of"),
        ({"permitted": ["DUO:0000006"], "colour": "red"}, {"purpose": "DUO:0000006"}, "unknown field 'colour'"),
        ({"permitted": ["DUO:0000007"]}, {"purpose": "DUO:0000006"}, "diseases is empty"),
        ({"permitted": ["DUO:0000006"]}, {"purpose": "DUO:0000006", "mood": "good"}, "unknown field 'mood'"),
        ({"terms": [1]}, {"purpose": "DUO:0000006"}, "an object is asked"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    terms: dict[str, object], request_: dict[str, object], problem: str
) -> None:
    with pytest.raises(DocumentInvalid, match=problem):
        precheck(terms, request_, at=NOW)


def test_terms_are_found_in_a_manifest_signed_or_bare() -> None:
    request = {"purpose": "DUO:0000007", "disease": "I65.2", "ethics_approval": "2026-114"}
    product = sample_product().document()
    assert precheck(product, request, at=NOW).advice is Advice.APPROVE
    assert precheck({"document": product, "signatures": []}, request, at=NOW).advice is Advice.APPROVE
    assert precheck(product, {**request, "disease": "E11"}, at=NOW).rule == "purpose.disease"


def test_an_applicant_s_own_clock_does_not_count() -> None:
    terms = Terms(permitted=("DUO:0000006",), expires="2026-06-01T00:00:00Z")
    request = AccessRequest(purpose="DUO:0000006", recipient="a", at="2020-01-01T00:00:00Z")
    assert precheck(terms, request, at=NOW).rule == "terms.expired"
