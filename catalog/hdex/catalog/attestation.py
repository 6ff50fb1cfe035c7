"""What a consumer signs once a contract has ended: what was deleted, and what is kept under which clause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from hdex.catalog.contract import Agreement
from hdex.catalog.documents import Json, from_document, to_document
from hdex.catalog.errors import AttestationInvalid, DocumentInvalid
from hdex.catalog.organisation import is_plain

DELETION_DAYS = "deletion_days"  # clause: within how many days after the end deletion is attested
DERIVED = "derived_products"  # clause: what made from the rows may stay
KEEPS = (DERIVED,)  # clauses under which something may be kept
MOST_LINES, LONGEST_LINE, MOST_COPIES = 100, 500, 10**6


@dataclass(frozen=True, slots=True)
class Kept:
    """Something made from the rows that stays, and the clause that lets it."""

    what: str
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One statement. agreement_digest: what both sides signed; copies: how many were destroyed, backups included."""

    contract_id: str
    agreement_digest: str
    consumer: str
    deleted: tuple[str, ...]
    copies: int
    at: str  # RFC 3339 UTC
    kept: tuple[Kept, ...] = ()

    def document(self) -> Json:
        """Return the JSON document that the consumer signs."""
        return cast(Json, to_document(self))

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> "Attestation":
        """Return a checked attestation. Raise DocumentInvalid, AttestationInvalid."""
        said = from_document(cls, document, "attestation")
        if not said.deleted:
            raise invalid("it names nothing that was deleted", "attestation.empty", "name what was deleted, and where")
        lines = (*said.deleted, *(one.what for one in said.kept))
        if len(lines) > MOST_LINES or any(not 0 < len(one.strip()) <= LONGEST_LINE for one in lines):
            says = f"1 to {MOST_LINES} lines of 1 to {LONGEST_LINE} characters are asked, {len(lines)} were found"
            raise invalid(says, "attestation.lines", "say less, or put several things into one line")
        if not all(map(is_plain, (*lines, *(one.clause for one in said.kept)))):
            raise DocumentInvalid("attestation: plain text without control characters is asked")
        if not 0 <= said.copies <= MOST_COPIES:
            raise DocumentInvalid(f"attestation: 0 to {MOST_COPIES} copies are asked")
        return said


def require_kept(said: Attestation, agreement: Agreement) -> None:
    """Raise AttestationInvalid where something is kept that no clause of the agreement lets stay."""
    allowed = [name for name in KEEPS if agreement.clauses.get(name)]
    if beyond := sum(one.clause not in allowed for one in said.kept):
        raise invalid(
            f"{beyond} thing(s) are kept under a clause that lets nothing stay",
            "attestation.clause",
            f"delete them too, or name a clause of the agreement that lets them stay: {', '.join(allowed) or 'none'}",
        )


def invalid(message: str, rule: str, next_step: str) -> AttestationInvalid:
    """Return the refusal of an attestation."""
    return AttestationInvalid(f"attestation: {message}", rule=rule, next_step=next_step)
