"""One row per round, committed before the next send: enough to go on after a crash without asking a site again."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import rfc8785
from pydantic_core import from_json

from hdex.federated.statistics import Floats


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """What one site sent in one round."""

    site: str
    digest: str  # of the contribution, hex
    ciphertexts: int
    payload_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One finished round."""

    study_id: str
    study_digest: str
    round: int
    attempt: int
    step: str
    broadcast_digest: str
    replies: tuple[ReplyRecord, ...]  # in roster order
    aggregate_digest: str  # of the product of the ciphertexts: an auditor recomputes it
    sum_digest: str  # of the decrypted sum
    state: tuple[float, ...]  # the decrypted sum; replaying it restores the fit

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        document = asdict(self)
        document["replies"] = [asdict(reply) for reply in self.replies]
        document["state"] = list(self.state)
        return rfc8785.dumps(document)

    def digest(self) -> str:
        """Return SHA-256 of the canonical JSON as hex: what the ledger seals."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "RoundRecord":
        """Return the row that `to_bytes` wrote."""
        document = from_json(data)
        document["replies"] = tuple(ReplyRecord(**reply) for reply in document["replies"])
        document["state"] = tuple(float(value) for value in document["state"])
        return cls(**document)

    def sums(self) -> Floats:
        """Return the decrypted sum as an array."""
        return np.array(self.state, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which sites a round of a best-effort study is asked of: declared before they are asked."""

    study_id: str
    round: int
    attempt: int
    sites: tuple[str, ...]  # sorted


@dataclass(frozen=True, slots=True)
class Gathered:
    """What an attempt's sites have answered: kept before it is opened, for a round is opened over one set of sites."""

    study_id: str
    round: int
    attempt: int
    replies: tuple[bytes, ...]  # canonical bytes, of sites or regions, in the order of who was asked

    def to_bytes(self) -> bytes:
        """Return attempt and sizes as canonical JSON, a line end, the replies."""
        head: dict[str, Any] = {"attempt": self.attempt, "sizes": [len(reply) for reply in self.replies]}
        return rfc8785.dumps(head) + b"\n" + b"".join(self.replies)

    @classmethod
    def from_bytes(cls, study_id: str, number: int, data: bytes) -> "Gathered":
        """Return what `to_bytes` wrote."""
        line, _, body = data.partition(b"\n")
        head, replies, start = from_json(line), list[bytes](), 0
        for size in head["sizes"]:
            replies.append(body[start : start + size])
            start += size
        return cls(study_id, number, head["attempt"], tuple(replies))


def sum_digest(values: Floats) -> str:
    """Return SHA-256 over the sums as big-endian doubles, as hex."""
    return hashlib.sha256(np.asarray(values, dtype=">f8").tobytes()).hexdigest()
