"""Small secrets at rest: sealed under one key of the keystore before they reach a file."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hdex.node.errors import VaultDamaged

NONCE_BYTES = 12


class Sealing:
    """AES-256-GCM with a random nonce; for few and small values."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, value: bytes) -> bytes:
        """Return the value sealed, its nonce before it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, None)

    def unseal(self, sealed: bytes) -> bytes:
        """Return the value. Raises VaultDamaged."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except InvalidTag as error:
            raise VaultDamaged("a sealed value does not verify") from error
