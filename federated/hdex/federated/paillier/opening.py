"""Verifiable decryption: the key holder opens the randomness of a ciphertext, and anyone checks the plaintext with it.

Every ciphertext is c = (1 + M n) R^n mod n^2 for exactly one pair (M, R). Whoever has the factors finds R as the n-th
root of c modulo n. A vector is checked in one batch: random 128-bit weights, one n-th power in all; a wrong plaintext
passes with probability 2^-128, because a difference that is not 0 modulo n has a prime factor of n above it.
"""

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import gmpy2
from phe.paillier import PaillierPrivateKey, PaillierPublicKey

from hdex.federated.errors import CiphertextInvalid
from hdex.federated.paillier.kernel import secret_powers
from hdex.federated.paillier.keys import RandBits
from hdex.federated.paillier.obfuscation import random_unit
from hdex.federated.paillier.packing import Floats, unpack
from hdex.federated.paillier.products import WEIGHT_BITS, weighted_product
from hdex.federated.paillier.vectors import BLIND_BITS, CipherVector, check_ciphertexts, plaintext_residues

_HEADER = struct.Struct(">4sI")
_MAGIC = b"HPO1"


@dataclass(frozen=True, slots=True)
class Opening:
    """Of every ciphertext of a vector: the plaintext modulo n and the randomness modulo n.

    Publish it for sums of several parties only: the randomness of a single contribution opens that contribution.
    """

    plaintexts: tuple[int, ...] = field(repr=False)
    randomness: tuple[int, ...] = field(repr=False)

    def to_bytes(self, public_key: PaillierPublicKey) -> bytes:
        """Return magic "HPO1" | count (4) | plaintexts | randomness, each number as wide as n, big-endian."""
        width = _width(public_key)
        numbers = b"".join(int(one).to_bytes(width, "big") for one in (*self.plaintexts, *self.randomness))
        return _HEADER.pack(_MAGIC, len(self.plaintexts)) + numbers

    @classmethod
    def from_bytes(cls, data: bytes, public_key: PaillierPublicKey) -> "Opening":
        """Return the opening, unchecked but whole. Raises CiphertextInvalid."""
        width = _width(public_key)
        if len(data) < _HEADER.size:
            raise CiphertextInvalid(f"{len(data)} bytes; the header of an opening alone has {_HEADER.size}")
        magic, count = _HEADER.unpack_from(data)
        if magic != _MAGIC or len(data) != _HEADER.size + 2 * count * width:
            raise CiphertextInvalid(f"{len(data)} bytes are no opening under this key")
        body = data[_HEADER.size :]
        numbers = [int.from_bytes(body[at : at + width], "big") for at in range(0, len(body), width)]
        return cls(tuple(numbers[:count]), tuple(numbers[count:]))


def open_vector(private_key: PaillierPrivateKey, vector: CipherVector) -> Opening:
    """Return the plaintexts of a vector with their randomness. Raises CiphertextInvalid for another key's."""
    if vector.public_key.n != private_key.public_key.n:
        raise CiphertextInvalid("encrypted under another key")
    check_ciphertexts(vector.ciphertexts, vector.public_key)
    return Opening(
        tuple(plaintext_residues(private_key, vector.ciphertexts)),
        tuple(_randomness(private_key, vector.ciphertexts)),
    )


def verify_opening(vector: CipherVector, opening: Opening, *, randbits: RandBits = secrets.randbits) -> None:
    """Raise CiphertextInvalid unless these are the plaintexts of this vector. Needs no secret."""
    n = gmpy2.mpz(vector.public_key.n)
    if not len(opening.plaintexts) == len(opening.randomness) == len(vector.ciphertexts):
        raise CiphertextInvalid(f"{len(opening.plaintexts)} openings for {len(vector.ciphertexts)} ciphertexts")
    check_ciphertexts(vector.ciphertexts, vector.public_key)
    if not all(0 <= m < n for m in opening.plaintexts):
        raise CiphertextInvalid("an opened plaintext is outside [0, n)")
    if not all(0 < r < n and gmpy2.gcd(r, n) == 1 for r in opening.randomness):
        raise CiphertextInvalid("an opened randomness is no unit modulo n")
    modulus, weights = n * n, [randbits(WEIGHT_BITS) for _ in vector.ciphertexts]
    total = sum(weight * m for weight, m in zip(weights, opening.plaintexts, strict=True)) % n
    product = weighted_product(vector.ciphertexts, weights, modulus)
    root = weighted_product(opening.randomness, weights, n)
    if product != (1 + total * n) * gmpy2.powmod(root, n, modulus) % modulus:
        raise CiphertextInvalid("an opened plaintext is not that of its ciphertext")


def opened_sums(vector: CipherVector, opening: Opening, *, contributors: int) -> Floats:
    """Return the sums of a vector that was opened, shape (length,), after checking the opening.

    Raises CiphertextInvalid as `verify_opening`, TooFewContributors unless `contributors` encryptions were added.
    """
    verify_opening(vector, opening)
    n = int(vector.public_key.n)
    return unpack(opening.plaintexts, n, vector.spec, length=vector.length, contributors=contributors)


def _randomness(private_key: PaillierPrivateKey, ciphertexts: Sequence[int]) -> list[int]:
    p, q = gmpy2.mpz(private_key.p), gmpy2.mpz(private_key.q)
    roots = _roots(ciphertexts, p * q, p), _roots(ciphertexts, p * q, q)
    return [int(private_key.crt(one, other)) for one, other in zip(*roots, strict=True)]


def _roots(ciphertexts: Sequence[int], n: "gmpy2.mpz", prime: "gmpy2.mpz") -> list[int]:
    """Return the n-th roots modulo `prime`; each number is multiplied by a random n-th power before it is raised."""
    base = random_unit(prime, secrets.randbits)
    power = gmpy2.powmod_sec(base, n % (prime - 1), prime)
    blinds = [secrets.randbits(BLIND_BITS) + 1 for _ in ciphertexts]
    hidden = [c * gmpy2.powmod(power, k, prime) % prime for c, k in zip(ciphertexts, blinds, strict=True)]
    exponent = gmpy2.invert(n, prime - 1)  # exists: the other factor has the same length, so it divides no p - 1
    roots, unblind = secret_powers(hidden, exponent, prime), gmpy2.invert(base, prime)
    return [int(root * gmpy2.powmod(unblind, k, prime) % prime) for root, k in zip(roots, blinds, strict=True)]


def _width(public_key: PaillierPublicKey) -> int:
    return (int(public_key.n).bit_length() + 7) // 8
