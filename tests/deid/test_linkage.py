"""Two hospitals that agreed find their common patients by tokens; another project finds nobody."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ArgumentInvalid, InputInvalid, LinkageRefused
from hdex.deid.linkage import LINK_ID, LINK_PERSON, Agreement, Elements, linkage_tokens, linked, normal_names

SECRET = bytes(range(32))
ALL = Elements(resident_id="rid", name="name", birth_date="born", sex="sex")
VALID, VALID_15 = "11010519491231002X", "110105491231002"  # the worked example of GB 11643, and its old form


def agreed(project: str = "stents", secret: bytes = SECRET, parties: tuple[str, ...] = ("a", "b")) -> Agreement:
    return Agreement(project, parties, ("steward", "officer"), secret)


def persons(*rows: tuple[str | None, str | None, str | None, str | None]) -> pl.DataFrame:
    schema = {"rid": pl.String, "name": pl.String, "born": pl.String, "sex": pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row").with_row_index("patient")


def tokens(frame: pl.DataFrame, agreement: Agreement | None = None, elements: Elements = ALL) -> pl.DataFrame:
    return linkage_tokens(frame, elements, agreement or agreed(), patient="patient")


def test_one_person_written_in_two_ways_has_the_same_tokens() -> None:
    one = tokens(persons((VALID, "王小明", "1949-12-31", "女")))
    for row in [
        (VALID_15, "王 小明", "1949年12月31日", "F"),
        ("１１０１０５１９４９１２３１００２ｘ", "王小明", "12/31/1949", "female"),
        (" 110105 19491231 002x", "王·小明", "19491231", "2"),
    ]:
        other = tokens(persons(row))
        assert other.select(LINK_ID, LINK_PERSON).row(0) == one.select(LINK_ID, LINK_PERSON).row(0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Meier, Ann", "Ann MEIER"),
        ("José García", "Garcia, Jose"),
        ("Ann123 Meier45", "Dr. Ann Meier"),
        ("O’Neil Bob", "bob o'neil"),
        ("Ａｎｎ Meier", "Ann Meier"),
        ("阿依古丽·艾力", "阿依古丽 艾力"),
    ],
)
def test_names_that_are_one_are_read_as_one(one: str, other: str) -> None:
    assert normal_names(pl.Series([one])).to_list() == normal_names(pl.Series([other])).to_list() != [None]


def test_names_of_different_people_stay_apart() -> None:
    names = pl.Series(["王小明", "王明小", "Ann Meier", "Anna Meier", "Ann Maria Meier"])
    assert normal_names(names).n_unique() == len(names)
    assert normal_names(pl.Series(["", "12", None, "-"])).to_list() == [None] * 4


def test_another_project_secret_or_circle_of_hospitals_never_joins() -> None:
    frame = persons((VALID, "王小明", "1949-12-31", "女"), (None, "Ann Meier", "1980-01-01", "f"))
    circles = [
        agreed(),
        agreed("hearts"),
        agreed(secret=bytes(32)),
        agreed(parties=("a", "b", "c")),
        agreed("stents\x00a", parties=("b", "c")),
    ]
    found = [value for one in circles for column in tokens(frame, one)[:, 1:] for value in column.drop_nulls()]
    assert len(found) == len(set(found)) == 3 * len(circles)
    assert tokens(frame, agreed(parties=("b", "a"))).equals(tokens(frame))


def test_what_is_no_identifier_or_no_person_has_no_token() -> None:
    frame = persons(
        ("110105194912310022", "王小明", "1949-12-31", "unknown"),  # wrong check character; no sex
        ("111111111111111", "李雷", "31.02.1990", "男"),
        (None, None, "1990-01-01", "男"),
    )
    assert tokens(frame)[:, 1:].null_count().row(0) == (3, 3)
    other = pl.DataFrame({"patient": [1, 2, 3], "ssn": ["999-99-9999", "123-45-6789", None]})
    assert tokens(other, elements=Elements(other_id="ssn"))[LINK_ID].is_null().to_list() == [True, False, True]


def test_a_token_that_two_patients_share_names_nobody() -> None:
    frame = persons((VALID, "王小明", "1949-12-31", "女"), (VALID, "王小明", "1949-12-31", "女"))
    assert tokens(frame)[:, 1:].null_count().row(0) == (2, 2)


def test_an_identifier_decides_before_a_name_and_against_it() -> None:
    left = persons(
        (VALID, "王小明", "1949-12-31", "女"), (None, "李雷", "1990-01-01", "男"), (None, "韩梅", "1991-01-01", "女")
    )
    right = persons(
        ("320311770706001", "王小明", "1949-12-31", "女"),  # same name, another identifier: another person
        (VALID, "王晓明", "1949-12-31", "女"),  # a misspelt name, the same identifier
        ("110105194912310021", "李雷", "1990-01-01", "男"),  # the identifier is not valid: the name decides
    )
    assert linked(tokens(left), tokens(right)).rows() == [(0, 1), (1, 2)]


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 300), max_size=40), st.sets(st.integers(0, 300), max_size=40))
def test_the_linked_are_exactly_those_of_both_hospitals(one: set[int], other: set[int]) -> None:
    def hospital(people: list[int]) -> pl.DataFrame:
        rows = {"patient": people, "ssn": [f"{900 + person}-11-{person:04}" for person in people]}
        return tokens(
            pl.DataFrame(rows, schema={"patient": pl.Int64, "ssn": pl.String}), elements=Elements(other_id="ssn")
        )

    left, right = hospital(sorted(one)), hospital(sorted(other, reverse=True))
    pairs = linked(left, right)
    met = [(left["patient"][a], right["patient"][b]) for a, b in pairs.rows()]
    assert all(a == b for a, b in met)
    assert {a for a, _ in met} == one & other


def test_two_hospitals_and_two_people_are_needed() -> None:
    with pytest.raises(LinkageRefused, match="1 hospitals agreed"):
        Agreement("p", ("a", "a"), ("x", "y"), SECRET)
    with pytest.raises(LinkageRefused, match="1 people of this hospital approved"):
        Agreement("p", ("a", "b"), ("x", "x"), SECRET)
    with pytest.raises(InputInvalid, match="asked are 32"):
        Agreement("p", ("a", "b"), ("x", "y"), b"short")


def test_wrong_tables_and_elements_are_named() -> None:
    with pytest.raises(InputInvalid, match="columns rid are not in"):
        tokens(pl.DataFrame({"patient": [1], "name": ["a"], "born": [date(2000, 1, 1)], "sex": ["m"]}))
    twice = persons((VALID, "a", "2000-01-01", "m"), (None, "b", "2000-01-01", "m"))
    with pytest.raises(InputInvalid, match="two rows"):
        tokens(twice.with_columns(patient=pl.lit(1)))
    for wrong in ({"name": "n"}, {"resident_id": "r", "other_id": "s"}, {}):
        with pytest.raises(ArgumentInvalid):
            Elements(**wrong)


def test_neither_secret_nor_value_is_shown() -> None:
    assert SECRET.hex() not in repr(agreed())
    assert "secret" not in repr(agreed())
    made = tokens(persons((VALID, "王小明", "1949-12-31", "女")))
    assert VALID not in str(made.rows())
    assert made[LINK_ID].str.contains("^k[0-9a-f]{40}$").all()
