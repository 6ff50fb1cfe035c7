"""Risk against the population behind a table, from the sizes of its classes alone.

The decision rule of Dankar, El Emam, Neisa, Roffey (BMC Med Inform Decis Mak 12:66, 2012) chooses the estimator of
population uniques: Pitman's model up to a sampling fraction of a tenth (Hoshino, J Off Stat 17(4), 2001, fitted by
maximum likelihood), else the smaller of the slide negative binomial (Chen, McNulty 1998) and Zayatz' estimate (1991).
Zayatz also stands in where another has no solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import Codes as Whole
from hdex.deid.sensitive import Shares

Sizes = Mapping[int, int]  # patients of a class -> number of such classes
SMALL_FRACTION = 0.1  # Dankar et al., section "decision rule"
DIRECT = 40  # terms of a sum of logarithms that are added one by one
GOLDEN = (math.sqrt(5) - 1) / 2
MOST_CLOSED = 1000  # from classes of this size on the mean of 1/F is its first terms


@dataclass(frozen=True, slots=True)
class PopulationUniques:
    """How many people of the population are alone with their quasi-identifiers."""

    count: float
    share: float  # of the population
    estimator: str  # pitman, snb, zayatz, or sample: the sample is the population
    sampling_fraction: float


def population_uniques(sizes: Sizes, population: int) -> PopulationUniques:
    """Estimate the population uniques behind a simple random sample with these class sizes.

    population: number of people. Raises ArgumentInvalid when it is smaller than the sample.
    """
    patients = sum(size * number for size, number in sizes.items())
    if population < patients:
        raise ArgumentInvalid(f"the population is {population}, the table alone holds {patients} patients")
    fraction = patients / population if population else 1.0
    if not sizes.get(1):
        return PopulationUniques(0.0, 0.0, "sample" if fraction == 1.0 else "zayatz", fraction)
    count, estimator = decide(sizes, population, fraction)
    count = min(max(count, 0.0), float(population))
    return PopulationUniques(count, count / population, estimator, fraction)


def decide(sizes: Sizes, population: int, fraction: float) -> tuple[float, str]:
    """The estimate of the rule, and whose it is."""
    if fraction == 1.0:
        return float(sizes[1]), "sample"
    other = zayatz(sizes, population)
    if fraction <= SMALL_FRACTION:
        found = pitman(sizes, population)
        return (other, "zayatz") if found is None else (found, "pitman")
    found = slide_negative_binomial(sizes, population)
    return (other, "zayatz") if found is None or other < found else (found, "snb")


def zayatz(sizes: Sizes, population: int) -> float:
    """Sample uniques times the chance that one is a population unique, by Bayes' rule, times N / n.

    The class sizes of the population are taken to be distributed as those of the sample.
    """
    n = sum(size * number for size, number in sizes.items())

    def seen_once(size: int) -> float:
        """Chance that a sample of n of N takes exactly one person of a class of this size (hypergeometric)."""
        if size - 1 > population - n:
            return 0.0
        log = math.lgamma(population - size + 1) - math.lgamma(population - n - size + 2) - math.lgamma(n)
        whole = math.lgamma(population + 1) - math.lgamma(population - n + 1) - math.lgamma(n + 1)
        return size * math.exp(log - whole)

    total = sum(number * seen_once(size) for size, number in sizes.items())
    return sizes[1] * (sizes[1] * seen_once(1) / total) * population / n


def pitman(sizes: Sizes, population: int) -> float | None:
    """Expected uniques of a Pitman sampling formula with the maximum likelihood theta and alpha; None without one."""
    n = sum(size * number for size, number in sizes.items())
    classes = sum(sizes.values())
    if classes == n or n < 2:  # every class is a unique: the likelihood has no maximum
        return None

    large = np.array([size for size in sizes if size > 1])
    numbers = np.array([sizes[int(size)] for size in large])

    def inside(alpha: float) -> float:
        return float(numbers @ sums_of_logs(1 - alpha, large - 1))

    def best_theta(alpha: float) -> tuple[float, float]:
        """Likelihood at the best theta, and that theta."""

        def likelihood(log_gap: float) -> float:
            theta = math.exp(log_gap) - alpha
            return sum_logs(theta + alpha, alpha, classes - 1) - sum_logs(theta + 1, 1.0, n - 1)

        at = maximum(likelihood, math.log(1e-6), math.log(1e4 * n))
        return likelihood(at), math.exp(at) - alpha

    alpha = maximum(lambda a: best_theta(a)[0] + inside(a), 1e-4, 1 - 1e-4, steps=22)
    theta = best_theta(alpha)[1]
    log = sum_logs(theta + alpha, 1.0, population - 1) - sum_logs(theta + 1, 1.0, population - 1)
    return population * math.exp(log)


def maximum(value: Callable[[float], float], low: float, high: float, *, steps: int = 32) -> float:
    """Where a function with one peak is highest between low and high (golden section)."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(steps):
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = value(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = value(left)
    return (low + high) / 2


def sum_logs(start: float, step: float, terms: int) -> float:
    """Sum of log(start + i * step) for i = 0 ... terms - 1, whatever their number (Euler-Maclaurin after the first)."""
    if terms <= 0:
        return 0.0
    direct = min(terms, DIRECT)
    total = float(np.log(start + step * np.arange(direct)).sum())
    rest = terms - direct
    if rest == 0:
        return total
    first = start + direct * step
    last = first + (rest - 1) * step
    growth = (last - first) / first
    mean = math.log(first) + (((1 + growth) * math.log1p(growth) - growth) / growth if growth > 1e-6 else growth / 2)
    return total + (rest - 1) * mean + (math.log(first) + math.log(last)) / 2 + step * (1 / last - 1 / first) / 12


def sums_of_logs(start: float, terms: Whole) -> Shares:
    """`sum_logs` with step 1 for many numbers of terms, each 1 or more."""
    direct = np.cumsum(np.log(start + np.arange(DIRECT)))
    total = direct[np.minimum(terms, DIRECT) - 1]
    rest = np.maximum(terms - DIRECT, 1)
    first = start + DIRECT
    last = first + rest - 1
    growth = np.maximum((last - first) / first, 1e-9)
    mean = math.log(first) + ((1 + growth) * np.log1p(growth) - growth) / growth
    tail = (rest - 1) * mean + (math.log(first) + np.log(last)) / 2 + (1 / last - 1 / first) / 12
    found: Shares = np.where(terms > DIRECT, total + tail, total)
    return found


def slide_negative_binomial(sizes: Sizes, population: int) -> float | None:
    """Expected uniques when class sizes are 1 + a negative binomial; None where no such distribution fits.

    Fitted to the population's size and to the classes and uniques of the sample.
    """
    n = sum(size * number for size, number in sizes.items())
    classes, uniques = sum(sizes.values()), sizes[1]
    fraction = n / population

    def expected(alpha: float, beta: float) -> tuple[float, float, float]:
        """Classes of the population; classes and uniques of the sample."""
        missed, other = 1 - fraction, 1 - beta
        power = math.exp(alpha * (math.log(beta) - math.log1p(-other * missed)))
        number = population / (1 + alpha * other / beta)
        seen = number * (1 - missed * power)
        alone = number * fraction * power * (1 + missed * alpha * other / (1 - other * missed))
        return number, seen, alone

    def fitted_alpha(beta: float) -> float:
        """Alpha that gives the sample's number of classes: more of it makes larger and fewer classes."""
        log = maximum(lambda a: -abs(expected(math.exp(a), beta)[1] - classes), -20.0, 12.0, steps=60)
        return math.exp(log)

    def excess(odds: float) -> float:
        beta = 1 / (1 + math.exp(-odds))
        return expected(fitted_alpha(beta), beta)[2] - uniques

    root = crossing(excess, -16.0, 8.0)
    if root is None:
        return None
    beta = 1 / (1 + math.exp(-root))
    alpha = fitted_alpha(beta)
    number, seen, _ = expected(alpha, beta)
    return number * beta**alpha if abs(seen - classes) <= 1e-3 * classes else None


def crossing(value: Callable[[float], float], low: float, high: float) -> float | None:
    """First place between low and high where a function changes its sign."""
    steps = np.linspace(low, high, 33)
    before = value(low)
    for left, right in pairwise(steps):
        after = value(float(right))
        if before * after <= 0:
            return bisected(value, float(left), float(right))
        before = after
    return None


def bisected(value: Callable[[float], float], low: float, high: float) -> float:
    """The sign change between low and high."""
    is_rising = value(low) <= 0
    for _ in range(50):
        middle = (low + high) / 2
        if (value(middle) <= 0) == is_rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def expected_inverse(sizes: Whole, fraction: float) -> Shares:
    """Mean of 1/F given the sample frequency f of every class, f at least 1: the k-map estimate of journalist risk.

    F given f is negative binomial with success probability `fraction` (Benedetti, Franconi 1998). Substituting
    w = fraction u / (1 - (1 - fraction) u) in their integral leaves fraction * I_f with
    I_f = integral over 0..1 of w^(f-1) / (fraction + (1 - fraction) w), and
    (1 - fraction) I_(f+1) + fraction I_f = 1 / f: run in the direction that damps errors.
    """
    if fraction >= 1:
        return 1 / sizes
    most = int(min(sizes.max(initial=1), MOST_CLOSED))
    table = inverse_table(most, fraction)
    large = fraction / sizes * (1 + (1 - fraction) / sizes)
    return np.where(sizes <= most, table[np.minimum(sizes, most)], large)


def inverse_table(most: int, fraction: float) -> Shares:
    """Mean of 1/F for f = 0 ... most (0 where f is 0)."""
    other = 1 - fraction
    table = np.zeros(most + 1)
    if fraction <= 0.5:
        table[1] = -math.log(fraction) / other
        for f in range(1, most):
            table[f + 1] = (1 / f - fraction * table[f]) / other
        return table * fraction
    start = most + 400
    value = (1 + other / start) / start
    for f in range(start - 1, 0, -1):
        value = (1 / f - other * value) / fraction
        if f <= most:
            table[f] = value
    return table * fraction
