"""Estimators against populations made by seed, where the truth can be counted."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.risk_population import (
    expected_inverse,
    pitman,
    population_uniques,
    slide_negative_binomial,
    sum_logs,
    sums_of_logs,
    zayatz,
)

Keys = NDArray[np.int64]


def sizes_of(keys: Keys) -> dict[int, int]:
    """Class size -> number of classes."""
    sizes, numbers = np.unique(np.unique(keys, return_counts=True)[1], return_counts=True)
    return {int(size): int(number) for size, number in zip(sizes, numbers, strict=True)}


def restaurant(people: int, theta: float, alpha: float, seed: int) -> Keys:
    """A population drawn from Pitman's model, person by person (the two-parameter Chinese restaurant)."""
    generator = np.random.default_rng(seed)
    keys = np.zeros(people, dtype=np.int64)
    tables = 1
    draws = generator.random((people, 2))
    for n in range(1, people):
        if draws[n, 0] < (theta + alpha * tables) / (theta + n):
            keys[n], tables = tables, tables + 1
            continue
        keys[n] = keys[int(draws[n, 1] * n)]  # a table in proportion to its people ...
        while generator.random() < alpha / counts_until(keys, n, keys[n]):  # ... less alpha each
            keys[n] = keys[int(generator.random() * n)]
    return keys


def counts_until(keys: Keys, n: int, key: int) -> int:
    return int((keys[:n] == key).sum())


def slid(classes: int, alpha: float, beta: float, seed: int) -> Keys:
    """A population whose class sizes are 1 + a negative binomial."""
    sizes = 1 + np.random.default_rng(seed).negative_binomial(alpha, beta, classes)
    return np.repeat(np.arange(classes), sizes)


def clinic(people: int, seed: int) -> Keys:
    """Age, sex, place and month of the visit, drawn apart: what a real table looks like."""
    generator = np.random.default_rng(seed)
    age = np.clip(generator.normal(60, 16, people), 0, 99).astype(np.int64)
    place = np.minimum(generator.zipf(1.6, people), 60)
    return ((age * 2 + generator.integers(0, 2, people)) * 61 + place) * 12 + generator.integers(0, 12, people)


def drawn(population: Keys, fraction: float, seed: int) -> Keys:
    return np.random.default_rng(seed).choice(population, round(len(population) * fraction), replace=False)


def uniques(population: Keys) -> int:
    return sizes_of(population).get(1, 0)


def test_pitman_finds_the_uniques_of_its_own_model() -> None:
    population = restaurant(12_000, 60.0, 0.6, seed=5)
    for seed in (1, 2):
        found = population_uniques(sizes_of(drawn(population, 0.08, seed)), len(population))
        assert found.estimator == "pitman"
        assert found.count == pytest.approx(uniques(population), rel=0.2)


def test_the_slide_negative_binomial_finds_the_uniques_of_its_own_model() -> None:
    population = slid(20_000, 0.7, 0.15, seed=9)
    estimates = [
        slide_negative_binomial(sizes_of(drawn(population, fraction, 3)), len(population)) for fraction in (0.2, 0.5)
    ]
    assert estimates == pytest.approx([uniques(population)] * 2, rel=0.1)


# the rule underestimates from small samples: half of the uniques at a fiftieth
@pytest.mark.parametrize(("fraction", "near"), [(0.02, 0.6), (0.05, 0.4), (0.1, 0.35), (0.3, 0.2), (0.6, 0.2)])
def test_the_rule_is_near_the_truth_on_a_clinics_population(fraction: float, near: float) -> None:
    population = clinic(60_000, seed=4)
    found = population_uniques(sizes_of(drawn(population, fraction, 8)), len(population))
    assert found.sampling_fraction == pytest.approx(fraction)
    assert found.count == pytest.approx(uniques(population), rel=near)
    assert found.estimator in ({"pitman"} if fraction <= 0.1 else {"snb", "zayatz"})


def test_zayatz_by_hand() -> None:
    # n = 5 of N = 10; classes 1, 1, 1, 2: p1 = 3/4, p2 = 1/4; P(f=1|F=1) = 1/2, P(f=1|F=2) = 2 * 5 * 5 / 90 = 5/9
    once = 0.75 * 0.5 / (0.75 * 0.5 + 0.25 * 5 / 9)
    assert zayatz({1: 3, 2: 1}, 10) == pytest.approx(3 * once * 2)


def test_the_whole_population_is_counted_and_bad_sizes_are_refused() -> None:
    found = population_uniques({1: 3, 5: 2}, 13)
    assert (found.count, found.estimator) == (3, "sample")
    assert population_uniques({5: 2}, 1000).count == 0
    assert population_uniques({1: 4}, 100_000).estimator == "zayatz"  # nothing repeats: Pitman has no maximum
    assert pitman({1: 4}, 100_000) is None
    with pytest.raises(ArgumentInvalid, match="the population is 12"):
        population_uniques({1: 3, 5: 2}, 12)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.49, 0.5, 0.51, 0.9])
def test_the_mean_of_the_inverse_equals_the_sum_of_its_series(fraction: float) -> None:
    sizes = np.array([1, 2, 3, 7, 40, 1000, 1001, 2000])
    found = expected_inverse(sizes, fraction)
    for size, value in zip(sizes, found, strict=True):
        assert value == pytest.approx(series(int(size), fraction), rel=1e-5)
    assert list(expected_inverse(sizes, 1.0)) == list(1 / sizes)


def series(f: int, fraction: float) -> float:
    """Sum over F of P(F | f) / F for the negative binomial."""
    most = int((f + 40 * math.sqrt(f) + 400) / fraction)
    big = np.arange(f, max(most, f + 2), dtype=np.float64)
    steps = np.log((big[1:] - 1) / (big[1:] - f)) + math.log1p(-fraction)
    log = f * math.log(fraction) + np.concatenate([[0.0], np.cumsum(steps)])
    return float((np.exp(log) / big).sum())


@pytest.mark.parametrize(("start", "step", "terms"), [(0.3, 1.0, 5000), (12.0, 1e-4, 3000), (0.01, 0.5, 60), (2, 1, 7)])
def test_sums_of_logarithms(start: float, step: float, terms: int) -> None:
    expected = sum(math.log(start + i * step) for i in range(terms))
    assert sum_logs(start, step, terms) == pytest.approx(expected, rel=1e-9, abs=1e-7)
    if step == 1:
        counts = np.array([1, 40, 41, 42, 3000])
        whole = [sum(math.log(start + i) for i in range(int(n))) for n in counts]
        assert sums_of_logs(start, counts) == pytest.approx(whole, rel=1e-9, abs=1e-7)


def test_sizes_of_the_helper_are_right() -> None:
    assert sizes_of(np.array([1, 1, 2, 3])) == dict(Counter([2, 1, 1]))
