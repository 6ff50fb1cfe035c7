"""Long bytes as sealed chunks: AES-256-GCM in the STREAM construction, so that no chunk can be cut, moved or swapped.

Nonce of chunk i: 7 secret-derived bytes, the counter in 4 bytes, 1 byte that says whether it is the last.
Source: Hoang, Reyhanitabar, Rogaway, Vizar 2015, "Online authenticated-encryption and its nonce-reuse
misuse-resistance", section 7 (STREAM).
"""

from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
KEPT_BYTES = 16 * CHUNK_BYTES  # more than the copies of one chunk on its way from file to wire
MAX_CHUNKS = 1 << 32


def derive(key: bytes, *, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """Return HKDF-SHA256 of a key (RFC 5869)."""
    return HKDF(SHA256(), length, salt, info).derive(key)


def chunk_count(size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Return how many chunks `size` bytes make; nothing is one empty chunk."""
    return max(1, -(-size // chunk_bytes))


@cache
def keep_buffers() -> None:
    """Have the allocator keep the memory of chunks that are done with: glibc hands it back to the kernel at once, and
    the page faults of getting it again cost three times what sealing does. It keeps blocks as large as one that was
    freed before, so one is freed, untouched. Elsewhere this does nothing.
    """
    bytes(KEPT_BYTES)


class ChunkCipher:
    """Seals and opens the chunks of one stream. A key must be used for one content only; `bound_to` is its context."""

    def __init__(self, key: bytes, bound_to: bytes) -> None:
        keep_buffers()
        material = derive(key, salt=b"", info=b"hdex/stream/v1\n" + bound_to, length=39)
        self._cipher = AESGCM(material[:32])
        self._prefix = material[32:]
        self._bound_to = bound_to

    def __repr__(self) -> str:
        return "ChunkCipher()"

    def seal(self, index: int, plaintext: bytes, *, last: bool) -> bytes:
        """Return chunk `index` sealed; TAG_BYTES longer."""
        return self._cipher.encrypt(self._nonce(index, last), plaintext, self._place(index, last))

    def open(self, index: int, sealed: bytes, *, last: bool) -> bytes:
        """Return the plaintext. Raises cryptography.exceptions.InvalidTag for anything that was not sealed here so."""
        return self._cipher.decrypt(self._nonce(index, last), sealed, self._place(index, last))

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4, "big") + bytes([last])

    def _place(self, index: int, last: bool) -> bytes:
        return self._bound_to + index.to_bytes(4, "big") + bytes([last])
