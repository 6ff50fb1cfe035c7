"""Names of resources and images under a project's key: ids, UUIDs, UIDs, identifiers. Same input, same output.

FHIR resources and DICOM objects treated under one key still refer to each other: a study's UID becomes the same UID in
both. A patient bears the pseudonym and the shift that tables give him under the same key, recipient and project
(`pseudonym.derive_keys`), so the three line up. Without the key nothing leads back.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import polars as pl

from hdex.deid.errors import InputInvalid
from hdex.deid.pseudonym import derive, derive_keys, pseudonyms, require_key, shift_days

WORD_BYTES = 15  # 120 bits: 24 characters of base32 without padding
UUID_SHAPE = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
OID_SHAPE = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")


@dataclass(frozen=True, slots=True)
class ResourceKeys:
    """What is derived from one project key. Never shown."""

    name: bytes = field(repr=False)
    uid: bytes = field(repr=False)
    surrogate: bytes = field(repr=False)
    patient: bytes = field(repr=False)  # these two as the tables of the project have them
    shift: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for key in (self.name, self.uid, self.surrogate, self.patient, self.shift):
            require_key(key)

    @classmethod
    def of(cls, key: bytes | ResourceKeys, *, recipient: str = "", project: str = "") -> ResourceKeys:
        """Derive them (HKDF-SHA256); keys that are derived already are returned. Raises InputInvalid under 32 bytes."""
        if isinstance(key, ResourceKeys):
            return key
        whose = (recipient, project) if recipient or project else ()
        name, uid, surrogate = (derive(key, "resources", one, *whose) for one in ("name", "uid", "surrogate"))
        tables = derive_keys(key, recipient=recipient, project=project)
        return cls(name, uid, surrogate, tables.pseudonym, tables.shift)

    def patients(self, numbers: Sequence[str]) -> list[str]:
        """The pseudonym of each patient by the hospital's number for him."""
        return pseudonyms(patient_keys(pl.Series(numbers, dtype=pl.String)), self.patient).to_list()

    def patient_days(self, numbers: Sequence[str], max_days: int) -> list[int]:
        """The days each patient's dates move, -max_days to max_days without 0."""
        return shift_days(patient_keys(pl.Series(numbers, dtype=pl.String)), self.shift, max_days).to_list()

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


def patient_keys(numbers: pl.Series) -> pl.Series:
    """Numbers of patients as pseudonyms and shifts are made of them: full-width forms plain, spaces around them off.

    DICOM pads values and tables are typed by hand. Case stays: it can tell two patients apart. Raises InputInvalid
    where two numbers become one.
    """
    text = numbers.cast(pl.String)
    plain = text.str.normalize("NFKC").str.replace_all(r"\s+", " ").str.strip_chars()
    if (merged := text.n_unique() - plain.n_unique()) > 0:
        where = f" of column {numbers.name}" if numbers.name else ""
        raise InputInvalid(f"{merged} numbers of patients{where} differ from others in spaces or width only: mend them")
    return plain
