"""Shapley values: published games, the four axioms, copies that earn nothing more, a split an auditor recomputes."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.errors import StudyInvalid
from hdex.federated.shapley import (
    Coalition,
    Scores,
    coalitions,
    duplicates,
    score_coalitions,
    shapley,
    split_cents,
)

DIGEST = "ab" * 32


def game(names: list[str], worth: Callable[[Coalition], float]) -> Scores:
    return Scores(DIGEST, tuple((name,) for name in names), {one: worth(one) for one in coalitions(names)})


def test_the_glove_game() -> None:
    """Two left gloves and one right glove: 1/6, 1/6, 2/3 (Shapley 1953; Aumann's standard example)."""
    glove = game(["left-1", "left-2", "right"], lambda c: float("right" in c and len(c) > 1))
    assert shapley(glove) == pytest.approx({"left-1": 1 / 6, "left-2": 1 / 6, "right": 2 / 3}, abs=1e-15)


def test_the_airport_game() -> None:
    """Runways of 1, 2 and 3: 1/3, 1/3 + 1/2, 1/3 + 1/2 + 1 (Littlechild, Owen 1973)."""
    length = {"a": 1.0, "b": 2.0, "c": 3.0}
    airport = game(list(length), lambda c: max((length[name] for name in c), default=0.0))
    assert shapley(airport) == pytest.approx({"a": 1 / 3, "b": 5 / 6, "c": 11 / 6}, abs=1e-15)


WORTH = st.integers(2, 5).flatmap(lambda n: st.lists(st.floats(-10, 10), min_size=2**n, max_size=2**n))


@given(WORTH)
@settings(max_examples=40, deadline=None)
def test_values_are_efficient_and_equal_the_mean_over_all_orders(worth: list[float]) -> None:
    names = [f"site-{i}" for i in range(len(worth).bit_length() - 1)]
    table = dict(zip(coalitions(names), worth, strict=True))
    found = shapley(game(names, table.__getitem__))
    assert sum(found.values()) == pytest.approx(table[frozenset(names)] - table[frozenset()], abs=1e-9)
    gains = dict.fromkeys(names, 0.0)
    orders = list(permutations(names))
    for order in orders:
        for at, name in enumerate(order):
            gains[name] += table[frozenset(order[: at + 1])] - table[frozenset(order[:at])]
    assert found == pytest.approx({name: gain / len(orders) for name, gain in gains.items()}, abs=1e-9)


def test_who_adds_nothing_gets_nothing_and_equals_get_the_same() -> None:
    found = shapley(game(["a", "b", "idle"], lambda c: float(len(c - {"idle"})) ** 2))
    assert found["idle"] == 0.0
    assert found["a"] == found["b"] == 2.0


def test_twelve_sites_are_valued_exactly() -> None:
    names = [f"site-{i:02}" for i in range(12)]
    found = shapley(game(names, lambda c: float(len(c)) ** 2))
    assert list(found.values()) == [12.0] * 12


def updates_of(sites: dict[str, int], rounds: int = 3) -> dict[str, list[Any]]:
    """Return a site's updates; sites with the same seed hold the same rows."""
    return {
        name: [np.random.default_rng([seed, number]).normal(size=6) for number in range(rounds)]
        for name, seed in sites.items()
    }


def closeness(target: Any) -> Callable[[Any], float]:
    return lambda model: -float(np.linalg.norm(model - target))


def test_a_copy_at_a_second_site_earns_no_second_share() -> None:
    honest = updates_of({"a": 1, "b": 2, "c": 3})
    copied = honest | {"b-copy": [1.0 * update for update in honest["b"]]}
    assert duplicates(copied) == (("a",), ("b", "b-copy"), ("c",))
    score = closeness(np.ones(6))
    rows = dict.fromkeys(honest, 100)
    alone = shapley(score_coalitions(DIGEST, np.zeros(6), honest, rows, score))
    both = shapley(score_coalitions(DIGEST, np.zeros(6), copied, rows | {"b-copy": 100}, score))
    assert both["b"] + both["b-copy"] == pytest.approx(alone["b"])
    assert both["a"] == alone["a"]
    assert both["c"] == alone["c"]


def test_a_scaled_copy_is_found_and_another_direction_is_none() -> None:
    updates = updates_of({"a": 1, "b": 2})
    assert duplicates(updates | {"c": [2.5 * one for one in updates["a"]]}) == (("a", "c"), ("b",))
    bent = [*updates["a"][:2], updates["a"][2] + 0.1]
    assert duplicates(updates | {"c": bent}) == (("a",), ("b",), ("c",))


def test_an_auditor_recomputes_the_split_from_the_scores_whose_digest_is_logged() -> None:
    scores = score_coalitions(
        DIGEST, np.zeros(6), updates_of({"a": 1, "b": 2, "c": 3}), {"a": 90, "b": 200, "c": 50}, closeness(np.ones(6))
    )
    again = Scores.from_document(scores.document())
    assert again.digest() == scores.digest()
    assert split_cents(again, 100_001) == split_cents(scores, 100_001)
    forged = scores.document()
    forged["worth"]["a"] += 0.5
    assert Scores.from_document(forged).digest() != scores.digest()


@given(WORTH, st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_every_cent_is_given_out_and_none_is_taken(worth: list[float], amount: int) -> None:
    names = [f"site-{i}" for i in range(len(worth).bit_length() - 1)]
    table = dict(zip(coalitions(names), worth, strict=True))
    cents = split_cents(game(names, table.__getitem__), amount)
    assert sum(cents.values()) == amount
    assert min(cents.values()) >= 0


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"players": [], "worth": {}, "study_digest": ""},
        {"players": [["a"]], "worth": {"": 0.0}, "study_digest": ""},
        {"players": [["a"]], "worth": {"": 0.0, "a": float("nan")}, "study_digest": ""},
        {"players": [["a"]], "worth": {"": 0.0, "a": 1.0, "b": 1.0}, "study_digest": ""},
        {"players": [[]], "worth": {"": 0.0}, "study_digest": ""},
    ],
)  # fmt: skip
def test_scores_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StudyInvalid):
        Scores.from_document(wrong)


def test_thirteen_sites_are_too_many() -> None:
    updates = updates_of({f"site-{i:02}": i for i in range(13)})
    with pytest.raises(StudyInvalid):
        score_coalitions(DIGEST, np.zeros(6), updates, dict.fromkeys(updates, 1), closeness(np.ones(6)))
