"""Encrypt, add and decrypt vectors; canonical bytes of a vector.

Wire, big-endian: magic "HPV1" | s=1 (1) | modulus bits (2) | value bits (2) | fraction bits (2) | max weight (4) |
weight (4) | length (4) | SHA-256 of n (32) | ciphertexts, each 2|n| bits wide.
One byte sequence per vector: it is what is hashed.
"""

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import gmpy2
import numpy as np
from phe.paillier import PaillierPrivateKey, PaillierPublicKey

from hdex.federated.errors import CiphertextInvalid, ValueOutOfRange
from hdex.federated.paillier.kernel import secret_powers
from hdex.federated.paillier.keys import key_id
from hdex.federated.paillier.obfuscation import Obfuscator, Textbook, obfuscator_for, random_unit
from hdex.federated.paillier.packing import Clip, Floats, PackSpec, pack, to_integers, unpack

_HEADER = struct.Struct(">4sBHHHIII32s")
_MAGIC = b"HPV1"
_MAX_LENGTH = 1 << 24
BLIND_BITS = 128


@dataclass(frozen=True, slots=True)
class CipherVector:
    """Ciphertexts of `length` packed values whose weights add to `weight`."""

    public_key: PaillierPublicKey
    spec: PackSpec
    length: int
    weight: int
    ciphertexts: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        spec, width = self.spec, ciphertext_width(self.public_key)
        header = _HEADER.pack(
            _MAGIC,
            1,
            spec.modulus_bits,
            spec.value_bits,
            spec.fraction_bits,
            spec.max_weight,
            self.weight,
            self.length,
            bytes.fromhex(key_id(self.public_key)),
        )
        return header + b"".join(int(c).to_bytes(width, "big") for c in self.ciphertexts)

    @classmethod
    def from_bytes(cls, data: bytes, public_key: PaillierPublicKey) -> "CipherVector":
        """Return the checked vector, or raise CiphertextInvalid: key, lengths, range, coprime with n."""
        if len(data) < _HEADER.size:
            raise CiphertextInvalid(f"{len(data)} bytes; a header alone has {_HEADER.size}")
        magic, s, bits, value, fraction, limit, weight, length, key = _HEADER.unpack_from(data)
        if (magic, s) != (_MAGIC, 1):
            raise CiphertextInvalid("not a Paillier vector of version 1 with s = 1")
        if key != bytes.fromhex(key_id(public_key)) or bits != int(public_key.n).bit_length():
            raise CiphertextInvalid("encrypted under another key than the study's")
        if not 1 <= weight <= limit or length > _MAX_LENGTH:
            raise CiphertextInvalid(f"weight {weight} of at most {limit}, length {length}")
        spec = _spec(value, fraction, limit, bits)
        body, width = data[_HEADER.size :], ciphertext_width(public_key)
        if len(body) != width * spec.plaintexts(length):
            raise CiphertextInvalid(f"{len(body)} bytes of ciphertext; {width * spec.plaintexts(length)} are needed")
        ciphertexts = tuple(int.from_bytes(body[i : i + width], "big") for i in range(0, len(body), width))
        check_ciphertexts(ciphertexts, public_key)
        return cls(public_key, spec, length, weight, ciphertexts)


def _spec(value: int, fraction: int, limit: int, bits: int) -> PackSpec:
    try:
        return PackSpec(value, fraction, limit, bits)
    except ValueOutOfRange as error:
        raise CiphertextInvalid("the header's encoding is impossible") from error


def ciphertext_width(public_key: PaillierPublicKey) -> int:
    """Return the bytes of one ciphertext."""
    return (2 * int(public_key.n).bit_length() + 7) // 8


def check_ciphertexts(ciphertexts: Sequence[int], public_key: PaillierPublicKey) -> None:
    """Raise CiphertextInvalid unless every c is a unit modulo n^2 in canonical range."""
    n = gmpy2.mpz(public_key.n)
    product = gmpy2.mpz(1)
    for c in ciphertexts:
        if not 0 < c < n * n:
            raise CiphertextInvalid("a ciphertext is outside (0, n^2)")
        product = product * c % n
    if gmpy2.gcd(product, n) != 1:
        raise CiphertextInvalid("a ciphertext shares a factor with n")


def encrypt(
    public_key: PaillierPublicKey,
    values: Floats,
    spec: PackSpec,
    *,
    weight: int = 1,
    clip: Clip = "error",
    obfuscator: Obfuscator | Literal["fixed-base", "textbook"] = "fixed-base",
    masks: Sequence[int] | None = None,
) -> CipherVector:
    """Return `values` (1-D float64) times `weight`, packed and encrypted, with one contributor counted.

    masks: one integer modulo n per plaintext (`mask_integers`). Raises ValueOutOfRange unless clip is "saturate".
    """
    n = gmpy2.mpz(public_key.n)
    if n.bit_length() != spec.modulus_bits:
        raise ValueOutOfRange(f"the key has {n.bit_length()} bits, the encoding is for {spec.modulus_bits}")
    integers = to_integers(np.asarray(values, dtype=np.float64), spec, clip=clip)
    plaintexts = pack(integers, spec, weight=weight)
    source = _obfuscator(public_key, obfuscator)
    shifts = [0] * len(plaintexts) if masks is None else masks
    modulus = n * n
    residues = source.residues(len(plaintexts))
    ciphertexts = tuple(
        int((1 + (m + shift) % n * n) * residue % modulus)
        for m, shift, residue in zip(plaintexts, shifts, residues, strict=True)
    )
    return CipherVector(public_key, spec, len(integers), weight, ciphertexts)


def _obfuscator(public_key: PaillierPublicKey, choice: Obfuscator | str) -> Obfuscator:
    if choice == "textbook":
        return Textbook(public_key)
    if isinstance(choice, str):
        return obfuscator_for(public_key)
    return choice


def aggregate(vectors: Sequence[CipherVector]) -> CipherVector:
    """Return the encrypted sum. Needs no key.

    Raises CiphertextInvalid when the vectors do not fit together, ValueOutOfRange beyond the encoding's weight.
    """
    if not vectors:
        raise CiphertextInvalid("no vector to add")
    first = vectors[0]
    shape = (first.public_key.n, first.spec, first.length, len(first.ciphertexts))
    if any((v.public_key.n, v.spec, v.length, len(v.ciphertexts)) != shape for v in vectors):
        raise CiphertextInvalid("vectors of different keys, encodings or lengths cannot be added")
    weight = sum(v.weight for v in vectors)
    if weight > first.spec.max_weight:
        raise ValueOutOfRange(f"weights add to {weight}; the encoding is made for max_weight {first.spec.max_weight}")
    modulus = gmpy2.mpz(first.public_key.n) ** 2
    products = [gmpy2.mpz(c) for c in first.ciphertexts]
    for vector in vectors[1:]:
        products = [product * c % modulus for product, c in zip(products, vector.ciphertexts, strict=True)]
    return CipherVector(first.public_key, first.spec, first.length, weight, tuple(int(p) for p in products))


def decrypt(private_key: PaillierPrivateKey, vector: CipherVector, *, contributors: int) -> Floats:
    """Return the sums, shape (length,).

    Raises TooFewContributors unless exactly `contributors` encryptions were added, CiphertextInvalid on noise.
    """
    if vector.public_key.n != private_key.public_key.n:
        raise CiphertextInvalid("encrypted under another key")
    check_ciphertexts(vector.ciphertexts, vector.public_key)
    residues = plaintext_residues(private_key, vector.ciphertexts)
    n = int(private_key.public_key.n)
    return unpack(residues, n, vector.spec, length=vector.length, contributors=contributors)


def plaintext_residues(private_key: PaillierPrivateKey, ciphertexts: Sequence[int]) -> list[int]:
    """Return the plaintexts, each in [0, n)."""
    p, q = gmpy2.mpz(private_key.p), gmpy2.mpz(private_key.q)
    halves = _halves(ciphertexts, p, private_key.hp), _halves(ciphertexts, q, private_key.hq)
    return [int(private_key.crt(one, other)) for one, other in zip(*halves, strict=True)]


def _halves(ciphertexts: Sequence[int], prime: "gmpy2.mpz", h: int) -> list[int]:
    """Return the plaintexts modulo `prime`; each blinded by its own power of a fresh prime-th power, raised in secret.

    u^p mod p^2 lies in the subgroup that the exponent p-1 kills: the result is unchanged, what the exponentiation
    sees is not the sender's number.
    """
    square = prime * prime
    base = gmpy2.powmod_sec(random_unit(prime, secrets.randbits), prime, square)
    blinds = [gmpy2.powmod(base, secrets.randbits(BLIND_BITS) + 1, square) for _ in ciphertexts]
    hidden = [c * blind % square for c, blind in zip(ciphertexts, blinds, strict=True)]
    return [int((power - 1) // prime * h % prime) for power in secret_powers(hidden, prime - 1, square)]
