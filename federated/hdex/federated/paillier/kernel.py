"""The optional C kernel: eight powers at once where the CPU has AVX512-IFMA. Same numbers as from gmpy2."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import gmpy2
import numpy as np
from numpy.typing import NDArray

LANES, LIMB_BITS, MOST_LIMBS = 8, 52, 256
LIBRARY = Path(__file__).with_name("_kernel.so")  # made by hatch_build.py
Limbs = NDArray[np.uint64]


@cache
def library() -> ctypes.CDLL | None:
    """Return the kernel, None where it was not built or this CPU cannot run it."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
        return found if found.hdex_kernel_supported() else None
    except (OSError, AttributeError):
        return None


def secret_powers(bases: Sequence[int], exponent: int, modulus: "gmpy2.mpz") -> list["gmpy2.mpz"]:
    """Return base^exponent modulo an odd modulus for each base; time and memory access do not tell the exponent.

    By the kernel where it is and more than one base asks, else by gmpy2's powmod_sec.
    """
    kernel = library()
    if kernel is None or len(bases) < 2 or limbs_of(modulus) > MOST_LIMBS:
        return [gmpy2.powmod_sec(base, exponent, modulus) for base in bases]
    field, nibbles = _Field(modulus), _nibbles(exponent)
    rows = to_limbs([base % modulus for base in bases], field.limbs)
    padded = np.zeros((-(-len(bases) // LANES) * LANES, field.limbs), dtype=np.uint64)
    padded[: len(bases)] = rows
    out = np.zeros_like(padded)
    for start in range(0, len(padded), LANES):
        code = kernel.hdex_powers(
            _at(padded[start:]),
            ctypes.c_size_t(field.limbs),
            _at(field.modulus),
            ctypes.c_uint64(field.inverse),
            _at(field.square),
            _at(nibbles),
            ctypes.c_size_t(len(nibbles)),
            _at(out[start:]),
        )
        require_fit(code)
    return [one % modulus for one in from_limbs(out)][: len(bases)]


class KernelTable:
    """Powers of one base in the form the kernel multiplies."""

    def __init__(self, kernel: ctypes.CDLL, rows: Sequence[Sequence["gmpy2.mpz"]], modulus: "gmpy2.mpz") -> None:
        """rows: entries in Montgomery form (`montgomery_one`), at most 256 a row, the same number in each."""
        self._kernel, self._modulus, self._field = kernel, modulus, _Field(modulus)
        self._rows, self._entries = len(rows), len(rows[0])
        self._table = to_limbs([one for row in rows for one in row], self._field.limbs)

    def products(self, digits: NDArray[np.uint8]) -> list["gmpy2.mpz"]:
        """Return for each column of `digits`, shape (rows, count), the product of the entries it names, modulo m."""
        count = digits.shape[1]
        padded = np.zeros((self._rows, -(-count // LANES) * LANES), dtype=np.uint8)
        padded[:, :count] = digits
        out = np.zeros((padded.shape[1], self._field.limbs), dtype=np.uint64)
        for start in range(0, count, LANES):
            lanes = np.ascontiguousarray(padded[:, start : start + LANES])
            code = self._kernel.hdex_fixed_base_powers(
                _at(self._table),
                ctypes.c_size_t(self._rows),
                ctypes.c_size_t(self._entries),
                ctypes.c_size_t(self._field.limbs),
                _at(self._field.modulus),
                ctypes.c_uint64(self._field.inverse),
                _at(lanes),
                _at(out[start:]),
            )
            require_fit(code)
        return [one % self._modulus for one in from_limbs(out)][:count]


class _Field:
    """What the kernel needs of a modulus."""

    def __init__(self, modulus: "gmpy2.mpz") -> None:
        self.limbs = limbs_of(modulus)
        self.modulus = to_limbs([modulus], self.limbs)
        self.inverse = int(-gmpy2.invert(modulus, 1 << LIMB_BITS)) % (1 << LIMB_BITS)
        self.square = to_limbs([montgomery_one(modulus) ** 2 % modulus], self.limbs)


def _nibbles(exponent: int) -> NDArray[np.uint8]:
    """Return the digits of 4 bits, highest first; how many there are depends on the exponent's length only."""
    data = np.frombuffer(int(exponent).to_bytes(-(-int(exponent).bit_length() // 8), "big"), dtype=np.uint8)
    return np.ascontiguousarray(np.stack([data >> 4, data & 15], axis=1).reshape(-1))


def _at(array: NDArray[np.uint64] | NDArray[np.uint8]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def require_fit(code: int) -> None:
    """Stop where the kernel says that it was called with sizes it does not know: a fault of ours, never of input."""
    assert code == 0, "the kernel was called with sizes that do not fit"


def limbs_of(modulus: "gmpy2.mpz") -> int:
    """Return how many limbs a value needs: R = 2^(52 limbs) is above 4 modulus; the kernel takes two or more."""
    return max(2, -(-(int(modulus).bit_length() + 2) // LIMB_BITS))


def montgomery_one(modulus: "gmpy2.mpz") -> "gmpy2.mpz":
    """Return R modulo m: 1 in Montgomery form."""
    return gmpy2.mpz(1 << (LIMB_BITS * limbs_of(modulus))) % modulus


def to_limbs(values: Sequence[int], limbs: int) -> Limbs:
    """Return the limbs, lowest first, shape (len(values), limbs)."""
    words = -(-limbs * LIMB_BITS // 64) + 1  # one more: the last limb may look into it
    data = b"".join(int(value).to_bytes(8 * words, "little") for value in values)
    columns = np.ascontiguousarray(np.frombuffer(data, dtype="<u8").reshape(len(values), words).T)
    found, mask = np.empty((limbs, len(values)), dtype=np.uint64), np.uint64((1 << LIMB_BITS) - 1)
    for limb in range(limbs):
        word, shift = divmod(limb * LIMB_BITS, 64)
        found[limb] = columns[word] >> np.uint64(shift)
        if shift > 64 - LIMB_BITS:
            found[limb] |= columns[word + 1] << np.uint64(64 - shift)
    return np.ascontiguousarray((found & mask).T)


def from_limbs(limbs: Limbs) -> list["gmpy2.mpz"]:
    """Return the values of rows of limbs below 2^52."""
    count, width = limbs.shape
    padded = np.zeros((count, width + width % 2), dtype=np.uint64)
    padded[:, :width] = limbs
    low, high = padded[:, 0::2], padded[:, 1::2]
    words = np.stack([low | (high << np.uint64(LIMB_BITS)), high >> np.uint64(12)], axis=2)  # 104 bits in two words
    data = words.view(np.uint8).reshape(count, -1, 16)[:, :, :13].reshape(count, -1)
    return [gmpy2.mpz(int.from_bytes(row.tobytes(), "little")) for row in data]
