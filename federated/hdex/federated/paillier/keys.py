"""Paillier keys: phe's key objects over Blum primes of our own, and the checks a foreign key must pass."""

import hashlib
import json
import secrets
from collections.abc import Callable
from functools import lru_cache

import gmpy2
from phe.paillier import PaillierPrivateKey, PaillierPublicKey

from hdex.federated.errors import KeyInvalid

RandBits = Callable[[int], int]

ALLOWED_BITS = (2048, 3072, 4096)
_PRIMORIAL = gmpy2.primorial(1 << 12)  # one gcd sieves every candidate by the primes below 4096
_ROUNDS = 40  # Miller-Rabin: error below 4**-40


def generate_keypair(
    bits: int = 3072, *, randbits: RandBits = secrets.randbits
) -> tuple[PaillierPublicKey, PaillierPrivateKey]:
    """Return (public, private) with n of exactly `bits` bits, p = q = 3 mod 4 and gcd(p-1, q-1) = 2.

    Blum primes make -x^2 a generator of the residues of Jacobi symbol 1, which the fixed base needs.
    """
    if bits % 2 or bits < 64:
        raise KeyInvalid(f"a modulus of {bits} bits was asked; an even number from 64 is needed")
    while True:
        p, q = _blum_prime(bits // 2, randbits), _blum_prime(bits // 2, randbits)
        if p != q and gmpy2.gcd(p - 1, q - 1) == 2:
            public = PaillierPublicKey(int(p * q))
            return public, PaillierPrivateKey(public, int(p), int(q))


def _blum_prime(bits: int, randbits: RandBits) -> "gmpy2.mpz":
    top = (1 << (bits - 1)) | (1 << (bits - 2))  # both top bits: the product has its full length
    sieve = _PRIMORIAL if bits > 32 else gmpy2.mpz(3 * 5 * 7)
    while True:
        candidate = gmpy2.mpz(randbits(bits) | top | 3)
        if gmpy2.gcd(candidate, sieve) == 1 and gmpy2.is_prime(candidate, _ROUNDS):
            return candidate


def key_id(public_key: PaillierPublicKey) -> str:
    """Return SHA-256 over the big-endian modulus as hex: what a signed study pins."""
    n = int(public_key.n)
    return hashlib.sha256(n.to_bytes((n.bit_length() + 7) // 8, "big")).hexdigest()


def public_key_hex(public_key: PaillierPublicKey) -> str:
    """Return n as lowercase hex."""
    return f"{int(public_key.n):x}"


@lru_cache(maxsize=4)
def public_key_from_hex(text: str) -> PaillierPublicKey:
    """Return the checked public key whose modulus is `text`; the checks cost milliseconds and run once."""
    try:
        n = int(text, 16)
    except ValueError as error:
        raise KeyInvalid("the modulus is not hexadecimal") from error
    public = PaillierPublicKey(n)
    check_public_key(public)
    return public


def check_public_key(public_key: PaillierPublicKey, *, bits: tuple[int, ...] = ALLOWED_BITS) -> None:
    """Raise KeyInvalid unless n could be a product of two large primes of an allowed length.

    A hostile key holder could otherwise choose n so that ciphertexts open themselves.
    """
    n = gmpy2.mpz(public_key.n)
    if n.bit_length() not in bits:
        raise KeyInvalid(f"the modulus has {n.bit_length()} bits; allowed are {bits}")
    if gmpy2.is_even(n) or gmpy2.gcd(n, _PRIMORIAL) != 1:
        raise KeyInvalid("the modulus has a factor below 4096")
    if gmpy2.is_power(n):
        raise KeyInvalid("the modulus is a perfect power")
    if gmpy2.is_prime(n):
        raise KeyInvalid("the modulus is prime")


def private_key_to_bytes(private_key: PaillierPrivateKey) -> bytes:
    """Return the factors as JSON bytes. Secret: seal before storing."""
    return json.dumps({"p": f"{int(private_key.p):x}", "q": f"{int(private_key.q):x}"}).encode()


def private_key_from_bytes(data: bytes) -> PaillierPrivateKey:
    """Return the private key that `private_key_to_bytes` wrote."""
    try:
        document = json.loads(data)
        p, q = int(document["p"], 16), int(document["q"], 16)
        return PaillierPrivateKey(PaillierPublicKey(p * q), p, q)
    except (ValueError, KeyError, TypeError) as error:
        raise KeyInvalid("the stored private key cannot be read") from error
