"""How much privacy rounds of Gaussian noise cost together: Renyi differential privacy, converted at the end.

rho = sensitivity^2 / (2 variance) of zero-concentrated differential privacy adds over rounds. The discrete Gaussian
meets it like the continuous one (Canonne, Kamath, Steinke 2020, theorem 4); conversion to (epsilon, delta) is their
proposition 12, minimised over the order.
"""

import math
from functools import lru_cache
from itertools import accumulate, pairwise

_SMALLEST, _LARGEST = 1.0 + 1e-9, 1e9  # orders searched
_STEPS = 200  # of the ternary search: the bound is convex enough in log(order - 1), and any order is a valid bound


def epsilon_of(rho: float, delta: float) -> float:
    """Return epsilon of (epsilon, delta)-differential privacy that rho of zCDP gives; 0 for rho 0.

    Monotone in rho. Raises ValueError unless rho is finite and not negative and 0 < delta < 1.
    """
    if not (math.isfinite(rho) and rho >= 0 and 0 < delta < 1):
        raise ValueError("rho must be finite and not negative, delta between 0 and 1")
    if rho == 0:
        return 0.0
    low, high = math.log(_SMALLEST - 1), math.log(_LARGEST)
    for _ in range(_STEPS):
        third = (high - low) / 3
        if _bound(rho, delta, low + third) < _bound(rho, delta, high - third):
            high -= third
        else:
            low += third
    return max(0.0, _bound(rho, delta, (low + high) / 2))


def _bound(rho: float, delta: float, log_excess: float) -> float:
    """Return epsilon at the order 1 + exp(log_excess)."""
    excess = math.exp(log_excess)
    order = 1 + excess
    return rho * order + math.log(excess / order) - (math.log(delta) + math.log(order)) / excess


@lru_cache(maxsize=64)
def rho_of(epsilon: float, delta: float) -> float:
    """Return the largest rho whose `epsilon_of` is not above epsilon. Raises ValueError on epsilon <= 0."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError("epsilon must be finite and positive")
    low, high = 0.0, epsilon
    while epsilon_of(high, delta) <= epsilon:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


@lru_cache(maxsize=64)
def round_costs(epsilon: float, delta: float, rounds: int) -> tuple[float, ...]:
    """Return what each of `rounds` equal rounds adds to epsilon: their sum is never above epsilon."""
    rho = rho_of(epsilon, delta)
    after = (min(epsilon, epsilon_of(rho * (number / rounds), delta)) for number in range(rounds + 1))
    spent = accumulate(after, max)  # rounding may let a later one be smaller
    return tuple(math.nextafter(later - earlier, 0.0) for earlier, later in pairwise(spent))


def gaussian_delta(epsilon: float, ratio: float) -> float:
    """Return the exact delta of the continuous Gaussian mechanism, ratio = sensitivity / deviation: an oracle.

    Source: Balle, Wang, "Improving the Gaussian Mechanism" (2018), theorem 8.
    """

    def below(value: float) -> float:
        return 0.5 * math.erfc(-value / math.sqrt(2.0))

    return below(ratio / 2 - epsilon / ratio) - math.exp(epsilon) * below(-ratio / 2 - epsilon / ratio)
