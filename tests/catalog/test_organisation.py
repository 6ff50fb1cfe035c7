"""Codes of organisations against published ones, and what a declaration may say. Vectors name their sources."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.node.access_stage import declaration

from hdex.catalog.documents import from_document, to_document
from hdex.catalog.errors import DocumentInvalid, OrganisationInvalid
from hdex.catalog.organisation import LEI, USCC_ALPHABET, Organisation, is_lei, is_plain, is_uscc

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "organisation_codes.json").read_text(encoding="utf-8"))
CHECKS = {"uscc": is_uscc, "lei": is_lei}
TRIPS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'\";--")


@pytest.mark.parametrize("kind", CHECKS)
def test_published_codes_hold_and_altered_ones_do_not(kind: str) -> None:
    assert [code for code in VECTORS[kind]["valid"] if not CHECKS[kind](code)] == []
    assert [code for code in VECTORS[kind]["invalid"] if CHECKS[kind](code)] == []


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VECTORS["uscc"]["valid"]), st.integers(0, 17), st.sampled_from(USCC_ALPHABET))
def test_one_wrong_character_of_a_credit_code_is_noticed(code: str, place: int, mark: str) -> None:
    assert is_uscc(code[:place] + mark + code[place + 1 :]) == (code[place] == mark)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VECTORS["lei"]["valid"]), st.integers(0, 18))
def test_two_digits_of_an_lei_that_changed_places_are_noticed(code: str, place: int) -> None:
    assume(code[place].isdigit() and code[place + 1].isdigit())  # a letter and a digit may hide each other
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert is_lei(swapped) == (swapped == code)


@settings(max_examples=200, deadline=None)
@given(st.from_regex(LEI, fullmatch=True))
def test_one_lei_in_97_holds_by_the_definition(code: str) -> None:
    number = 0
    for mark in code:  # digit by digit, another way than the code's
        number = (number * (100 if mark.isalpha() else 10) + int(mark, 36)) % 97
    assert is_lei(code) == (number == 1)


def organisation(**given: Any) -> Organisation:
    return from_document(Organisation, declaration("buyer-heartline", **given), "organisation")


def test_a_declaration_comes_back_from_its_document_unchanged() -> None:
    found = organisation(breaches=[{"date": "2025-01-31", "what": "a lost laptop", "notified": True}])
    assert from_document(Organisation, to_document(found)) == found


def test_an_organisation_abroad_is_known_by_its_lei() -> None:
    assert organisation(country="DE", code="529900T8BM49AURSDO55").country == "DE"
    for country, code in (("DE", "91350100M000100Y43"), ("CN", "529900T8BM49AURSDO55")):
        with pytest.raises(OrganisationInvalid) as refused:
            organisation(country=country, code=code)
        assert refused.value.rule == "organisation.code"
        assert code not in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"participant": "../x"},
        {"country": "China"},
        {"name": {"en": " ", "zh": ""}},
        {"name": {"en": "x" * 201, "zh": ""}},
        {"name": {"en": "a\x00b", "zh": ""}},
        {"name": {"en": "abc\u202edcba", "zh": ""}},
        {"foreign_share_percent": -0.1},
        {"foreign_share_percent": 100.5},
        {"foreign_share_percent": 60.0},  # above half and not under foreign control
        {"foreign_share_percent": "60"},
        {"storage_countries": []},
        {"storage_countries": ["CN"] * 51},
        {"storage_countries": ["cn"]},
        {"security_grade": 6},
        {"security_grade": 3, "security_certificate": ""},
        {"security_expires": "2026-02-30"},
        {"licence_expires": "20270101"},
        {"affiliates": [{"code": "91350100M000100Y44", "name": {"en": "x", "zh": ""}}]},
        {"affiliates": [{"code": "91350100M000100Y43", "name": {"en": "itself", "zh": ""}}]},
        {"affiliates": [{"code": "91110000600037341L", "name": {"en": "x", "zh": ""}}] * 2},
        {"persons": []},
        {"persons": [{"name": "", "role": "officer"}]},
        {"breaches": [{"date": "yesterday", "what": "x", "notified": True}]},
        {"statement": "x" * 4001},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_right_is_refused_with_the_field(changed: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        organisation(**changed)


@pytest.mark.parametrize("text", TRIPS)
def test_markup_and_formulas_are_kept_as_the_text_they_are(text: str) -> None:
    assert organisation(name={"en": text, "zh": text}, statement=text).name.en == text


def test_hidden_characters_are_no_text() -> None:
    assert is_plain("two lines\n\tof text, 两行")
    assert not any(map(is_plain, ("\r", "\x1b[31m", "\x7f", "\x85", "\ud800", "\u2066x")))
