"""A recipe: decided over distinct tuples, written down without keys, read again as it was."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.lattice import anonymize
from hdex.deid.recipe import Counts, Recipe, Request, actions, coarsened, decide
from hdex.deid.treatment import Action

QUASI = ("a", "b")
STEPS = {"a": [{"1": "12", "2": "12", "3": "34", "4": "34"}], "b": [{"x": "xy", "y": "xy", "z": "z"}]}
LADDERS = {name: hierarchy.groups(pl.Series(name, list(steps[0])), steps) for name, steps in STEPS.items()}
rows = st.lists(st.tuples(st.sampled_from("1234"), st.sampled_from("xyz"), st.integers(0, 5)), min_size=1, max_size=30)


def counted(values: list[tuple[str, str, int]], *, patients: bool) -> Counts:
    """The counts of a table, by dictionaries."""
    number = Counter((a, b) for a, b, _ in values)
    tuples = sorted(number)
    pairs = sorted({(tuples.index((a, b)), person) for a, b, person in values})
    people = (np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])) if patients else None
    frame = pl.DataFrame(tuples, schema=["a", "b"], orient="row")
    everybody = len({person for *_, person in values}) if patients else len(values)
    return Counts(frame, np.array([number[one] for one in tuples]), people, everybody)


def decided(counts: Counts, **more: object) -> Recipe:
    request = Request(QUASI, **more)  # type: ignore[arg-type]  # fields of Request
    return decide(request, counts, LADDERS, columns=actions(request, [*QUASI, "p"]))


@settings(max_examples=25, deadline=None)
@given(rows, st.integers(1, 4), st.sampled_from([0.0, 0.2, 1.0]), st.booleans())
def test_counts_with_weights_decide_what_rows_decide(
    values: list[tuple[str, str, int]], k: int, suppression: float, patients: bool
) -> None:
    frame = pl.DataFrame(values, schema=["a", "b", "p"], orient="row")
    who = "p" if patients else None
    try:
        expected = anonymize(frame, LADDERS, k=k, suppression=suppression, patient=who)
    except RiskTooHigh:
        with pytest.raises(RiskTooHigh):
            decided(counted(values, patients=patients), k=k, suppression=suppression, patient=who)
        return
    recipe = decided(counted(values, patients=patients), k=k, suppression=suppression, patient=who)
    assert recipe.loss == pytest.approx(expected.loss, abs=1e-9)
    assert recipe.rows == len(values)
    sizes: dict[tuple[int, ...], set[object]] = {}
    for row, (a, b, person) in enumerate(values):
        key = tuple(
            recipe.generalised[name].groups[recipe.generalised[name].leaves.index(value)]
            for name, value in (("a", a), ("b", b))
        )
        sizes.setdefault(key, set()).add(person if patients else row)
    kept = set(zip(recipe.classes["a"], recipe.classes["b"], strict=True))
    assert kept == {key for key, members in sizes.items() if len(members) >= k}
    assert recipe.smallest == min((len(sizes[key]) for key in kept), default=0)


def test_a_recipe_is_read_as_it_was_written() -> None:
    values = [("1", "x", 1), ("2", "y", 2), ("3", "z", 3), ("4", "z", 4)] * 3
    recipe = decided(counted(values, patients=False), k=2, drop=("p",))
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert (again.digest, len(again.digest)) == (recipe.digest, 64)
    assert [name for name, _ in again.columns] == ["a", "b", "p"]
    assert again.columns[2][1] is Action.REMOVE
    later = json.dumps({**json.loads(recipe.to_json()), "version": 2})
    for text in ("", "[]", "{}", later, recipe.to_json().replace('"k":2', '"q":2')):
        with pytest.raises(InputInvalid):
            Recipe.from_json(text)


def test_a_recipe_does_not_list_what_is_held_back() -> None:
    values = [("1", "x", 1)] * 20 + [("4", "z", 2)]
    recipe = decided(counted(values, patients=False), k=5, suppression=0.1)
    assert recipe.suppressed == 1
    assert len(recipe.classes["a"]) == 1


def test_too_many_tuples_are_joined_where_it_costs_least() -> None:
    values = [(a, b, 0) for a in "1234" for b in "xyz" for _ in range(3)] + [("1", "z", 0)] * 40
    counts = counted(values, patients=False)
    fewer, floor = coarsened(counts, LADDERS, 8)
    assert len(fewer.rows) <= 8
    assert floor == (0, 1)  # joining x and y costs the rows of x and y only
    assert (fewer.rows.sum(), counts.rows.sum()) == (76, 76)
    same, none = coarsened(counts, LADDERS, 12)
    assert same is counts
    assert none == (0, 0)
    top, all_up = coarsened(counts, LADDERS, 1)
    assert (len(top.rows), all_up) == (1, (2, 2))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"suppression": 1.5}, "suppression is 1.5"),
        ({"shift": ("d",)}, "name the patient column"),
        ({"patient": "a"}, "patient column a"),
    ],
)
def test_what_cannot_be_asked_is_an_argument(more: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentInvalid, match=message):
        Request(QUASI, **more)  # type: ignore[arg-type]  # fields of Request


def test_every_column_has_one_fate() -> None:
    request = Request(QUASI, patient="p", drop=("n",), shift=("d",), pseudonym=("e",))
    fates = dict(actions(request, ["n", "a", "b", "p", "d", "e", "z"]))
    assert [fates[name].value for name in "nabpdez"] == [
        "remove", "generalise", "generalise", "pseudonymise", "shift", "pseudonymise", "keep"
    ]  # fmt: skip
    with pytest.raises(ArgumentInvalid, match="column a is named twice"):
        actions(Request(QUASI, drop=("a",)), ["a", "b"])
    with pytest.raises(ArgumentInvalid, match="columns q are not in the partitions; there are a, b"):
        actions(Request(QUASI, drop=("q",)), ["a", "b"])
    with pytest.raises(ArgumentInvalid, match="no quasi-identifier"):
        Request(())
