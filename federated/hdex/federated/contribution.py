"""A site's contribution: signed header and payload (masked ciphertext, or plain sums in simulation).

Bytes, big-endian: "HCT1" | header length (4) | header, canonical JSON | signature length (2) | signature | payload.
The signature is over b"hdex/contribution/v1\\n" and the header; the header holds the payload's SHA-256.
"""

import hashlib
import struct
from dataclasses import asdict, dataclass

import numpy as np
import rfc8785
from pydantic_core import from_json

from hdex.federated.errors import CiphertextInvalid
from hdex.federated.statistics import Floats

SIGNING_CONTEXT = b"hdex/contribution/v1\n"
_MAGIC = b"HCT1"


@dataclass(frozen=True, slots=True)
class Header:
    """What the site signs."""

    study: str
    study_digest: str
    round: int
    attempt: int
    step: str
    site: str
    broadcast: str  # digest of the round's question
    payload: str  # digest of the payload

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return rfc8785.dumps(asdict(self))

    def signed_bytes(self) -> bytes:
        """Return what the signature covers."""
        return SIGNING_CONTEXT + self.to_bytes()


@dataclass(frozen=True, slots=True)
class Contribution:
    """One site's answer to one round."""

    header: Header
    signature: bytes
    payload: bytes

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        header = self.header.to_bytes()
        sizes = struct.pack(">I", len(header)), struct.pack(">H", len(self.signature))
        return _MAGIC + sizes[0] + header + sizes[1] + self.signature + self.payload

    def digest(self) -> str:
        """Return SHA-256 of the canonical bytes as hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Contribution":
        """Return the contribution; raise CiphertextInvalid unless the bytes are canonical and the payload is whole."""
        try:
            if data[:4] != _MAGIC:
                raise CiphertextInvalid("not a contribution")
            (size,) = struct.unpack_from(">I", data, 4)
            header = parse_header(data[8 : 8 + size])
            (signed,) = struct.unpack_from(">H", data, 8 + size)
        except struct.error as error:
            raise CiphertextInvalid("the contribution is cut short") from error
        start = 10 + size
        result = cls(header, data[start : start + signed], data[start + signed :])
        result.check()
        if result.to_bytes() != data:
            raise CiphertextInvalid("the contribution is not in canonical form")
        return result

    def check(self) -> None:
        """Raise CiphertextInvalid unless the header names this payload."""
        if hashlib.sha256(self.payload).hexdigest() != self.header.payload:
            raise CiphertextInvalid("the payload does not have the digest in the signed header")


def parse_header(data: bytes) -> Header:
    """Return the header in canonical JSON bytes."""
    try:
        document = from_json(data)
        header = Header(**document)
        whole = header.to_bytes() == data
    except (ValueError, TypeError, rfc8785.CanonicalizationError) as error:
        raise CiphertextInvalid("the header cannot be read") from error
    if not whole or type(header.round) is not int or type(header.attempt) is not int:
        raise CiphertextInvalid("the header is not in canonical form")
    return header


def plain_payload(values: Floats) -> bytes:
    """Return plain sums as big-endian doubles."""
    return np.asarray(values, dtype=">f8").tobytes()


def plain_values(payload: bytes) -> Floats:
    """Return the sums in a plain payload."""
    if len(payload) % 8:
        raise CiphertextInvalid("plain sums are not whole doubles")
    return np.frombuffer(payload, dtype=">f8").astype(np.float64)
