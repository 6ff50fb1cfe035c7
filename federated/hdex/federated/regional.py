"""A region's sum: the product of its sites' ciphertexts with the signed header of every site behind it.

Products are associative, so a tree of regions gives the flat product bit for bit, and masks make every part of it
noise: a region learns nothing. It can spoil a sum, though, and only the sites' payloads show it: a region keeps them,
signs what it sends, and a receipt built from what it kept is replayed like any other.

Bytes, big-endian: "HRS1" | head length (4) | head, canonical JSON | signature length (2) | signature | vector.
The signature is over b"hdex/regional-sum/v1\\n" and the head; the head holds the vector's SHA-256.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785
from pydantic_core import from_json

from hdex.federated.contribution import Contribution, Header, parse_header
from hdex.federated.errors import CiphertextInvalid

SIGNING_CONTEXT = b"hdex/regional-sum/v1\n"
MAGIC = b"HRS1"
NO_REGIONS = "a shared key opens only what each site signed and sent: leave regions or threshold out"
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """What one site sent, without the payload that the region has multiplied in."""

    header: Header
    signature: bytes
    digest: str  # of the whole contribution, hex
    payload_bytes: int

    @classmethod
    def of(cls, contribution: Contribution) -> "Part":
        """Return what remains of a contribution."""
        digest, size = contribution.digest(), len(contribution.payload)
        return cls(contribution.header, contribution.signature, digest, size)

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole contribution."""
        return len(Contribution(self.header, self.signature, b"").to_bytes()) + self.payload_bytes

    def document(self) -> dict[str, Any]:
        return {
            "header": asdict(self.header),
            "signature": self.signature.hex(),
            "digest": self.digest,
            "payload_bytes": self.payload_bytes,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Part":
        header = parse_header(rfc8785.dumps(document["header"]))
        digest, size = document["digest"], document["payload_bytes"]
        if not isinstance(digest, str) or type(size) is not int or size < 0:
            raise CiphertextInvalid("a part of the regional sum cannot be read")
        return cls(header, bytes.fromhex(document["signature"]), digest, size)


@dataclass(frozen=True, slots=True)
class RegionalSum:
    """One region's answer to one round."""

    region: str
    parts: tuple[Part, ...]  # sorted by site
    vector: bytes  # canonical bytes of the product
    signature: bytes

    def head(self) -> bytes:
        """Return the canonical JSON that names the parts and the vector."""
        return rfc8785.dumps(
            {
                "region": self.region,
                "parts": [part.document() for part in self.parts],
                "vector": hashlib.sha256(self.vector).hexdigest(),
            }
        )

    def signed_bytes(self) -> bytes:
        """Return what the signature covers."""
        return SIGNING_CONTEXT + self.head()

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        head = self.head()
        sizes = struct.pack(">I", len(head)), struct.pack(">H", len(self.signature))
        return MAGIC + sizes[0] + head + sizes[1] + self.signature + self.vector

    @classmethod
    def from_bytes(cls, data: bytes) -> "RegionalSum":
        """Return the sum; raise CiphertextInvalid unless the bytes are canonical and the head names the vector."""
        try:
            (size,) = struct.unpack_from(">I", data, 4)
            document = from_json(data[8 : 8 + size])
            (signed,) = struct.unpack_from(">H", data, 8 + size)
            start = 10 + size
            parts = tuple(Part.from_document(part) for part in document["parts"])
            result = cls(str(document["region"]), parts, data[start + signed :], data[start : start + signed])
            whole = result.to_bytes() == data
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CiphertextInvalid("the regional sum cannot be read") from error
        except rfc8785.CanonicalizationError as error:
            raise CiphertextInvalid("the regional sum holds numbers that no document has") from error
        if not whole:
            raise CiphertextInvalid("the regional sum is not in canonical form, or names another vector")
        return result


Reply = Contribution | RegionalSum


def parse_reply(data: bytes) -> Reply:
    """Return the contribution or regional sum in canonical bytes, or raise CiphertextInvalid."""
    return RegionalSum.from_bytes(data) if data[:4] == MAGIC else Contribution.from_bytes(data)


def parts_of(replies: Iterable[Reply]) -> list[Part]:
    """Return what each site behind the replies sent, in the order of the replies."""
    found: list[Part] = []
    for reply in replies:
        found += reply.parts if isinstance(reply, RegionalSum) else [Part.of(reply)]
    return found


def sign_sum(region: str, replies: Sequence[Reply], vector: bytes, *, sign: Sign) -> RegionalSum:
    """Return the region's signed statement: these parts went into this vector."""
    parts = tuple(sorted(parts_of(replies), key=lambda part: part.header.site))
    unsigned = RegionalSum(region, parts, vector, b"")
    return RegionalSum(region, parts, vector, sign(unsigned.signed_bytes()))
