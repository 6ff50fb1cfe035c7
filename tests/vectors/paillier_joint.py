"""Computes paillier_joint.json: masks, an opening and a threshold scheme, by Python integers and hashlib alone.

Written from the specifications, with nothing of hdex: RFC 7748 (X25519), RFC 5869 (HKDF), FIPS 197 and SP 800-38A
(AES-256-CTR), Shoup 2000 and Damgard, Jurik, Nielsen 2010; labels and byte orders as the docstrings of
hdex.federated.paillier state them. A test compares what comes out here with the file, and the file with hdex.
"""

import hashlib
import hmac
import json
import math
from typing import Any

SECRETS = {  # the two of RFC 7748, section 6.1, and one more
    "hospital-a": "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "hospital-b": "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "hospital-c": "42" * 32,
}
SHARED_A_B = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"  # RFC 7748, section 6.1
FIELD = 2**255 - 19


def x25519(secret: bytes, point: bytes) -> bytes:
    """RFC 7748, section 5: the Montgomery ladder."""
    k = int.from_bytes(secret, "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for at in range(254, -1, -1):
        bit = k >> at & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % FIELD, u * (da - cb) ** 2 % FIELD
        x2, z2 = aa * bb % FIELD, (aa - bb) * (aa + 121665 * (aa - bb)) % FIELD
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, FIELD - 2, FIELD) % FIELD).to_bytes(32, "little")


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes."""
    key = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(key, info + b"\x01", "sha256")


def _double(byte: int) -> int:
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _sbox() -> list[int]:
    """FIPS 197, section 5.1.1: the inverse in GF(2^8), then the affine map."""
    powers = [1]
    for _ in range(254):
        powers.append(powers[-1] ^ _double(powers[-1]))  # 3 generates the field's units
    box = [0x63] + [0] * 255
    for at, value in enumerate(powers):
        inverse = powers[-at % 255]
        turned = [(inverse << by | inverse >> (8 - by)) & 0xFF for by in range(5)]
        box[value] = turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63
    return box


SBOX = _sbox()


def _schedule(key: bytes) -> list[list[int]]:
    words, constant = [list(key[4 * at : 4 * at + 4]) for at in range(8)], 1
    for at in range(8, 60):
        word = list(words[-1])
        if at % 8 == 0:
            word = [SBOX[one] for one in word[1:] + word[:1]]
            word[0], constant = word[0] ^ constant, _double(constant)
        elif at % 8 == 4:
            word = [SBOX[one] for one in word]
        words.append([one ^ old for one, old in zip(word, words[at - 8], strict=True)])
    return [[one for word in words[4 * at : 4 * at + 4] for one in word] for at in range(15)]


def aes256(key: bytes, block: bytes) -> bytes:
    """FIPS 197, section 5.1: one block under a key of 32 bytes."""
    rounds = _schedule(key)
    state = [one ^ other for one, other in zip(block, rounds[0], strict=True)]
    for number in range(1, 15):
        state = [SBOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16)]  # bytes and rows
        if number < 14:
            columns = [state[4 * at : 4 * at + 4] for at in range(4)]
            state = [
                _double(c[row]) ^ _double(c[(row + 1) % 4]) ^ c[(row + 1) % 4] ^ c[(row + 2) % 4] ^ c[(row + 3) % 4]
                for c in columns
                for row in range(4)
            ]
        state = [one ^ other for one, other in zip(state, rounds[number], strict=True)]
    return bytes(state)


def stream(key: bytes, size: int) -> bytes:
    """SP 800-38A: the key stream of AES-256-CTR from a counter of zero."""
    blocks = -(-size // 16)
    return b"".join(aes256(key, at.to_bytes(16, "big")) for at in range(blocks))[:size]


def masks(n: int, count: int, context: bytes) -> dict[str, list[int]]:
    """Every pair's stream, added by the smaller id and subtracted by the other."""
    base = (9).to_bytes(32, "little")
    public = {site: x25519(bytes.fromhex(secret), base) for site, secret in SECRETS.items()}
    totals = {site: [0] * count for site in SECRETS}
    size = (n.bit_length() + 128 + 7) // 8
    for first, second in (("hospital-a", "hospital-b"), ("hospital-a", "hospital-c"), ("hospital-b", "hospital-c")):
        secret = x25519(bytes.fromhex(SECRETS[first]), public[second])
        info = b"hdex/mask/v1\n" + hashlib.sha256(f"{first}\n{second}".encode()).digest() + context
        data = stream(hkdf(secret, info), size * count)
        for at in range(count):
            number = int.from_bytes(data[size * at : size * (at + 1)], "big") % n
            totals[first][at] = (totals[first][at] + number) % n
            totals[second][at] = (totals[second][at] - number) % n
    return totals


def drawn(label: str, bits: int) -> int:
    """Return a number of at most so many bits that nobody chose: SHA-256 of the label and a counter."""
    blocks = b"".join(hashlib.sha256(f"{label} {at}".encode()).digest() for at in range(-(-bits // 256)))
    return int.from_bytes(blocks, "big") >> (8 * len(blocks) - bits)


def is_prime(number: int) -> bool:
    """Miller and Rabin with 24 fixed bases: for numbers that nobody chose to deceive it."""
    if number < 2 or any(number % small == 0 for small in range(2, 100)):
        return number in (2, 3, 5, 7, 11, 13)
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    return all(
        any(pow(base, (number - 1) >> down, number) == number - 1 for down in range(1, twos + 1))
        or pow(base, (number - 1) >> twos, number) == 1
        for base in range(2, 26)
    )


def safe_prime(label: str, bits: int) -> int:
    """Return the first safe prime with both top bits set from a drawn place on."""
    number = drawn(label, bits) | 3 << (bits - 2) | 3
    while not (is_prime(number // 2) and is_prime(number)):
        number += 4
    return number


def opening(p: int, q: int) -> dict[str, Any]:
    """c = (1 + M n) R^n mod n^2 for two plaintexts and two units; `proof` is the opening's canonical bytes."""
    n = p * q
    plain = [drawn("plaintext 1", 200), n - drawn("plaintext 2", 90)]
    roots = [drawn("randomness 1", 250) % n, drawn("randomness 2", 250) % n]
    width = (n.bit_length() + 7) // 8
    proof = b"HPO1" + (2).to_bytes(4, "big") + b"".join(one.to_bytes(width, "big") for one in (*plain, *roots))
    return {
        "plaintexts": [hex(one) for one in plain],
        "randomness": [hex(one) for one in roots],
        "ciphertexts": [hex((1 + m * n) * pow(r, n, n * n) % (n * n)) for m, r in zip(plain, roots, strict=True)],
        "proof": proof.hex(),
    }


def digest(tag: bytes, *parts: object) -> bytes:
    """The hash of the scheme's proofs: length of the tag, tag, parts in decimal between line ends."""
    text = "\n".join(map(str, parts)).encode()
    return hashlib.sha256(len(tag).to_bytes(2, "big") + tag + text).digest()


def threshold(p: int, q: int, ciphertexts: list[int]) -> dict[str, Any]:
    """Two of three: d = 0 mod p'q', 1 mod n; shares of a line through d; parts c^(2 D s_i) with their proofs."""
    n, half = p * q, (p // 2) * (q // 2)
    order, square = n * half, n * n
    wide = order.bit_length() + 128
    draws = {"slope": drawn("slope", wide), "root": drawn("root", square.bit_length() + 128)}
    secret = half * pow(half, -1, n) % order
    shares = [(secret + draws["slope"] % order * at) % order for at in (1, 2, 3)]
    base, delta = pow(draws["root"] % square, 2, square), math.factorial(3)
    checks = [pow(base, delta * share, square) for share in shares]
    identifier = hashlib.sha256(n.to_bytes((n.bit_length() + 7) // 8, "big")).hexdigest()
    hiding_bits = 2 * n.bit_length() + delta.bit_length() + 512
    parts = []
    for party, share in enumerate(shares, start=1):
        powers = [pow(c, 2 * delta * share, square) for c in ciphertexts]
        seed = digest(b"hdex/threshold/weights/v1", identifier, party, *ciphertexts, *powers)
        weights = [int.from_bytes(digest(seed, at)[:16], "big") for at in range(len(powers))]
        joined = math.prod(pow(c, w, square) for c, w in zip(ciphertexts, weights, strict=True))
        raised = math.prod(pow(c, w, square) for c, w in zip(powers, weights, strict=True))
        joined, raised = pow(joined, 4, square), pow(raised, 2, square)
        hiding = drawn(f"hiding {party}", hiding_bits)
        said = [joined, raised, pow(joined, hiding, square), pow(base, hiding, square)]
        challenge = digest(b"hdex/threshold/proof/v1", identifier, party, base, checks[party - 1], *said)
        response = hiding + int.from_bytes(challenge, "big") * delta * share
        data = b"HPP1" + party.to_bytes(2, "big") + len(powers).to_bytes(4, "big") + challenge
        data += response.to_bytes((hiding_bits + 8) // 8, "big")
        data += b"".join(one.to_bytes((2 * n.bit_length() + 7) // 8, "big") for one in powers)
        parts.append({"hiding": hex(hiding), "bytes": data.hex()})
    return {
        "draws": {name: hex(value) for name, value in draws.items()},
        "shares": [hex(share) for share in shares],
        "base": hex(base),
        "checks": [hex(check) for check in checks],
        "parts": parts,
    }


def document() -> dict[str, Any]:
    """Return the whole file, after RFC 7748's and FIPS 197's own examples."""
    base = (9).to_bytes(32, "little")
    public_b = x25519(bytes.fromhex(SECRETS["hospital-b"]), base)
    assert x25519(bytes.fromhex(SECRETS["hospital-a"]), public_b).hex() == SHARED_A_B
    block = aes256(bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert block.hex() == "8ea2b7ca516745bfeafc49904b496089"  # FIPS 197, appendix C.3
    p, q = safe_prime("p", 128), safe_prime("q", 128)
    context = hashlib.sha256(b"a round").digest()
    opened = opening(p, q)
    return {
        "source": (__doc__ or "").partition("\n\n")[2].replace("\n", " ").strip(),
        "p": hex(p),
        "q": hex(q),
        "masks": {
            "secrets": SECRETS,
            "context": context.hex(),
            "count": 3,
            "masks": {site: [hex(one) for one in found] for site, found in masks(p * q, 3, context).items()},
        },
        "opening": opened,
        "threshold": threshold(p, q, [int(one, 16) for one in opened["ciphertexts"]]),
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
