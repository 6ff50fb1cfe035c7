"""Names of resources and images under a project's key: ids, UUIDs, UIDs, identifiers. Same input, same output.

FHIR resources and DICOM objects treated under one key still refer to each other: a study's UID becomes the same UID in
both. Without the key nothing leads back.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from uuid import UUID

from hdex.deid.pseudonym import derive, require_key

WORD_BYTES = 15  # 120 bits: 24 characters of base32 without padding
UUID_SHAPE = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
OID_SHAPE = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")


@dataclass(frozen=True, slots=True)
class ResourceKeys:
    """What is derived from one project key. Never shown."""

    name: bytes = field(repr=False)
    uid: bytes = field(repr=False)
    shift: bytes = field(repr=False)
    surrogate: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for key in (self.name, self.uid, self.shift, self.surrogate):
            require_key(key)

    @classmethod
    def of(cls, project_key: bytes) -> ResourceKeys:
        """Derive them (HKDF-SHA256). Raises InputInvalid for a key under 32 bytes."""
        return cls(*(derive(project_key, "resources", purpose) for purpose in ("name", "uid", "shift", "surrogate")))

    def word(self, value: str, *, kind: str = "id") -> str:
        """24 characters a-z2-7 that stand for `value`: a valid FHIR id."""
        mark = hmac.digest(self.name, f"{kind}\x00{value}".encode(), "sha256")[:WORD_BYTES]
        return base64.b32encode(mark).decode().lower()

    def resource_id(self, value: str) -> str:
        """The id that stands for a resource's: a UUID for a UUID, else a word; `Patient/x` and `urn:uuid:x` agree."""
        return self.uuid(value) if UUID_SHAPE.fullmatch(value) else self.word(value)

    def uuid(self, value: str) -> str:
        """A UUID of version 8 (RFC 9562: custom) for any text."""
        return str(self._uuid(f"uuid\x00{value.lower()}"))

    def dicom_uid(self, value: str) -> str:
        """A UID under 2.25 (ITU-T X.667: an integer UUID), at most 44 characters."""
        return f"2.25.{self._uuid(f'uid{chr(0)}{value.strip()}').int}"

    def _uuid(self, text: str) -> UUID:
        number = int.from_bytes(hmac.digest(self.uid, text.encode(), "sha256")[:16], "big")
        number = number & ~(0xF << 76) | (8 << 76)  # version
        return UUID(int=number & ~(0x3 << 62) | (0x2 << 62))  # variant
