"""The product of many small powers, for proofs that check a whole vector at once. Public numbers only."""

from collections.abc import Sequence

import gmpy2

WEIGHT_BITS = 128
_WINDOW = 4
_AT_ONCE = 256  # bases whose tables are in memory together: 3 MB at 3072 bits


def weighted_product(bases: Sequence[int], weights: Sequence[int], modulus: "gmpy2.mpz") -> "gmpy2.mpz":
    """Return the product of base^weight modulo `modulus`; weights in [0, 2^WEIGHT_BITS), as many as bases."""
    product = gmpy2.mpz(1)
    for start in range(0, len(bases), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        product = product * _straus(bases[some], weights[some], modulus) % modulus
    return product


def _straus(bases: Sequence[int], weights: Sequence[int], modulus: "gmpy2.mpz") -> "gmpy2.mpz":
    """Straus 1964: the squarings are shared by all bases."""
    rows = [_powers(gmpy2.mpz(base), modulus) for base in bases]
    product, last = gmpy2.mpz(1), (1 << _WINDOW) - 1
    for shift in range(WEIGHT_BITS - _WINDOW, -1, -_WINDOW):
        product = gmpy2.powmod(product, 1 << _WINDOW, modulus)
        for row, weight in zip(rows, weights, strict=True):
            product = product * row[(weight >> shift) & last] % modulus
    return product


def _powers(base: "gmpy2.mpz", modulus: "gmpy2.mpz") -> list["gmpy2.mpz"]:
    row = [gmpy2.mpz(1)]
    while len(row) < 1 << _WINDOW:
        row.append(row[-1] * base % modulus)
    return row
