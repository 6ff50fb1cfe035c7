"""How much privacy rounds of Gaussian noise cost together: their privacy loss distribution, in closed form.

The privacy loss of a Gaussian round is normal; that of many is the sum, so T rounds of one ratio (sensitivity over
deviation) are one of sqrt(T) times it, also when questions depend on earlier answers (Dong, Roth, Su 2019, corollary
3.3). delta is then exact (Balle, Wang 2018, theorem 8), where a general accountant convolves numerically.

The noise is discrete. At whole numbers its loss is the same linear form of the noise, and the probability of each is at
most exp(1 / (8 variance)) that of a continuous one rounded to it, per entry (the sum over the grid is at least the
integral; the cosh in the integral over a cell is at least 1). So delta grows by exp(entries / (8 variance)), and the
loss by what rounding moves the linear form: at most reach sqrt(entries) / (2 variance). MARGIN of epsilon and of delta
is kept for both, and `require_margin` refuses where that is too little. A sum of discrete Gaussians of variance 100 or
more is a discrete Gaussian but for less than exp(-900) (Kairouz, Liu, Steinke 2021, theorem 10).
"""

import math
from functools import lru_cache
from itertools import accumulate, pairwise

from hdex.federated.errors import StudyInvalid

MARGIN = 1e-3
_HALVINGS = 200


def gaussian_delta(epsilon: float, ratio: float) -> float:
    """Return delta of the Gaussian mechanism, ratio = sensitivity / deviation > 0."""

    def below(value: float) -> float:
        return 0.5 * math.erfc(-value / math.sqrt(2.0))

    return below(ratio / 2 - epsilon / ratio) - math.exp(epsilon) * below(-ratio / 2 - epsilon / ratio)


def epsilon_of(ratio: float, delta: float) -> float:
    """Return the smallest epsilon, from above, with which rounds of this ratio together keep `delta`; 0 for ratio 0.

    Monotone in ratio. Raises ValueError unless ratio is finite and not negative and 0 < delta < 1.
    """
    if not (math.isfinite(ratio) and ratio >= 0 and 0 < delta < 1):
        raise ValueError("ratio must be finite and not negative, delta between 0 and 1")
    if ratio == 0:
        return 0.0
    low, high = 0.0, ratio * ratio / 2 + ratio * math.sqrt(2 * math.log(1 / delta))  # Bun, Steinke 2016, prop. 1.3
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if gaussian_delta(middle, ratio) <= delta else (middle, high)
    return high


@lru_cache(maxsize=64)
def ratio_of(epsilon: float, delta: float) -> float:
    """Return the largest ratio, from below, of all rounds together that keeps epsilon and delta less MARGIN."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError("epsilon must be finite and positive")
    within, kept = epsilon * (1 - MARGIN), delta * (1 - MARGIN)
    low, high = 0.0, 1.0
    while gaussian_delta(within, high) <= kept:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if gaussian_delta(within, middle) <= kept else (low, middle)
    return low


def require_margin(epsilon: float, ratio: float, *, entries: int, reach: float) -> None:
    """Raise StudyInvalid where MARGIN does not cover what discreteness costs a vector of `entries` numbers."""
    loss, growth = ratio**2 * math.sqrt(entries) / (2 * reach), entries * ratio**2 / (8 * reach**2)
    if loss > MARGIN * epsilon or growth > MARGIN / 2:
        raise StudyInvalid(f"clip is too small for sums of {entries} numbers; a larger clip is needed")


@lru_cache(maxsize=64)
def round_costs(epsilon: float, delta: float, rounds: int) -> tuple[float, ...]:
    """Return what each of `rounds` equal rounds adds to epsilon: their sum is never above epsilon."""
    ratio, kept = ratio_of(epsilon, delta), delta * (1 - MARGIN)
    after = (
        min(epsilon, epsilon_of(ratio * math.sqrt(number / rounds), kept) / (1 - MARGIN))
        for number in range(rounds + 1)
    )
    spent = accumulate(after, max)  # rounding may let a later one be smaller
    return tuple(math.nextafter(later - earlier, 0.0) for earlier, later in pairwise(spent))
