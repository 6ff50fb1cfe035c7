"""Random n-th residues that hide a plaintext: fixed base (fast) or textbook r^n.

Source: Damgard, Jurik, Nielsen 2010, section 4.2: h = -x^2 mod n, h_s = h^n mod n^2, residue = h_s^alpha with
alpha of |n|/2 bits. The encryptor draws x itself, so that no key holder can plant a weak base.
"""

import ctypes
import secrets
import threading
from collections.abc import Sequence
from typing import Protocol

import gmpy2
import numpy as np
from phe.paillier import PaillierPublicKey

from hdex.federated.paillier.kernel import KernelTable, library, montgomery_one
from hdex.federated.paillier.keys import RandBits, key_id

WORTH = 200  # powers: what the kernel saves on them is what its copy of the table costs


class Obfuscator(Protocol):
    """A source of fresh random n-th residues modulo n^2."""

    def residues(self, count: int) -> list["gmpy2.mpz"]:
        """Return fresh residues; never the same twice but by chance."""
        ...


class Textbook:
    """r^n mod n^2 with a fresh r: Paillier 1999, no further assumption, 13-16 times slower."""

    def __init__(self, public_key: PaillierPublicKey, *, randbits: RandBits = secrets.randbits) -> None:
        self._n = gmpy2.mpz(public_key.n)
        self._randbits = randbits

    def residues(self, count: int) -> list["gmpy2.mpz"]:
        """Return r^n mod n^2 for random units r."""
        square = self._n * self._n
        return [gmpy2.powmod(random_unit(self._n, self._randbits), self._n, square) for _ in range(count)]


class FixedBase:
    """h_s^alpha by table look-ups: one multiplication per `window` bits of alpha, eight powers at once in the kernel.

    The table holds 2^window powers per digit: 38 MB at 3072 bits and window 8, 13 MB at window 6.
    """

    def __init__(
        self,
        public_key: PaillierPublicKey,
        *,
        window: int = 8,
        randbits: RandBits = secrets.randbits,
        kernel: ctypes.CDLL | None = None,
    ) -> None:
        """window: 1 to 8. kernel: `kernel.library()`, or None for Python; both give the same residues."""
        n = gmpy2.mpz(public_key.n)
        self._modulus = n * n
        self._randbits = randbits
        self._window = window
        self._alpha_bits = (n.bit_length() + 1) // 2
        x = random_unit(n, randbits)
        base = gmpy2.powmod(-x * x % n, n, self._modulus)
        self._library, self._asked = kernel, 0
        self._kernel: KernelTable | None = None
        one = gmpy2.mpz(1) if kernel is None else montgomery_one(self._modulus)
        self._rows = self._table(base, one)
        self._unscale = gmpy2.powmod(one, -len(self._rows), self._modulus)  # every row brings a factor `one`

    def _table(self, base: "gmpy2.mpz", one: "gmpy2.mpz") -> list[list["gmpy2.mpz"]]:
        rows: list[list[gmpy2.mpz]] = []
        for _ in range(-(-self._alpha_bits // self._window)):
            row = [one]
            for _ in range((1 << self._window) - 1):
                row.append(row[-1] * base % self._modulus)
            rows.append(row)
            base = gmpy2.powmod(base, 1 << self._window, self._modulus)
        return rows

    def residues(self, count: int) -> list["gmpy2.mpz"]:
        """Return h_s^alpha for fresh alphas."""
        return self.powers([self._randbits(self._alpha_bits) for _ in range(count)])

    def powers(self, alphas: Sequence[int]) -> list["gmpy2.mpz"]:
        """Return h_s^alpha mod n^2 for each 0 <= alpha < 2^(|n|/2)."""
        kernel = self._kernel or self._kernel_when_worth(len(alphas))
        if kernel is None:
            return [self._power(alpha) for alpha in alphas]
        count = -(-self._alpha_bits // self._window)
        digits = [[(alpha >> (self._window * row)) & self._last for row in range(count)] for alpha in alphas]
        return kernel.products(np.array(digits, dtype=np.uint8).reshape(len(alphas), count).T)

    def _kernel_when_worth(self, count: int) -> KernelTable | None:
        """Return the kernel's table once so many powers were asked that handing the table over pays."""
        self._asked += count
        if self._library is None or self._asked < WORTH:
            return None
        self._kernel = KernelTable(self._library, self._rows, self._modulus)
        return self._kernel

    @property
    def _last(self) -> int:
        return (1 << self._window) - 1

    def _power(self, alpha: int) -> "gmpy2.mpz":
        result = self._unscale
        for row in self._rows:
            result = result * row[alpha & self._last] % self._modulus
            alpha >>= self._window
        return result


def random_unit(n: "gmpy2.mpz", randbits: RandBits) -> "gmpy2.mpz":
    """Return a random unit modulo n (bias below 2^-64)."""
    while True:
        x = gmpy2.mpz(randbits(int(n).bit_length() + 64)) % n
        if x > 1 and gmpy2.gcd(x, n) == 1:
            return x


def window_for(public_key: PaillierPublicKey, powers: int) -> int:
    """Return the window, 3 to 6, at which a table and so many powers of it take the fewest multiplications."""
    bits = (int(public_key.n).bit_length() + 1) // 2
    return min(range(3, 7), key=lambda window: -(-bits // window) * ((1 << window) + powers))


_built: dict[tuple[str, int], FixedBase] = {}
_building = threading.Lock()
_KEPT = 2  # tables are large; a node answers few studies at a time


def obfuscator_for(public_key: PaillierPublicKey, *, window: int = 8) -> FixedBase:
    """Return this process' table for `public_key`, built once; the oldest of three goes."""
    name = (key_id(public_key), window)
    with _building:
        if name not in _built:
            while len(_built) >= _KEPT:
                del _built[next(iter(_built))]
            _built[name] = FixedBase(public_key, window=window, kernel=library())
        return _built[name]
