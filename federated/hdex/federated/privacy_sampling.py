"""Exact samples of the discrete Laplace and discrete Gaussian with integer arithmetic: no float, so no float's gaps.

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), algorithms 1 to 3.
`randbelow(n)` returns a uniform integer of range(n); `secrets.randbelow` in use, a seeded generator in tests.
"""

import math
from collections.abc import Callable
from fractions import Fraction

RandBelow = Callable[[int], int]


def bernoulli_exp(gamma: Fraction, randbelow: RandBelow) -> bool:
    """Return True with probability exp(-gamma), gamma >= 0 (algorithm 1)."""
    while gamma > 1:
        if not _bernoulli_exp_unit(Fraction(1), randbelow):
            return False
        gamma -= 1
    return _bernoulli_exp_unit(gamma, randbelow)


def _bernoulli_exp_unit(gamma: Fraction, randbelow: RandBelow) -> bool:
    """Return True with probability exp(-gamma), 0 <= gamma <= 1: odd runs of Bernoulli(gamma / k)."""
    k = 1
    while randbelow(gamma.denominator * k) < gamma.numerator:
        k += 1
    return k % 2 == 1


def discrete_laplace(scale: int, randbelow: RandBelow) -> int:
    """Return an integer x with probability proportional to exp(-|x| / scale), scale >= 1 (algorithm 2)."""
    while True:
        low = randbelow(scale)
        if not bernoulli_exp(Fraction(low, scale), randbelow):
            continue
        high = 0
        while bernoulli_exp(Fraction(1), randbelow):
            high += 1
        magnitude = low + scale * high
        negative = randbelow(2) == 1
        if magnitude or not negative:  # zero must not count twice
            return -magnitude if negative else magnitude


def discrete_gaussian(variance: Fraction, randbelow: RandBelow) -> int:
    """Return an integer x with probability proportional to exp(-x^2 / (2 variance)), variance > 0 (algorithm 3)."""
    if variance <= 0:
        raise ValueError("the variance must be positive")
    scale = math.isqrt(variance.numerator // variance.denominator) + 1
    while True:
        found = discrete_laplace(scale, randbelow)
        gap = abs(found) - variance / scale
        if bernoulli_exp(gap * gap / (2 * variance), randbelow):
            return found
