"""t-of-l threshold decryption: no single party can open anything, and a missing one costs nothing.

Source: Damgard, Jurik, Nielsen 2010, section 5 (after Shoup 2000), with s = 1. A dealer draws safe primes, shares the
exponent d (0 modulo p'q', 1 modulo n) by a polynomial, and forgets it. A party raises ciphertexts to 2 D s_i (D = l!)
and proves for all of them at once that it used its own share; any t answers that prove themselves give the plaintext.
"""

import hashlib
import json
import math
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import gmpy2
from phe.paillier import PaillierPublicKey

from hdex.federated.errors import CiphertextInvalid, KeyInvalid, TooFewContributors
from hdex.federated.paillier.kernel import secret_powers
from hdex.federated.paillier.keys import RandBits, key_id
from hdex.federated.paillier.packing import Floats, unpack
from hdex.federated.paillier.products import WEIGHT_BITS, weighted_product
from hdex.federated.paillier.vectors import CipherVector, check_ciphertexts, ciphertext_width

MOST_PARTIES = 64
CHALLENGE_BITS = 256
_MAGIC, _PART = b"HPP1", struct.Struct(">4sHI")
_SIEVE = gmpy2.primorial(1 << 13)
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class ThresholdKey:
    """What everybody knows: the modulus, how many of how many open, and what each party's proofs are checked with."""

    public_key: PaillierPublicKey
    threshold: int  # t: so many parties open together
    base: int  # v, a random square modulo n^2
    checks: tuple[int, ...]  # of party 1 to l: v^(D s_i) modulo n^2

    @property
    def parties(self) -> int:
        """l: how many shares were dealt."""
        return len(self.checks)

    @property
    def delta(self) -> int:
        """D = l!"""
        return math.factorial(self.parties)


@dataclass(frozen=True, slots=True)
class Share:
    """One party's secret."""

    party: int  # 1 to l
    exponent: int = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the share as JSON bytes. Secret: seal before storing."""
        return json.dumps({"party": self.party, "exponent": f"{self.exponent:x}"}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Share":
        """Return the share that `to_bytes` wrote. Raises KeyInvalid."""
        try:
            document = json.loads(data)
            return cls(int(document["party"]), int(document["exponent"], 16))
        except (ValueError, KeyError, TypeError) as error:
            raise KeyInvalid("the stored share cannot be read") from error


@dataclass(frozen=True, slots=True)
class Partial:
    """One party's answer to a vector: a power of every ciphertext, and one proof for all of them."""

    party: int
    powers: tuple[int, ...]
    challenge: int
    response: int

    def to_bytes(self, key: ThresholdKey) -> bytes:
        """Return magic "HPP1" | party (2) | count (4) | challenge | response | powers, big-endian, in fixed widths."""
        response, width = _response_width(key), ciphertext_width(key.public_key)
        head = _PART.pack(_MAGIC, self.party, len(self.powers)) + self.challenge.to_bytes(CHALLENGE_BITS // 8, "big")
        return head + self.response.to_bytes(response, "big") + b"".join(p.to_bytes(width, "big") for p in self.powers)

    @classmethod
    def from_bytes(cls, data: bytes, key: ThresholdKey) -> "Partial":
        """Return the part, unverified but whole. Raises CiphertextInvalid."""
        response, width = _response_width(key), ciphertext_width(key.public_key)
        start = _PART.size + CHALLENGE_BITS // 8 + response
        if len(data) < start:
            raise CiphertextInvalid(f"{len(data)} bytes; the head of a part alone has {start}")
        magic, party, count = _PART.unpack_from(data)
        if magic != _MAGIC or len(data) != start + count * width:
            raise CiphertextInvalid(f"{len(data)} bytes are no part of an opening under this key")
        powers = tuple(int.from_bytes(data[at : at + width], "big") for at in range(start, len(data), width))
        middle = _PART.size + CHALLENGE_BITS // 8
        challenge, answer = data[_PART.size : middle], data[middle:start]
        return cls(party, powers, int.from_bytes(challenge, "big"), int.from_bytes(answer, "big"))


def _response_width(key: ThresholdKey) -> int:
    """Return the bytes of a proof's response: hiding plus challenge times exponent."""
    return (_hiding_bits(key) + 8) // 8


def _hiding_bits(key: ThresholdKey) -> int:
    """Return how long the number is that hides D times a share times a challenge."""
    return 2 * int(key.public_key.n).bit_length() + key.delta.bit_length() + 2 * CHALLENGE_BITS


def deal(
    bits: int = 3072, *, parties: int, threshold: int, randbits: RandBits = secrets.randbits
) -> tuple[ThresholdKey, tuple[Share, ...]]:
    """Return the key and one share per party; whoever calls this must forget everything but its own.

    Draws two safe primes: 5 to 60 s at 3072 bits. Raises KeyInvalid for numbers that make no scheme.
    """
    if not 1 <= threshold <= parties <= MOST_PARTIES:
        raise KeyInvalid(f"{threshold} of {parties} parties; 1 <= t <= l <= {MOST_PARTIES} is needed")
    if bits % 2 or bits < 256:
        raise KeyInvalid(f"a modulus of {bits} bits was asked; an even number from 256 is needed")
    p = q = _safe_prime(bits // 2, randbits)
    while p == q:
        q = _safe_prime(bits // 2, randbits)
    n, m = p * q, (p // 2) * (q // 2)
    order = n * m
    secret = m * gmpy2.invert(m, n) % order  # 0 modulo m, 1 modulo n
    polynomial = [secret, *(_below(order, randbits) for _ in range(threshold - 1))]
    shares = tuple(Share(i, int(_evaluate(polynomial, i, order))) for i in range(1, parties + 1))
    base = _below(n * n, randbits) ** 2 % (n * n)
    delta = math.factorial(parties)
    checks = tuple(int(gmpy2.powmod_sec(base, delta * one.exponent, n * n)) for one in shares)
    return ThresholdKey(PaillierPublicKey(int(n)), threshold, int(base), checks), shares


def partial_decrypt(
    key: ThresholdKey, share: Share, vector: CipherVector, *, randbits: RandBits = secrets.randbits
) -> Partial:
    """Return a party's part of opening a vector. Raises CiphertextInvalid for a vector of another key."""
    _require_own(key, vector)
    n2 = gmpy2.mpz(key.public_key.n) ** 2
    exponent = gmpy2.mpz(key.delta) * share.exponent
    powers = tuple(map(int, secret_powers(vector.ciphertexts, 2 * exponent, n2)))
    base, power = _joined(key, share.party, vector, powers)
    hiding = randbits(_hiding_bits(key))
    commitments = secret_powers([base, key.base], hiding, n2)
    challenge = _challenge(key, share.party, base, power, commitments)
    return Partial(share.party, powers, challenge, int(hiding + challenge * exponent))


def verify_partial(key: ThresholdKey, vector: CipherVector, partial: Partial) -> None:
    """Raise CiphertextInvalid unless the party used its own share on every ciphertext of this vector."""
    _require_own(key, vector)
    n2 = gmpy2.mpz(key.public_key.n) ** 2
    if not 1 <= partial.party <= key.parties or len(partial.powers) != len(vector.ciphertexts):
        raise CiphertextInvalid(f"the part of party {partial.party} does not fit this vector")
    check_ciphertexts(partial.powers, key.public_key)
    if partial.response < 0 or not 0 <= partial.challenge < 1 << CHALLENGE_BITS:
        raise CiphertextInvalid(f"the proof of party {partial.party} is out of range")
    base, power = _joined(key, partial.party, vector, partial.powers)
    check = key.checks[partial.party - 1]
    commitments = [
        gmpy2.powmod(base, partial.response, n2) * gmpy2.powmod(power, -partial.challenge, n2) % n2,
        gmpy2.powmod(key.base, partial.response, n2) * gmpy2.powmod(check, -partial.challenge, n2) % n2,
    ]
    if _challenge(key, partial.party, base, power, commitments) != partial.challenge:
        raise CiphertextInvalid(f"the proof of party {partial.party} does not hold")


def combine_partials(
    key: ThresholdKey, vector: CipherVector, partials: Sequence[Partial], *, contributors: int
) -> Floats:
    """Return the sums of a vector, shape (length,), from `threshold` parties' parts; each is verified first.

    Raises TooFewContributors for too few parties or another number of contributions, CiphertextInvalid for a part
    that does not prove itself: leave that party out and combine again.
    """
    parts = {one.party: one for one in partials}
    if len(parts) < key.threshold:
        raise TooFewContributors(f"{len(parts)} parties answered; {key.threshold} of {key.parties} open together")
    chosen = [parts[party] for party in sorted(parts)[: key.threshold]]
    for one in chosen:
        verify_partial(key, vector, one)
    residues = _interpolated(key, {one.party: one.powers for one in chosen}, len(vector.ciphertexts))
    n = int(key.public_key.n)
    return unpack(residues, n, vector.spec, length=vector.length, contributors=contributors)


def _interpolated(key: ThresholdKey, powers: Mapping[int, Sequence[int]], count: int) -> list[int]:
    """Return the plaintexts modulo n: the Lagrange combination of the powers is (1 + n)^(4 D^2 M)."""
    n = gmpy2.mpz(key.public_key.n)
    n2 = n * n
    scale = gmpy2.invert(4 * key.delta**2, n)
    weights = {party: 2 * _lagrange(party, list(powers), key.delta) for party in powers}
    residues = []
    for at in range(count):
        product = gmpy2.mpz(1)
        for party, weight in weights.items():
            product = product * gmpy2.powmod(powers[party][at], weight, n2) % n2
        if product % n != 1:
            raise CiphertextInvalid("the parts do not combine to a plaintext")
        residues.append(int((product - 1) // n * scale % n))
    return residues


def _lagrange(party: int, parties: Sequence[int], delta: int) -> int:
    """D times the Lagrange coefficient of `party` at 0: a whole number."""
    numerator = delta * math.prod(-other for other in parties if other != party)
    return numerator // math.prod(party - other for other in parties if other != party)


def _joined(
    key: ThresholdKey, party: int, vector: CipherVector, powers: Sequence[int]
) -> tuple["gmpy2.mpz", "gmpy2.mpz"]:
    """Return (C^4, P^2) of the weighted products of ciphertexts and powers; the weights follow from all of them."""
    n2 = gmpy2.mpz(key.public_key.n) ** 2
    seed = _digest(b"hdex/threshold/weights/v1", key_id(key.public_key), party, *vector.ciphertexts, *powers)
    weights = [int.from_bytes(_digest(seed, at)[: WEIGHT_BITS // 8], "big") for at in range(len(powers))]
    base, power = weighted_product(vector.ciphertexts, weights, n2), weighted_product(powers, weights, n2)
    return base**4 % n2, power**2 % n2


def _challenge(key: ThresholdKey, party: int, base: int, power: int, commitments: Sequence["gmpy2.mpz"]) -> int:
    parts = (key_id(key.public_key), party, key.base, key.checks[party - 1], base, power, *commitments)
    return int.from_bytes(_digest(b"hdex/threshold/proof/v1", *parts), "big")


def _digest(tag: bytes, *parts: object) -> bytes:
    text = b"\n".join(str(part).encode() for part in parts)
    return hashlib.sha256(len(tag).to_bytes(2, "big") + tag + text).digest()


def _require_own(key: ThresholdKey, vector: CipherVector) -> None:
    if vector.public_key.n != key.public_key.n:
        raise CiphertextInvalid("encrypted under another key")
    check_ciphertexts(vector.ciphertexts, vector.public_key)


def _evaluate(polynomial: Sequence["gmpy2.mpz"], at: int, order: "gmpy2.mpz") -> "gmpy2.mpz":
    total = gmpy2.mpz(0)
    for coefficient in reversed(polynomial):
        total = (total * at + coefficient) % order
    return total


def _below(limit: "gmpy2.mpz", randbits: RandBits) -> "gmpy2.mpz":
    """Return a random number below `limit` (bias below 2^-128)."""
    return gmpy2.mpz(randbits(int(limit).bit_length() + 128)) % limit


def _safe_prime(bits: int, randbits: RandBits) -> "gmpy2.mpz":
    """Return a prime p of `bits` bits whose (p - 1) / 2 is prime too."""
    top = (1 << (bits - 1)) | (1 << (bits - 2))
    while True:
        p = gmpy2.mpz(randbits(bits) | top | 3)
        half = p // 2
        if gmpy2.gcd(p, _SIEVE) != 1 or gmpy2.gcd(half, _SIEVE) != 1:
            continue
        if gmpy2.is_prime(half, 1) and gmpy2.is_prime(p, _ROUNDS) and gmpy2.is_prime(half, _ROUNDS):
            return p
