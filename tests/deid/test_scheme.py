"""A scheme is a file: another count of levels, other categories, no other code. What is not understood is refused."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from hdex.deid.classify import classify_columns, classify_dataset
from hdex.deid.columns import Category, LevelDecision, NationalGrade
from hdex.deid.errors import PolicyInvalid, ReleaseRefused
from hdex.deid.policy import parse_policy
from hdex.deid.scheme import Scheme, load_catalogue, load_scheme, modes
from hdex.deid.treatment import study_weights, worth

DATA = Path(__file__).resolve().parents[2] / "deid/hdex/deid/data"
FOUR = DATA / "schemes/local_four.toml"


def level_of(scheme: Scheme, column: str, *values: str, k: int | None = None) -> tuple[int, int]:
    profiles = classify_columns(pl.DataFrame({column: list(values)}, schema={column: pl.String}), scheme=scheme)
    decision = classify_dataset(profiles, inclusion=[], k_without_suppression=k, scheme=scheme)
    return decision.level, decision.may_lower_to


def test_a_scheme_of_four_levels_loads_without_code() -> None:
    scheme = load_scheme(FOUR)
    assert [level.number for level in scheme.level] == [1, 2, 3, 4]
    assert level_of(scheme, "unit") == (1, 1)
    assert level_of(scheme, "sex") == (2, 2)
    assert level_of(scheme, "ssn") == (3, 2)
    assert level_of(scheme, "hiv_status") == (4, 4)
    assert level_of(scheme, "diagnosis", "I10", "B20") == (4, 4)
    assert level_of(scheme, "unit", k=3) == (2, 2)
    assert modes(2, scheme) == ("sealed_file", "enclave", "query", "federated")


def test_a_scheme_names_categories_in_its_own_words() -> None:
    scheme = load_scheme(FOUR)
    assert {scheme.category_code(c) for c in Category} == {"person", "care", "institution"}
    assert [load_scheme().category_code(c) for c in Category] == [c.value for c in Category]


def test_without_a_mapping_levels_above_the_highest_become_the_highest(tmp_path: Path) -> None:
    text = re.sub(r"from_house = .*\n", "", FOUR.read_text("utf-8"))
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    assert [load_scheme(path).local(n) for n in range(1, 6)] == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        ("unique_k = 10", "unikue_k = 10", "did you mean unique_k?"),
        ("unique_k = 10", 'unique_k = "ten"', "unique_k is of type str, asked is int"),
        ("unique_k = 10", "", "lacks unique_k"),
        ("number = 3", "number = 7", "levels \\[1, 2, 4, 7\\]"),
        ("direct_level = 3", "direct_level = 6", "level asked is 6"),
        ("from_house = [1, 2, 2, 3, 4]", "from_house = [1, 2, 3]", "asked are 5"),
        ("from_house = [1, 2, 2, 3, 4]", "from_house = [1, 2, 3, 4, 5]", "level asked is 5"),
        ('house = ["personal_attribute"]', 'house = ["personal_atribute"]', "did you mean personal_attribute?"),
        ("lowers_to = 1", 'lowers_to = "one"', "lowers_to is of type str"),
        ("not_words = []", "no_words = []", "group genetics has the unknown key no_words; did you mean not_words?"),
        ('id = "local-four"', 'id = "local-four', "Illegal|Unterminated|Expected"),
    ],
)
def test_what_a_scheme_says_wrong_is_named_with_the_nearest_key(
    tmp_path: Path, found: str, put: str, message: str
) -> None:
    text = FOUR.read_text("utf-8")
    assert found in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(found, put, 1), "utf-8")
    with pytest.raises(PolicyInvalid, match=message):
        load_scheme(path)


def test_an_unknown_key_of_a_policy_is_named_with_the_nearest() -> None:
    with pytest.raises(PolicyInvalid, match=r"unknown keys supression; did you mean suppression\?"):
        parse_policy('preset = "controlled"\nsupression = 0.1')


def test_an_unknown_key_of_the_catalogue_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "elements.toml"
    path.write_text((DATA / "elements.toml").read_text("utf-8").replace("hipaa = 1\n", "hippa = 1\n", 1), "utf-8")
    with pytest.raises(PolicyInvalid, match=r"did you mean hipaa\?"):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("code", "role", "hipaa", "method"),
    [
        ("trace_code", "direct", 18, "keep_product_part"),
        ("device_udi", "direct", 13, "keep_device_part"),
        ("device_serial", "direct", 13, "remove"),
        ("device_expiry", "direct", 13, "remove"),
        ("insurance_number", "direct", 9, "remove"),
        ("settlement_number", "direct", 10, "pseudonymise"),
        ("bed", "direct", 18, "remove"),
        ("front_page_number", "direct", 8, "pseudonymise"),
        ("staff_id", "direct", 18, "pseudonymise"),
    ],
)
def test_the_numbers_of_a_hospital_are_in_the_catalogue(code: str, role: str, hipaa: int, method: str) -> None:
    element = load_catalogue().by_code[code]
    assert (element.role.value, element.hipaa, element.method, element.level) == (role, hipaa, method, 4)


def test_every_identifier_of_safe_harbor_and_every_category_is_covered() -> None:
    elements = load_catalogue().elements
    assert {e.hipaa for e in elements} >= set(range(1, 19))
    assert {e.category for e in elements} == set(Category)
    assert all(e.en and e.zh and not e.en.isspace() and any(c >= "\u4e00" for c in e.zh) for e in elements)
    assert all(
        e.pipl for e in elements if e.category is Category.PERSONAL_ATTRIBUTE and e.level == 4 and e.code != "url"
    )


def decided(grade: NationalGrade, assessment: str = "") -> LevelDecision:
    return LevelDecision(3, ("x",), 2, 2, national_grade=grade, assessment=assessment)


def test_core_is_never_a_product_and_important_needs_its_assessment() -> None:
    decided(NationalGrade.GENERAL).require_product()
    decided(NationalGrade.IMPORTANT, "PG-2026-7").require_product()
    for refused in (decided(NationalGrade.CORE), decided(NationalGrade.CORE, "x"), decided(NationalGrade.IMPORTANT)):
        with pytest.raises(ReleaseRefused, match="national grade"):
            refused.require_product()


def test_important_data_without_an_assessment_stays_in_the_country() -> None:
    assert decided(NationalGrade.IMPORTANT).stays_in_country
    assert decided(NationalGrade.CORE, "x").stays_in_country
    assert not decided(NationalGrade.IMPORTANT, "PG-2026-7").stays_in_country
    assert not decided(NationalGrade.GENERAL).stays_in_country


def test_what_a_study_asks_is_worth_more_than_what_the_house_says() -> None:
    profiles = classify_columns(pl.DataFrame({"stent_model": [], "age": [], "diagnosis": []}))
    asked = study_weights(profiles, "carotid_stent")
    assert asked["stent_model"] > asked["age"] > 0
    assert "diagnosis" not in asked
    assert worth()["age"] > worth()["implant_model"]
    assert study_weights(profiles, "of another view") == study_weights(profiles, "") == {}
