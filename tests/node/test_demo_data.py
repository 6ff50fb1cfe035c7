"""What `hdex demo --data` checks before it starts, and what it looks for afterwards."""

from dataclasses import replace

import polars as pl
import pytest
from tests.node.closing_samples import DETAILS, FIGURES

from hdex.node.demo import cards
from hdex.node.demo.closing import table
from hdex.node.demo.identifying import identifying, stands_alone
from hdex.node.demo.search import found_in_texts, searchable
from hdex.node.web.words import Words

PERSONS = pl.DataFrame(
    {
        "person_id": ["P-000017", "12"],
        "record_number": ["4711", "900471"],
        "resident_id": ["999-12-3456", None],
        "name": ["Ann Lee", "Springfield"],
        "given_name": ["Ann", "王"],
        "family_name": ["Lee", "小明"],
        "city": ["Springfield", "Springfield"],
        "birth_date": ["1950-01-02", "1960-03-04"],
    }
)


def test_numbers_and_full_names_are_looked_for_in_every_order() -> None:
    wanted = identifying(PERSONS)
    assert wanted.values == {"P-000017", "900471", "999-12-3456", "Ann Lee"}
    assert wanted.forms >= {"Lee Ann", "Lee, Ann", "小明王"}
    assert "Ann" not in wanted.values | wanted.forms


def test_short_numbers_and_words_of_a_town_are_left_out_and_counted() -> None:
    assert identifying(PERSONS).left_out == 3  # 12, 4711, Springfield


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("record 900471 was read", True),
        ('{"id":"900471"}', True),
        ("1900471", False),
        ("9004712", False),
        (f"sha256 {'ab' * 20}900471{'cd' * 8}", False),
        ("e900471f", True),
    ],
)
def test_digits_count_unless_they_are_part_of_a_longer_number_or_of_a_digest(text: str, found: bool) -> None:
    assert bool(found_in_texts([text], searchable(["900471"]))) is found


def test_a_value_that_is_no_number_counts_wherever_it_stands() -> None:
    assert stands_alone("Ann Lee", ["xAnn Leex"])


def test_one_true_place_is_enough_among_coincidences() -> None:
    assert stands_alone("900471", ["1900471 900471"])


@pytest.mark.parametrize(("lang", "name"), [("en", "systolic pressure"), ("zh", "收缩压")])
def test_a_covariate_that_a_floor_leaves_out_is_named_in_table_and_report(lang: str, name: str) -> None:
    details = replace(DETAILS, left_out=("systolic",))
    lines = dict(cards.buyer(FIGURES, details, Words(lang)).lines)
    assert lines[Words(lang).say("buyer.left_out")] == name
    assert "left out, for a hospital's floor allows fewer: systolic" in table(FIGURES, details)
