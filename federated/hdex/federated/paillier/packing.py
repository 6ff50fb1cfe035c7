"""Fixed point in balanced signed slots: many numbers in one plaintext, exact under addition.

plaintext = sum of v_i 2^(w i) with |v_i| <= 2^(b-1)-1 and w = b + ceil(log2 W); W bounds the sum of weights. The top
slot of the first plaintext counts contributors. The exponent is public and one for all values: phe's own
encoding sends it per value and so tells each value's magnitude.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import gmpy2
import numpy as np
from numpy.typing import NDArray

from hdex.federated.errors import CiphertextInvalid, TooFewContributors, ValueOutOfRange

Floats = NDArray[np.float64]
Clip = Literal["error", "saturate"]
EXACT = 1 << 53  # every whole number up to here is a float64


@dataclass(frozen=True, slots=True)
class PackSpec:
    """How numbers become plaintexts; public, pinned by the signed study."""

    value_bits: int  # b: one contributor's |round(x 2^f)| <= 2^(b-1)-1
    fraction_bits: int  # f: resolution 2^-f
    max_weight: int = 1  # W: largest sum of weights that may ever be added
    modulus_bits: int = 3072

    def __post_init__(self) -> None:
        if self.value_bits < 2 or not 0 <= self.fraction_bits <= 1000 or self.max_weight < 1:
            raise ValueOutOfRange(
                f"{self.value_bits} value bits, {self.fraction_bits} fraction bits, weight {self.max_weight}: "
                "at least 2, 0 to 1000, at least 1 are needed"
            )
        if self.slots < 2:
            raise ValueOutOfRange(f"a slot of {self.slot_bits} bits leaves less than two in {self.modulus_bits} bits")

    @property
    def slot_bits(self) -> int:
        """w: bits of one slot."""
        return self.value_bits + (self.max_weight - 1).bit_length()

    @property
    def slots(self) -> int:
        """Slots per plaintext: every balanced sum stays inside (-n/2, n/2)."""
        return (self.modulus_bits - 1) // self.slot_bits

    @property
    def limit(self) -> int:
        """Largest |integer| one contributor may put in a slot before weighting."""
        return (1 << (self.value_bits - 1)) - 1

    def plaintexts(self, length: int) -> int:
        """Return how many plaintexts hold `length` values and the count slot."""
        return -(-(length + 1) // self.slots)


def to_integers(values: Floats, spec: PackSpec, *, clip: Clip = "error") -> list[int]:
    """Return round(x 2^f) for each value, half to even.

    Raises ValueOutOfRange naming the position, not the value; NaN is never in range.
    """
    if values.ndim != 1:
        raise ValueOutOfRange(f"values of {values.ndim} dimensions; one is needed")
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(np.ldexp(values, spec.fraction_bits))  # exact: a power of two, then half to even
        within = bool((np.abs(scaled) <= min(spec.limit, EXACT)).all())
    if within:
        return cast(list[int], scaled.astype(np.int64).tolist())
    return [_to_integer(float(value), position, spec, clip) for position, value in enumerate(values)]


def _to_integer(value: float, position: int, spec: PackSpec, clip: Clip) -> int:
    bound = spec.limit
    if math.isnan(value):
        raise ValueOutOfRange(f"position {position} is not a number")
    scaled = None if math.isinf(value) else _round_scaled(value, spec.fraction_bits)
    if scaled is not None and abs(scaled) <= bound:
        return scaled
    if clip == "saturate":
        return bound if value > 0 else -bound
    raise ValueOutOfRange(f"position {position} needs more than {spec.value_bits} bits")


def _round_scaled(value: float, fraction_bits: int) -> int:
    numerator, denominator = value.as_integer_ratio()  # exact: value * 2.0**f could overflow
    quotient, rest = divmod(numerator << fraction_bits, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient


def pack(integers: Sequence[int], spec: PackSpec, *, weight: int = 1) -> list["gmpy2.mpz"]:
    """Return the plaintexts (signed) of one contribution: weighted values and one count.

    Values fill slots 0, 1, ... of the first plaintext up to its count slot, then the next plaintexts.
    """
    if not 1 <= weight <= spec.max_weight:
        raise ValueOutOfRange(f"weight {weight}; 1 to {spec.max_weight} is allowed")
    weighted = [value * weight for value in integers]
    first = weighted[: spec.slots - 1]
    groups = [[*first, *[0] * (spec.slots - 1 - len(first)), 1]]
    rest = weighted[spec.slots - 1 :]
    groups += [rest[start : start + spec.slots] for start in range(0, len(rest), spec.slots)]
    return [_join(group, spec.slot_bits) for group in groups]


def _join(digits: Sequence[int], width: int) -> "gmpy2.mpz":
    total = gmpy2.mpz(0)
    for digit in reversed(digits):
        total = (total << width) + digit
    return total


def unpack(residues: Sequence[int], n: int, spec: PackSpec, *, length: int, contributors: int) -> Floats:
    """Return the sums in the plaintext residues modulo n.

    Raises TooFewContributors when the count slot is not `contributors`, CiphertextInvalid when the slots
    hold what no honest sum can hold: both are what noise looks like (a missing or foreign mask).
    """
    digits = [_split(residue, n, spec) for residue in residues]
    count = digits[0].pop()
    flat = [digit for group in digits for digit in group]
    if count != contributors:
        raise TooFewContributors(
            f"the count slot is not {contributors}: a contribution is missing, foreign or repeated"
        )
    if any(flat[length:]) or any(abs(digit) > spec.limit * spec.max_weight for digit in flat[:length]):
        raise CiphertextInvalid("the sum does not decode: the plaintext is noise or out of range")
    return np.array([digit / (1 << spec.fraction_bits) for digit in flat[:length]], dtype=np.float64)


def _split(residue: int, n: int, spec: PackSpec) -> list[int]:
    width, half = spec.slot_bits, 1 << (spec.slot_bits - 1)
    signed = residue - n if residue > n // 2 else residue
    biased = int(signed) + half * (((1 << (width * spec.slots)) - 1) // ((1 << width) - 1))
    if biased < 0 or biased.bit_length() > width * spec.slots:
        raise TooFewContributors("the plaintext is noise: a contribution is missing, foreign or repeated")
    mask = (1 << width) - 1
    return [((biased >> (width * slot)) & mask) - half for slot in range(spec.slots)]
