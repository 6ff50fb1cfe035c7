"""The optional C kernel: eight fixed-base powers at once where the CPU has AVX512-IFMA. Same numbers as in Python."""

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


class KernelTable:
    """Powers of one base in the form the kernel multiplies."""

    def __init__(self, kernel: ctypes.CDLL, rows: Sequence[Sequence["gmpy2.mpz"]], modulus: "gmpy2.mpz") -> None:
        """rows: entries in Montgomery form (`montgomery_one`), at most 256 a row, the same number in each."""
        self._kernel, self._modulus = kernel, modulus
        self._limbs = limbs_of(modulus)
        self._rows, self._entries = len(rows), len(rows[0])
        self._table = to_limbs([one for row in rows for one in row], self._limbs)
        self._m = to_limbs([modulus], self._limbs)
        self._inverse = int(-gmpy2.invert(modulus, 1 << LIMB_BITS)) % (1 << LIMB_BITS)

    def products(self, digits: NDArray[np.uint8]) -> list["gmpy2.mpz"]:
        """Return for each column of `digits`, shape (rows, count), the product of the entries it names, modulo m."""
        count = digits.shape[1]
        padded = np.zeros((self._rows, -(-count // LANES) * LANES), dtype=np.uint8)
        padded[:, :count] = digits
        found: list[gmpy2.mpz] = []
        for start in range(0, count, LANES):
            out = np.zeros((LANES, self._limbs), dtype=np.uint64)
            self._run(np.ascontiguousarray(padded[:, start : start + LANES]), out)
            found += [one % self._modulus for one in from_limbs(out)]
        return found[:count]

    def _run(self, digits: NDArray[np.uint8], out: Limbs) -> None:
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
        code = self._kernel.hdex_fixed_base_powers(
            pointer(self._table.ctypes.data),
            size(self._rows),
            size(self._entries),
            size(self._limbs),
            pointer(self._m.ctypes.data),
            number(self._inverse),
            pointer(digits.ctypes.data),
            pointer(out.ctypes.data),
        )
        assert code == 0, "the kernel was called with sizes that do not fit"


def limbs_of(modulus: "gmpy2.mpz") -> int:
    """Return how many limbs a value needs: R = 2^(52 limbs) is above 4 modulus."""
    return -(-(int(modulus).bit_length() + 2) // LIMB_BITS)


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
