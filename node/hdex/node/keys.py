"""Named keys of a participant: what each is for, who provides them, and the memory twin of the keystore."""

import secrets
import stat
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hdex.node.errors import AlreadyExists, KeyUnreadable, NotFound, VaultSealed

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class KeyKind(StrEnum):
    """What a 32-byte secret is for."""

    ED25519 = "ed25519"  # signatures: documents, log, witness
    X25519 = "x25519"  # agreement: pairwise masks, HPKE
    SECP256K1 = "secp256k1"  # the chain account
    MASTER = "master"  # a master for derivation or an AES-256 key


# Separate keys for each use: one that is lost says nothing about the others.
STANDARD: dict[str, KeyKind] = {
    "sign": KeyKind.ED25519,
    "log": KeyKind.ED25519,
    "witness": KeyKind.ED25519,
    "mask": KeyKind.X25519,
    "hpke": KeyKind.X25519,
    "chain": KeyKind.SECP256K1,
    "pseudonym": KeyKind.MASTER,
    "delivery": KeyKind.MASTER,
    "commit": KeyKind.MASTER,
}


class KeyProvider(Protocol):
    """Named 32-byte keys. An implementation keeps them from everyone else and loses none it has acknowledged."""

    def names(self) -> list[str]:
        """Return the names of the keys that are there, sorted."""
        ...

    def secret(self, name: str) -> bytes:
        """Return 32 secret bytes. Raises NotFound, or VaultSealed when the key was shredded."""
        ...

    def public(self, name: str) -> bytes:
        """Return the public half: 32 bytes, or 64 (x, y) on secp256k1; a MASTER has none (NotFound)."""
        ...

    def add(self, name: str, kind: KeyKind, secret: bytes | None = None) -> bytes:
        """Keep a new key, made here unless given; return it. Raises AlreadyExists, VaultSealed for a shredded name."""
        ...

    def shred(self, name: str) -> None:
        """Destroy a key and remember that it was destroyed."""
        ...


def generate(kind: KeyKind) -> bytes:
    """Return 32 fresh secret bytes that are a key of this kind."""
    secret = secrets.token_bytes(32)
    while kind is KeyKind.SECP256K1 and not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
        secret = secrets.token_bytes(32)
    return secret


def public_of(kind: KeyKind, secret: bytes) -> bytes:
    """Return the public half of a key. Raises NotFound for kinds that have none."""
    if kind is KeyKind.ED25519:
        return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    if kind is KeyKind.X25519:
        return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    if kind is KeyKind.SECP256K1:
        point = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1()).public_key().public_numbers()
        return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    raise NotFound("a master key has no public half")


def chain_address(public: bytes) -> str:
    """Return the checksummed address (EIP-55) of 64 public secp256k1 bytes."""
    body = keccak.new(digest_bits=256, data=public).hexdigest()[-40:]
    check = keccak.new(digest_bits=256, data=body.encode()).hexdigest()
    return "0x" + "".join(c.upper() if int(n, 16) >= 8 else c for c, n in zip(body, check, strict=False))


def data_key(provider: KeyProvider, product: str) -> bytes:
    """Return the data key of one product, made at first use. Raises VaultSealed once shredded."""
    name = data_key_name(product)
    try:
        return provider.secret(name)
    except NotFound:
        try:
            return provider.add(name, KeyKind.MASTER)
        except AlreadyExists:  # another thread was first
            return provider.secret(name)


def data_key_name(product: str) -> str:
    """Return the keystore name of a product's data key."""
    return f"data:{product}"


def read_passphrase(path: Path) -> bytes:
    """Return the passphrase in `path`, without its line end. Raises KeyUnreadable when others may read the file."""
    require_private(path)
    passphrase = path.read_bytes().rstrip(b"\r\n")
    if not passphrase:
        raise KeyUnreadable(f"{path} holds no passphrase")
    return passphrase


def read_secret(path: Path) -> bytes:
    """Return the secret bytes in `path` as they are. Raises KeyUnreadable when others may read the file."""
    require_private(path)
    secret = path.read_bytes()
    if not secret:
        raise KeyUnreadable(f"{path} holds no secret")
    return secret


def require_private(path: Path) -> None:
    """Raise KeyUnreadable unless `path` is a file that only its user may touch."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyUnreadable(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise KeyUnreadable(f"{path} is not a file")
    if mode & 0o077:
        raise KeyUnreadable(f"{path} has mode {stat.S_IMODE(mode):03o}; others may read it: chmod 600 {path}")


class MemoryKeys:
    """KeyProvider without a file, for tests and short-lived processes."""

    def __init__(self, kinds: dict[str, KeyKind] | None = None) -> None:
        self._keys = {name: (kind, generate(kind)) for name, kind in (kinds or {}).items()}
        self._tombstones: set[str] = set()

    def __repr__(self) -> str:
        return f"MemoryKeys({len(self._keys)} keys)"

    def names(self) -> list[str]:
        return sorted(self._keys)

    def secret(self, name: str) -> bytes:
        return self._find(name)[1]

    def public(self, name: str) -> bytes:
        return public_of(*self._find(name))

    def add(self, name: str, kind: KeyKind, secret: bytes | None = None) -> bytes:
        require_free(name, self._keys, self._tombstones)
        self._keys[name] = (kind, generate(kind) if secret is None else require_key(secret))
        return self._keys[name][1]

    def shred(self, name: str) -> None:
        self._find(name)
        del self._keys[name]
        self._tombstones.add(name)

    def _find(self, name: str) -> tuple[KeyKind, bytes]:
        if name in self._tombstones:
            raise VaultSealed(f"the key {name} was shredded")
        if name not in self._keys:
            raise NotFound(f"there is no key {name}")
        return self._keys[name]


def require_free(name: str, keys: dict[str, Any], tombstones: set[str]) -> None:
    """Raise unless `name` may be given to a new key."""
    if name in tombstones:
        raise VaultSealed(f"the key {name} was shredded; its name is not used again")
    if name in keys:
        raise AlreadyExists(f"there is already a key {name}")


def require_key(secret: bytes) -> bytes:
    """Return `secret` when it has the length of a key."""
    if len(secret) != 32:
        raise KeyUnreadable(f"a key has 32 bytes, this one {len(secret)}")
    return secret


_: type[KeyProvider] = MemoryKeys
