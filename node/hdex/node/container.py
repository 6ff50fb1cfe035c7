"""The delivery container (.hdx): one product for one buyer under one contract, sealed chunk by chunk.

"HDX1" || header length || header (JSON envelope signed by the provider) || sealed key length || HPKE-sealed file key
|| AES-256-GCM chunks of 1 MiB plaintext (STREAM; bound to the header's digest).

The file key is derived from the provider's delivery secret and the header, so that a range that is sent again is the
same bytes, and two headers never share a key. The header states the Merkle root of the plaintext chunks (RFC 9162).
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hdex.ledger.document import load
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.merkle import root as merkle_root
from hdex.node.errors import ContainerInvalid, SignatureInvalid
from hdex.node.signed import SUITE, Envelope, canonical, key_id, sign, verify
from hdex.node.stream import CHUNK_BYTES, MAX_CHUNKS, TAG_BYTES, ChunkCipher, chunk_count, derive

FORMAT = "hdex-container/1"
MAGIC = b"HDX1"
LENGTH = struct.Struct(">I")
HEADER_LIMIT = 4 * 1024 * 1024
SEALED_KEY_BYTES = 32 + 32 + 16  # encapsulation, key, tag
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
Source = Callable[[int, int], bytes]  # (start, length) -> plaintext


@dataclass(frozen=True, slots=True)
class Header:
    """What the provider states about a delivery, and signs."""

    product: str
    version: str
    contract: str
    provider: str
    consumer: str
    consumer_key_id: str  # of the X25519 key it is sealed to
    bytes: int  # of the plaintext
    root: str  # Merkle root of the plaintext chunks, hex
    rows: int
    columns: tuple[str, ...]
    expires: str
    media_type: str = "application/vnd.apache.parquet"
    chunk_bytes: int = CHUNK_BYTES
    suite: str = SUITE
    format: str = FORMAT
    fingerprint: str = ""  # commitment to the marks of this consumer's copy, hex; "" where it is the release itself

    def __post_init__(self) -> None:
        if (self.format, self.suite) != (FORMAT, SUITE):
            raise ContainerInvalid(f"format {self.format[:40]!r}, suite {self.suite[:40]!r}: unknown here")
        if not 1 <= self.chunk_bytes <= 8 * CHUNK_BYTES or not 0 <= self.bytes < MAX_CHUNKS * self.chunk_bytes:
            raise ContainerInvalid(f"{self.bytes} bytes in chunks of {self.chunk_bytes} are out of bounds")

    @property
    def chunks(self) -> int:
        """How many chunks there are; at least one."""
        return chunk_count(self.bytes, self.chunk_bytes)

    def sealed_length(self, index: int) -> int:
        """Return the length of sealed chunk `index`."""
        if not 0 <= index < self.chunks:
            raise ContainerInvalid(f"chunk {index} is asked, there are {self.chunks}")
        return min(self.chunk_bytes, self.bytes - index * self.chunk_bytes) + TAG_BYTES

    def document(self) -> dict[str, Any]:
        """Return the header as JSON values."""
        told = {**asdict(self), "columns": list(self.columns)}
        return told if self.fingerprint else {name: value for name, value in told.items() if name != "fingerprint"}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Header":
        """Return the header a document states. Raises ContainerInvalid."""
        kinds: dict[str, type] = {
            name: int if name in {"bytes", "rows", "chunk_bytes"} else str for name in cls.__slots__
        }
        kinds["columns"] = list
        document = {"fingerprint": "", **document}
        if set(document) != set(kinds) or any(type(document[name]) is not kind for name, kind in kinds.items()):
            raise ContainerInvalid("the header's fields are not those of a container")
        return cls(**{**document, "columns": tuple(map(str, document["columns"]))})


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a range: the first has the prologue and the log's proof, each further one a sealed chunk."""

    prologue: bytes = b""
    log_proof: bytes = b""
    index: int = 0
    chunk: bytes = b""


def plaintext_root(chunks: Iterable[bytes]) -> str:
    """Return the hex Merkle root of plaintext chunks, each of the header's chunk length but the last."""
    return merkle_root([leaf_hash(chunk) for chunk in chunks]).hex()


def pieces(source: Source, size: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the chunks of a source of `size` bytes."""
    for index in range(chunk_count(size, chunk_bytes)):
        yield source(index * chunk_bytes, min(chunk_bytes, size - index * chunk_bytes))


class Sealer:
    """The provider's side: any range, any number of times, always the same bytes."""

    def __init__(self, header: Header, source: Source, *, to: bytes, sign_key: bytes, secret: bytes) -> None:
        """to: the consumer's X25519 key; sign_key: Ed25519 seed; secret: the provider's delivery master."""
        if header.consumer_key_id != key_id(to):
            raise ContainerInvalid("the header is for another key of the consumer")
        self.header = header
        self._source = source
        envelope = sign("container", header.document(), header.provider, sign_key)
        bound_to = header_digest(header)
        file_key = derive(secret, salt=bound_to, info=b"hdex/container/v1\n" + header.contract.encode())
        sealed_key = HPKE.encrypt(file_key, X25519PublicKey.from_public_bytes(to), _info(header))
        self.prologue = _prologue(envelope, sealed_key)
        self._cipher = ChunkCipher(file_key, bound_to)

    def __repr__(self) -> str:
        return f"Sealer({self.header.product}@{self.header.version})"

    def chunk(self, index: int) -> bytes:
        """Return sealed chunk `index`."""
        length = self.header.sealed_length(index) - TAG_BYTES
        plaintext = self._source(index * self.header.chunk_bytes, length)
        if len(plaintext) != length:
            raise ContainerInvalid(f"the source gave {len(plaintext)} bytes for a chunk of {length}")
        return self._cipher.seal(index, plaintext, last=index == self.header.chunks - 1)

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the sealed chunks from `start` up to `stop`, the end by default."""
        for index in range(start, self.header.chunks if stop is None else min(stop, self.header.chunks)):
            yield self.chunk(index)


class Opener:
    """The consumer's side: verifies the header first, each chunk at once, and the root at the end."""

    def __init__(self, prologue: bytes, *, hpke_private: bytes, provider_public: bytes) -> None:
        """hpke_private: 32 bytes X25519; provider_public: 32 bytes Ed25519. Raises ContainerInvalid."""
        envelope, sealed_key = split_prologue(prologue)
        self.header = read_header(envelope, provider_public)
        private = X25519PrivateKey.from_private_bytes(hpke_private)
        if self.header.consumer_key_id != key_id(private.public_key().public_bytes_raw()):
            raise ContainerInvalid("this delivery is sealed to another key")
        try:
            file_key = HPKE.decrypt(sealed_key, private, _info(self.header))
        except InvalidTag as error:
            raise ContainerInvalid("the sealed key does not open") from error
        self._cipher = ChunkCipher(file_key, header_digest(self.header))
        self._leaves: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"Opener({self.header.product}@{self.header.version})"

    def open_chunk(self, index: int, sealed: bytes) -> bytes:
        """Return the plaintext of one chunk. Raises ContainerInvalid: altered, moved, or of another delivery."""
        if len(sealed) != self.header.sealed_length(index):
            raise ContainerInvalid(f"chunk {index} has {len(sealed)} bytes, {self.header.sealed_length(index)} asked")
        try:
            plaintext = self._cipher.open(index, sealed, last=index == self.header.chunks - 1)
        except InvalidTag as error:
            raise ContainerInvalid(f"chunk {index} does not verify") from error
        self._leaves[index] = leaf_hash(plaintext)
        return plaintext

    def finish(self) -> str:
        """Return the root when every chunk was opened and all have the root the provider signed."""
        missing = self.header.chunks - len(self._leaves)
        if missing:
            raise ContainerInvalid(f"{missing} of {self.header.chunks} chunks are missing")
        found = merkle_root([self._leaves[index] for index in range(self.header.chunks)]).hex()
        if found != self.header.root:
            raise ContainerInvalid("the content does not have the root that the provider signed")
        return found


def header_digest(header: Header) -> bytes:
    """Return the SHA-256 of the header's canonical bytes: what chunks and key are bound to."""
    return hashlib.sha256(canonical(header.document())).digest()


def read_header(envelope: Envelope, provider_public: bytes) -> Header:
    """Return the header when the provider it names has signed it. Raises ContainerInvalid."""
    document = envelope.get("document")
    provider = document.get("provider") if isinstance(document, dict) else None
    try:
        return Header.from_document(verify("container", envelope, {str(provider): provider_public}))
    except SignatureInvalid as error:
        raise ContainerInvalid("the header is not signed by the provider") from error


def split_prologue(prologue: bytes) -> tuple[Envelope, bytes]:
    """Return the header's envelope and the sealed key. Raises ContainerInvalid."""
    try:
        (length,) = LENGTH.unpack_from(prologue, len(MAGIC))
        begin = len(MAGIC) + LENGTH.size
        (key_length,) = LENGTH.unpack_from(prologue, begin + length)
        sealed_key = prologue[begin + length + LENGTH.size :]
        envelope = load(prologue[begin : begin + length])
    except (struct.error, ValueError) as error:
        raise ContainerInvalid("the beginning of the container is unreadable") from error
    shape = prologue.startswith(MAGIC) and length <= HEADER_LIMIT and key_length == len(sealed_key) == SEALED_KEY_BYTES
    if not shape or not isinstance(envelope, dict):
        raise ContainerInvalid("this does not begin as a container")
    return envelope, sealed_key


def prologue_length(head: bytes) -> int:
    """Return how long the prologue is whose first bytes are `head` (at least 8). Raises ContainerInvalid."""
    if len(head) < len(MAGIC) + LENGTH.size or not head.startswith(MAGIC):
        raise ContainerInvalid("this is not a container")
    (length,) = LENGTH.unpack_from(head, len(MAGIC))
    if length > HEADER_LIMIT:
        raise ContainerInvalid(f"a header of {length} bytes is beyond {HEADER_LIMIT}")
    return len(MAGIC) + 2 * LENGTH.size + int(length) + SEALED_KEY_BYTES


def _prologue(envelope: Envelope, sealed_key: bytes) -> bytes:
    header = canonical(envelope)
    return MAGIC + LENGTH.pack(len(header)) + header + LENGTH.pack(len(sealed_key)) + sealed_key


def _info(header: Header) -> bytes:
    return header.contract.encode() + b"\n" + header_digest(header)
