"""Cubes from de-identified rows: coarse labels, everybody counted once, nothing that few people share by name."""

import numpy as np
import polars as pl
import pytest

from hdex.deid.cohort_cube import Cube, Dimension, band_labels, make_cube
from hdex.deid.errors import CohortRefused

AGE = Dimension("age", edges=(50, 60, 70), in_years=True)
SEX = Dimension("sex")


def people() -> pl.DataFrame:
    """400 people: ages as labels and numbers, two sexes and one word that three share."""
    ages = ["40-49", "50-59", "63", "60-69", "75+", None, "45-64", "52"] * 50
    return pl.DataFrame(
        {
            "age": ages,
            "sex": (["F"] * 200 + ["M"] * 197 + ["rare word"] * 3),
            "code": ["I65.2", "I65.0", "E11.9", "E11.0"] * 100,
        }
    )


def cube(*dimensions: Dimension, frame: pl.DataFrame | None = None, k: int = 10, before: Cube | None = None) -> Cube:
    rows = people() if frame is None else frame
    return make_cube(rows, dimensions, k=k, generator=np.random.default_rng(1), before=before)


def test_bands_hold_values_and_whole_labels_and_what_lies_across_is_unknown() -> None:
    found = cube(AGE, SEX)
    assert found.labels[0] == ("<50", "50-59", "60-69", ">=70", "unknown")
    told = np.array(found.cells).reshape(5, 4).sum(axis=1)
    truth = [50, 100, 100, 50, 100]
    assert (np.abs(told - truth) <= found.margin).all()


def test_a_word_that_few_share_has_no_name() -> None:
    found = cube(AGE, SEX)
    assert found.labels[1] == ("F", "M", "other", "unknown")


def test_a_prefix_joins_codes() -> None:
    assert cube(SEX, Dimension("code", prefix=3)).labels[1] == ("E11", "I65", "other", "unknown")


def test_labels_read_as_their_edges() -> None:
    assert band_labels(Dimension("ldl", edges=(2.5, 3.5), whole=False)) == ("<2.5", "2.5-<3.5", ">=3.5")


def test_a_later_version_has_the_labels_of_the_first() -> None:
    first = cube(AGE, SEX)
    later = people().with_columns(sex=pl.Series(["F"] * 180 + ["M"] * 180 + ["rare word"] * 40))
    found = cube(AGE, SEX, frame=later, before=first)
    assert found.labels == first.labels


@pytest.mark.parametrize(
    ("dimensions", "k", "says"),
    [
        ((AGE,), 10, "2 to 5 dimensions"),
        ((AGE, AGE), 10, "2 to 5 dimensions"),
        ((AGE, SEX), 9, "k is 9"),
        ((AGE, SEX), 100, "too few people"),
        ((AGE, Dimension("name")), 10, "not in the released rows"),
        ((Dimension("age", edges=(50, 55), in_years=True), SEX), 10, "ten|10 years"),
        ((Dimension("age", in_years=True), SEX), 10, "10 years"),
        ((Dimension("age", edges=(60, 50)), SEX), 10, "rising"),
        ((Dimension("age", edges=(2.5,)), SEX), 10, "whole edges"),
        ((Dimension("age", edges=(60,), prefix=1), SEX), 10, "not both"),
        ((Dimension("sex", edges=(1, 2)), AGE), 10, "fit into no band; .* begin at no number"),
    ],
)
def test_a_recipe_that_cannot_be_told_is_refused(dimensions: tuple[Dimension, ...], k: int, says: str) -> None:
    with pytest.raises(CohortRefused, match=says):
        cube(*dimensions, k=k)


def test_a_column_that_was_generalised_away_is_named_as_that() -> None:
    gone = people().with_columns(age=pl.lit("*"), sex=pl.lit(None, dtype=pl.String))
    for asked in ((AGE, Dimension("code", prefix=3)), (SEX, Dimension("code", prefix=3))):
        with pytest.raises(CohortRefused, match="tells nothing of it, all its values were generalised away"):
            cube(*asked, frame=gone)


def test_where_bands_cut_labels_the_labels_beginnings_are_named_and_nobodys_number() -> None:
    wide = people().with_columns(age=pl.Series((["20-39"] * 150 + ["40-59"] * 243) + ["77"] * 3 + ["81-83"] * 4))
    with pytest.raises(CohortRefused, match="begin at 20, 40: take edges among these"):
        cube(Dimension("age", edges=(30, 50), in_years=True), SEX, frame=wide)


def test_too_many_words_are_refused_and_none_of_them_is_told() -> None:
    frame = people().with_columns(sex=pl.Series([f"secret{number % 20}" for number in range(400)]))
    with pytest.raises(CohortRefused) as refused:
        cube(AGE, SEX, frame=frame)
    assert "secret" not in str(refused.value)
