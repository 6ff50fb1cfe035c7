"""The people of a hospital who sign: which role has which key, and what a signature under it is worth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hdex.node.documents import Document
from hdex.node.errors import ConfigInvalid
from hdex.node.signed import Envelope, verify

STEWARD, OFFICER = "data_steward", "privacy_officer"


@dataclass(frozen=True, slots=True)
class Staff:
    """Who signs here: role -> Ed25519 public key."""

    hospital: str
    keys: Mapping[str, bytes]

    def signer(self, role: str) -> str:
        """Return the name under which a role signs."""
        return f"{self.hospital}/{role}"

    def verified(self, kind: str, envelope: Envelope, role: str) -> Document:
        """Return the document that this role signed. Raises SignatureInvalid, ConfigInvalid."""
        if role not in self.keys:
            raise ConfigInvalid(f"staff.json names no {role}")
        return verify(kind, envelope, {self.signer(role): self.keys[role]})


def read_staff(path: Path) -> dict[str, bytes]:
    """Return role -> public key from a hospital's staff.json. Raises ConfigInvalid."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {str(role): bytes.fromhex(key) for role, key in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigInvalid(f"{path} must list the staff's roles and public keys") from error
