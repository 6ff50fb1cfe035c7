"""The vetting of an organisation before any contract: which state follows which, and what must be true before. Pure.

APPLIED -> ENDORSED -> VALID -> EXPIRED | REVOKED | SUPERSEDED; APPLIED and ENDORSED -> REFUSED. A renewal is a new
application: the valid one stays in force until the new one takes its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hdex.catalog.guarded import Rule, Step, Table


class VettingState(StrEnum):
    """Where an application stands."""

    NEW = "NEW"  # before it is received
    APPLIED = "APPLIED"
    ENDORSED = "ENDORSED"
    VALID = "VALID"
    REFUSED = "REFUSED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"


class VettingArrow(StrEnum):
    """What moves it."""

    APPLY = "apply"
    ENDORSE = "endorse"
    APPROVE = "approve"
    REFUSE = "refuse"
    REVOKE = "revoke"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"


@dataclass(frozen=True, slots=True, kw_only=True)
class VettingEvidence:
    """What is known when a step is asked for. What is absent speaks against the step.

    signer: "applicant", "first", "second" (the two roles of the office, by their order) or "" whose signature on this
    step's paper was verified; people: distinct persons who have signed this application's endorsement and this step.
    refused_by: the next step of a hard rule that refuses; empty where none does.
    """

    at: datetime
    signer: str = ""
    people: int = 0
    reason: str = ""
    refused_by: str = "rules were not asked"
    storage_as_listed: bool = False  # the directory's word on storage is among the places declared
    in_force: bool = False  # another application of the organisation is valid
    renewable: bool = False  # and ends soon enough to be renewed
    valid_until: datetime | None = None
    longest_days: int = 0
    papers_until: datetime | None = None  # end of the first paper to expire
    newer_valid: bool = False


_V, _A = VettingState, VettingArrow
_Rule = Rule[VettingEvidence]
APPLICANT_SIGNED = _Rule("vetting.applicant", lambda said: said.signer == "applicant", "the organisation itself signs")
FIRST_SIGNED = _Rule("vetting.first", lambda said: said.signer == "first", "the first role of the office signs first")
SECOND_SIGNED = _Rule("vetting.second", lambda said: said.signer == "second", "the second role of the office signs")
OFFICE_SIGNED = _Rule(
    "vetting.office", lambda said: said.signer in {"first", "second"}, "one of the two roles of the office signs"
)
TWO_PEOPLE = _Rule(
    "vetting.people", lambda said: said.people >= 2, "two persons sign: one person in two roles counts once"
)
REASON = _Rule("vetting.reason", lambda said: bool(said.reason.strip()), "say why: the organisation is told")
RULES_HOLD = _Rule("vetting.rules", lambda said: not said.refused_by, "a hard rule refuses: hdex node vetting show")
STORAGE = _Rule(
    "vetting.storage",
    lambda said: said.storage_as_listed,
    "declare the country of storage that the directory states, or have the directory's entry written anew",
)
ONE_AT_A_TIME = _Rule(
    "vetting.early",
    lambda said: not said.in_force or said.renewable,
    "the vetting in force does not end soon: wait for the days of renewal, or ask the office to revoke it",
)
IN_TERM = _Rule(
    "vetting.term",
    lambda said: (
        said.valid_until is not None and said.at < said.valid_until <= said.at + timedelta(days=said.longest_days)
    ),
    "name a last day that is to come and not beyond the longest term of the rules",
)
PAPERS_GOOD = _Rule(
    "vetting.papers",
    lambda said: said.papers_until is None or said.at < said.papers_until,
    "a paper of the application has expired: apply again with the renewed one",
)
PAPERS_LAST = _Rule(
    "vetting.papers_term",
    lambda said: said.papers_until is None or (said.valid_until is not None and said.valid_until <= said.papers_until),
    "name a last day not after that of the papers",
)
TERM_ENDED = _Rule(
    "vetting.running",
    lambda said: said.valid_until is not None and said.at >= said.valid_until,
    "it has not ended: revoke it instead",
)
NEWER = _Rule("vetting.newer", lambda said: said.newer_valid, "approve the renewal first")

VETTING: Table[VettingState, VettingArrow, VettingEvidence] = Table(
    {
        (_V.NEW, _A.APPLY): Step(_V.APPLIED, (APPLICANT_SIGNED, STORAGE, PAPERS_GOOD, ONE_AT_A_TIME)),
        (_V.APPLIED, _A.ENDORSE): Step(_V.ENDORSED, (FIRST_SIGNED, REASON, RULES_HOLD)),
        (_V.ENDORSED, _A.APPROVE): Step(
            _V.VALID, (SECOND_SIGNED, TWO_PEOPLE, REASON, RULES_HOLD, STORAGE, IN_TERM, PAPERS_GOOD, PAPERS_LAST)
        ),
        (_V.APPLIED, _A.REFUSE): Step(_V.REFUSED, (OFFICE_SIGNED, REASON)),
        (_V.ENDORSED, _A.REFUSE): Step(_V.REFUSED, (OFFICE_SIGNED, REASON)),
        (_V.VALID, _A.REVOKE): Step(_V.REVOKED, (OFFICE_SIGNED, REASON)),
        (_V.VALID, _A.EXPIRE): Step(_V.EXPIRED, (TERM_ENDED,)),
        (_V.VALID, _A.SUPERSEDE): Step(_V.SUPERSEDED, (NEWER,)),
    }
)
WAITING = (_V.APPLIED, _V.ENDORSED)
NEXT_ROLE: Mapping[VettingState, int] = {_V.APPLIED: 0, _V.ENDORSED: 1}  # which of the office's two roles acts next
