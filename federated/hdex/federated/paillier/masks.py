"""Zero-sum pairwise masks in Z_n, inside the plaintext.

Each pair of sites draws the same stream (AES-256-CTR under a key derived from their X25519 secret and the round's
context); the one with the smaller id adds it, the other subtracts it. The sum over the whole roster is zero:
any subset, replay or scaled copy decrypts to noise, whoever holds the key.

Up to 65 sites every pair draws. Beyond, pairs would grow with the square of the roster (1,000 sites: 499,500 key
agreements a round), so each site draws with its 64 nearest neighbours on the ring of sorted site ids. That graph stays
connected until 64 sites are taken out (Harary 1962), so a part of the roster opens only if key holder, coordinator and
64 sites work together. Bell et al. 2020, "Secure single-server aggregation", argues the same for random graphs.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hdex.federated.errors import KeyInvalid

SharedSecret = Callable[[bytes], bytes]
MOST_PEERS = 64


def shared_secret(private: bytes, peer_public: bytes) -> bytes:
    """Return the X25519 secret of a raw private and a raw public key (32 bytes each)."""
    try:
        peer = X25519PublicKey.from_public_bytes(peer_public)
        return X25519PrivateKey.from_private_bytes(private).exchange(peer)
    except ValueError as error:  # wrong length, or a low-order point that makes the secret zero
        raise KeyInvalid("a mask key is not a usable X25519 key") from error


def mask_integers(
    site: str, roster: Mapping[str, bytes], secret_with: SharedSecret, *, context: bytes, n: int, count: int
) -> list[int]:
    """Return `count` masks in [0, n) of `site`; over all sites of `roster` they sum to 0 modulo n.

    roster: site -> raw X25519 public key. context: digest of round spec and attempt; never the same for two plaintexts.
    """
    total = [0] * count
    for peer in mask_peers(site, roster):
        pair = sorted((site, peer))
        stream = _stream(secret_with(roster[peer]), context, pair, n=n, count=count)
        sign = 1 if site == pair[0] else -1
        total = [value + sign * mask for value, mask in zip(total, stream, strict=True)]
    return [value % n for value in total]


def mask_peers(site: str, roster: Iterable[str]) -> list[str]:
    """Return the sites that `site` draws masks with; it is among theirs."""
    ring = sorted(roster)
    at = ring.index(site)
    if len(ring) <= MOST_PEERS + 1:
        return ring[:at] + ring[at + 1 :]
    half = MOST_PEERS // 2
    return [ring[(at + step) % len(ring)] for step in (*range(-half, 0), *range(1, half + 1))]


def _stream(secret: bytes, context: bytes, pair: list[str], *, n: int, count: int) -> list[int]:
    info = b"hdex/mask/v1\n" + hashlib.sha256("\n".join(pair).encode()).digest() + context
    key = HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
    size = (int(n).bit_length() + 128 + 7) // 8  # 128 bits more than n: the bias of the reduction is below 2^-128
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()  # one key, one stream: zero nonce is safe
    data = encryptor.update(bytes(size * count))
    return [int.from_bytes(data[size * i : size * (i + 1)], "big") % n for i in range(count)]
