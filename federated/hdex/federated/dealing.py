"""A threshold key as a study carries it: what proofs are checked with, and each party's share sealed to its mask key.

The dealer signs it, for a key of the coordinator's own making would open every contribution. Sealed share: the
dealer's ephemeral X25519 key (32) | AES-256-GCM under HKDF of the shared secret, bound to key and party.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hdex.federated.errors import KeyInvalid, StudyInvalid
from hdex.federated.paillier import Share, ThresholdKey, deal, key_id, public_key_from_hex, public_key_hex
from hdex.federated.paillier.keys import RandBits
from hdex.federated.paillier.masks import SharedSecret, shared_secret
from hdex.federated.study import Dealt, Study, Threshold

SIGNING_CONTEXT = b"hdex/dealt-key/v1\n"
_NONCE = bytes(12)  # one key seals one share


@dataclass(frozen=True, slots=True)
class DealtKey:
    """What a dealer hands out. Holds no secret: the shares are sealed."""

    public_key: str  # modulus as hex
    dealt: Dealt

    def __post_init__(self) -> None:
        public_key_from_hex(self.public_key)


def deal_key(
    parties: Mapping[str, bytes], needed: int, *, bits: int = 3072, randbits: RandBits = secrets.randbits
) -> DealtKey:
    """Return a fresh key, unsigned, shared among `parties` (id -> raw X25519 key), any `needed` of whom open together.

    The dealer's own copy of the secret goes with this call. Raises KeyInvalid for numbers that make no scheme.
    """
    names = sorted(parties)
    key, shares = deal(bits, parties=len(names), threshold=needed, randbits=randbits)
    identifier = key_id(key.public_key)
    sealed = [_sealed(share, parties[name], identifier, name) for name, share in zip(names, shares, strict=True)]
    dealt = Dealt(f"{key.base:x}", tuple(f"{check:x}" for check in key.checks), tuple(one.hex() for one in sealed))
    return DealtKey(public_key_hex(key.public_key), dealt)


def signed_bytes(study_id: str, public_key: str, parties: tuple[str, ...], needed: int, dealt: Dealt) -> bytes:
    """Return what the dealer signs: for which study, which parties, how many, and every number of the key."""
    document: dict[str, Any] = {
        "study": study_id,
        "public_key": public_key,
        "parties": list(parties),
        "needed": needed,
        "base": dealt.base,
        "checks": list(dealt.checks),
        "shares": list(dealt.shares),
    }
    return SIGNING_CONTEXT + rfc8785.dumps(document)


def dealt_bytes(study: Study) -> bytes:
    """Return what the dealer of a study's key has signed."""
    threshold = study.threshold
    if threshold is None or study.dealt is None:
        raise StudyInvalid("the study's key is not shared")
    return signed_bytes(study.id, study.public_key, threshold.parties, threshold.needed, study.dealt)


def shared(study: Study, threshold: Threshold, key: DealtKey) -> Study:
    """Return the study with a shared key instead of one that its key holder keeps."""
    identifier = key_id(public_key_from_hex(key.public_key))
    return replace(
        study,
        secure="paillier",
        public_key=key.public_key,
        key_id=identifier,
        threshold=threshold,
        dealt=key.dealt,
    )


def threshold_key(study: Study) -> ThresholdKey:
    """Return the public side of a study's shared key. Raises KeyInvalid, StudyInvalid."""
    if study.threshold is None or study.dealt is None:
        raise StudyInvalid("the study's key is not shared")
    public, dealt = public_key_from_hex(study.public_key), study.dealt
    checks = tuple(int(check, 16) for check in dealt.checks)
    square = int(public.n) ** 2
    if not all(1 < number < square for number in (int(dealt.base, 16), *checks)):
        raise KeyInvalid("a number that proofs are checked with is out of range")
    return ThresholdKey(public, study.threshold.needed, int(dealt.base, 16), checks)


def open_share(study: Study, party: str, secret_with: SharedSecret) -> Share:
    """Return the share that the study carries for `party`. Raises KeyInvalid when it is not sealed to this party."""
    if study.threshold is None or study.dealt is None or party not in study.threshold.parties:
        raise StudyInvalid("the study deals no share to this party")
    at = study.threshold.parties.index(party)
    sealed = bytes.fromhex(study.dealt.shares[at])
    try:
        key = _key(secret_with(sealed[:32]), study.key_id, party)
        share = Share.from_bytes(AESGCM(key).decrypt(_NONCE, sealed[32:], None))
    except (InvalidTag, ValueError) as error:
        raise KeyInvalid("the share does not open: it was sealed to another key, or altered") from error
    if share.party != at + 1:
        raise KeyInvalid("the share is another party's")
    return share


def _sealed(share: Share, public: bytes, identifier: str, party: str) -> bytes:
    own = X25519PrivateKey.generate()
    key = _key(shared_secret(own.private_bytes_raw(), public), identifier, party)
    return own.public_key().public_bytes_raw() + AESGCM(key).encrypt(_NONCE, share.to_bytes(), None)


def _key(secret: bytes, identifier: str, party: str) -> bytes:
    info = b"hdex/share/v1\n" + identifier.encode() + b"\n" + party.encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
