"""The life of a contract once it is final: which state follows which, and what must be true before it does. Pure.

ACTIVE <-> SUSPENDED -> EXPIRED | REVOKED | COMPLETED -> OBLIGATIONS_OPEN (an attestation of deletion is due) -> CLOSED.
Where nothing is owed a contract that has ended is closed at once.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hdex.catalog.guarded import Rule, Step, Table
from hdex.catalog.lifecycle import OFFICER, STEWARD


class LifeState(StrEnum):
    """Where a final contract stands."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    COMPLETED = "COMPLETED"
    OBLIGATIONS_OPEN = "OBLIGATIONS_OPEN"
    CLOSED = "CLOSED"


class LifeArrow(StrEnum):
    """What moves it."""

    SUSPEND = "suspend"
    RESUME = "resume"
    EXPIRE = "expire"
    REVOKE = "revoke"
    COMPLETE = "complete"
    OBLIGE = "oblige"
    CLOSE = "close"


CONSUMER, CLOCK = "consumer", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeEvidence:
    """What is known when a step is asked for. What is absent speaks against the step.

    by: the role of whoever orders it, "consumer", or "" for the clock. renewed_by: the final contract that takes this
    one's place. owed: rows left the provider under a clause that asks for their deletion. attested: the consumer's
    signed attestation was verified.
    """

    at: datetime
    expires: datetime
    by: str = CLOCK
    reason: str = ""
    renewed_by: str = ""
    owed: bool = False
    attested: bool = False


_Rule = Rule[LifeEvidence]

BY_OFFICER = _Rule("contract.officer", lambda said: said.by == OFFICER, f"the {OFFICER} orders it")
BY_STAFF = _Rule(
    "contract.staff", lambda said: said.by in (STEWARD, OFFICER), f"a {STEWARD} or {OFFICER} of the provider orders it"
)
REASON = _Rule("contract.reason", lambda said: bool(said.reason.strip()), "say why: the other side reads it")
IN_TERM = _Rule("contract.term", lambda said: said.at < said.expires, "its term has ended: agree on a renewal")
TERM_ENDED = _Rule("contract.not_ended", lambda said: said.at >= said.expires, "its term runs: revoke it instead")
GIVEN_BACK = _Rule(
    "contract.completion",
    lambda said: said.by == CONSUMER or bool(said.renewed_by),
    "the consumer gives it back, or a renewal takes its place",
)
OWED = _Rule("contract.owed", lambda said: said.owed, "nothing is owed: close it")
NOTHING_OWED = _Rule("contract.obligation", lambda said: not said.owed, "an attestation of deletion is due first")
ATTESTED = _Rule("contract.attestation", lambda said: said.attested, "the consumer attests deletion: hdex buy attest")

_S, _A = LifeState, LifeArrow
LIVE = (_S.ACTIVE, _S.SUSPENDED)
ENDED = (_S.EXPIRED, _S.REVOKED, _S.COMPLETED)
LIFE: Table[LifeState, LifeArrow, LifeEvidence] = Table(
    {
        (_S.ACTIVE, _A.SUSPEND): Step(_S.SUSPENDED, (BY_OFFICER, REASON)),
        (_S.SUSPENDED, _A.RESUME): Step(_S.ACTIVE, (BY_OFFICER, REASON, IN_TERM)),
        **{(state, _A.EXPIRE): Step(_S.EXPIRED, (TERM_ENDED,)) for state in LIVE},
        **{(state, _A.REVOKE): Step(_S.REVOKED, (BY_STAFF, REASON)) for state in LIVE},
        **{(state, _A.COMPLETE): Step(_S.COMPLETED, (GIVEN_BACK,)) for state in LIVE},
        **{(state, _A.OBLIGE): Step(_S.OBLIGATIONS_OPEN, (OWED,)) for state in ENDED},
        **{(state, _A.CLOSE): Step(_S.CLOSED, (NOTHING_OWED,)) for state in ENDED},
        (_S.OBLIGATIONS_OPEN, _A.CLOSE): Step(_S.CLOSED, (ATTESTED,)),
    }
)
