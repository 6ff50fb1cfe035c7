"""What a provider's log says of one access: the entry, the signed head above it, and the proof between the two.

The provider hands it over with the first byte; the consumer keeps it. A provider that later rewrites its log is then
contradicted by its own signature.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hdex.ledger.document import load
from hdex.ledger.errors import LedgerError
from hdex.ledger.event import Action, Decision, Event, parse
from hdex.ledger.log import Receipt
from hdex.ledger.merkle import leaf_hash, verify_inclusion
from hdex.ledger.note import Verifier, parse_checkpoint, verify_note
from hdex.node.directory import Member
from hdex.node.errors import ContainerInvalid

UNPROVEN = "the provider did not prove that this delivery stands in its log"


@dataclass(frozen=True, slots=True)
class AccessProof:
    """One entry of a log under a checkpoint of it."""

    entry: bytes  # the leaf: the event's canonical bytes
    index: int
    checkpoint: str  # signed note; its size says under how many entries
    hashes: tuple[bytes, ...]  # inclusion proof of `entry`, 32 bytes each

    @classmethod
    def of(cls, receipt: Receipt, entry: bytes, hashes: Sequence[bytes]) -> "AccessProof":
        """The proof for a receipt."""
        return cls(entry, receipt.index, receipt.checkpoint, tuple(hashes))

    def document(self) -> dict[str, Any]:
        """Return the proof as JSON values."""
        hashes = [one.hex() for one in self.hashes]
        return {"entry": self.entry.decode(), "index": self.index, "checkpoint": self.checkpoint, "hashes": hashes}

    def to_bytes(self) -> bytes:
        """Return the proof as one line of JSON."""
        return json.dumps(self.document(), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "AccessProof":
        """Return the proof that somebody sent. Raises ContainerInvalid."""
        try:
            found: Any = load(data)
            hashes = tuple(bytes.fromhex(one) for one in found["hashes"])
            return cls(str(found["entry"]).encode(), int(found["index"]), str(found["checkpoint"]), hashes)
        except (ValueError, KeyError, TypeError) as error:
            raise ContainerInvalid(f"{UNPROVEN}: what it sent is no proof") from error

    def event(self, keeper: Member) -> Event:
        """Return the event after checking that it stands in this member's log. Raises ContainerInvalid."""
        try:
            head = parse_checkpoint(self.checkpoint)
            if not re.fullmatch(rf"hdex/{re.escape(keeper.id)}/\d{{4}}", head.origin):
                raise ContainerInvalid(f"{UNPROVEN}: the checkpoint is of another log")
            verify_note(self.checkpoint, [Verifier(head.origin, keeper.log_key)])
            verify_inclusion(leaf_hash(self.entry), self.index, head.size, list(self.hashes), head.root)
            return parse(self.entry)
        except LedgerError as error:
            raise ContainerInvalid(f"{UNPROVEN}: {error}") from error


def require_logged(
    proof: AccessProof, keeper: Member, *, contract: str, root: str, action: Action = Action.EXPORT
) -> None:
    """Raise ContainerInvalid unless the keeper's log says that this left under this contract. root: of what left."""
    event = proof.event(keeper)
    said = (event.node, event.action, event.decision, event.contract, event.result_digest)
    if said != (keeper.id, action, Decision.ALLOW, contract, root):
        raise ContainerInvalid(f"{UNPROVEN}: the entry is of another access")
