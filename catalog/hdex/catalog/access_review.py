"""The way of an access request through a hospital: which state follows which, who acts next and by when. Pure.

DRAFT -> SUBMITTED -> STEWARD_REVIEW -> PRIVACY_REVIEW -> COMMITTEE -> APPROVED | REFUSED | RETURNED; what the applicant
ends is WITHDRAWN, what the clock ends is LAPSED. A returned request comes back as a new revision and is reviewed anew.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.catalog.access_form import FormLimits
from hdex.catalog.errors import TermsInvalid
from hdex.catalog.guarded import Rule, Step, Table
from hdex.catalog.lifecycle import OFFICER, STEWARD
from hdex.catalog.working_days import MOST_DAYS, WorkCalendar

COMMITTEE, ADMIN, APPLICANT = "ethics_committee", "node_admin", "applicant"


class AccessState(StrEnum):
    """Where a request stands."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    STEWARD_REVIEW = "STEWARD_REVIEW"
    PRIVACY_REVIEW = "PRIVACY_REVIEW"
    COMMITTEE = "COMMITTEE"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    RETURNED = "RETURNED"
    WITHDRAWN = "WITHDRAWN"
    LAPSED = "LAPSED"


class AccessArrow(StrEnum):
    """What moves it."""

    SUBMIT = "submit"
    TAKE = "take"
    ENDORSE = "endorse"
    APPROVE = "approve"
    REFUSE = "refuse"
    RETURN = "return"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEvidence:
    """What is known when a step is asked for. What is absent speaks against the step.

    signer: the role whose signature on this step's paper was verified, "applicant", or "" for the clock; people:
    distinct persons among those who endorsed this revision and the signer. moves_on: the revision is the next one.
    """

    at: datetime
    signer: str = ""
    people: int = 0
    reason: str = ""
    acceptable: bool = False  # the form fits the product and the hospital's limits now
    vetted: bool = False  # the applicant's vetting is in force
    document_kept: bool = False  # the ethics paper is here and has the digest the form names
    prohibited: bool = True  # by the terms, whoever reviews
    moves_on: bool = False
    lapse_due: bool = False  # the state's deadline has passed and its policy says lapse


_S, _A = AccessState, AccessArrow
_Rule = Rule[AccessEvidence]


def _signed_by(role: str) -> _Rule:
    return _Rule(f"access.{role}", lambda said: said.signer == role, f"the {role} signs this step")


BY_APPLICANT, BY_STEWARD, BY_OFFICER, BY_COMMITTEE = map(_signed_by, (APPLICANT, STEWARD, OFFICER, COMMITTEE))
VETTED = _Rule("access.vetted", lambda said: said.vetted, "have the organisation vetted: hdex buy vetting apply")
ACCEPTABLE = _Rule("access.form", lambda said: said.acceptable, "mend the form")
DOCUMENT = _Rule("access.document", lambda said: said.document_kept, "send the ethics approval beside the form")
PERMITTED = _Rule("access.terms", lambda said: not said.prohibited, "the terms forbid it: ask for another use")
MOVES_ON = _Rule("access.revision", lambda said: said.moves_on, "count the form's revision up by one")
REASON = _Rule("access.reason", lambda said: bool(said.reason.strip()), "say why: the applicant reads it")
TWO_PEOPLE = _Rule(
    "access.people", lambda said: said.people >= 2, "another person signs: one person in two roles counts once"
)
THREE_PEOPLE = _Rule(
    "access.people", lambda said: said.people >= 3, "another person signs: one person in several roles counts once"
)
LAPSE_DUE = _Rule("access.due", lambda said: said.lapse_due, "its deadline has not passed")

REVIEWER: Mapping[AccessState, _Rule] = {
    _S.STEWARD_REVIEW: BY_STEWARD,
    _S.PRIVACY_REVIEW: BY_OFFICER,
    _S.COMMITTEE: BY_COMMITTEE,
}
OPEN = (_S.SUBMITTED, *REVIEWER, _S.RETURNED)
SUBMITTING = (BY_APPLICANT, VETTED, ACCEPTABLE, DOCUMENT, PERMITTED, MOVES_ON)
ACCESS: Table[AccessState, AccessArrow, AccessEvidence] = Table(
    {
        (_S.DRAFT, _A.SUBMIT): Step(_S.SUBMITTED, SUBMITTING),
        (_S.RETURNED, _A.SUBMIT): Step(_S.SUBMITTED, SUBMITTING),
        (_S.SUBMITTED, _A.TAKE): Step(_S.STEWARD_REVIEW, (BY_STEWARD,)),
        (_S.STEWARD_REVIEW, _A.ENDORSE): Step(_S.PRIVACY_REVIEW, (BY_STEWARD, REASON, ACCEPTABLE)),
        (_S.PRIVACY_REVIEW, _A.ENDORSE): Step(_S.COMMITTEE, (BY_OFFICER, TWO_PEOPLE, REASON, ACCEPTABLE)),
        (_S.COMMITTEE, _A.APPROVE): Step(
            _S.APPROVED, (BY_COMMITTEE, THREE_PEOPLE, REASON, VETTED, ACCEPTABLE, DOCUMENT, PERMITTED)
        ),
        **{(state, _A.REFUSE): Step(_S.REFUSED, (role, REASON)) for state, role in REVIEWER.items()},
        **{(state, _A.RETURN): Step(_S.RETURNED, (role, REASON)) for state, role in REVIEWER.items()},
        **{(state, _A.WITHDRAW): Step(_S.WITHDRAWN, (BY_APPLICANT,)) for state in (_S.DRAFT, *OPEN)},
        **{(state, _A.LAPSE): Step(_S.LAPSED, (LAPSE_DUE,)) for state in (*OPEN, _S.APPROVED)},
    }
)
NEXT: Mapping[AccessState, str] = {  # who must act
    _S.DRAFT: APPLICANT,
    _S.SUBMITTED: STEWARD,
    _S.STEWARD_REVIEW: STEWARD,
    _S.PRIVACY_REVIEW: OFFICER,
    _S.COMMITTEE: COMMITTEE,
    _S.RETURNED: APPLICANT,
    _S.APPROVED: APPLICANT,  # asks for the contract
}
TIMED = (*OPEN, _S.APPROVED)
UNAPPROVED = (_S.REFUSED, _S.WITHDRAWN, _S.LAPSED)
REFUSED_DAYS = 90  # unless the file says otherwise


class Overdue(StrEnum):
    """What happens once a deadline has passed."""

    ESCALATE = "escalate"
    LAPSE = "lapse"


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a state may last, and what then."""

    days: int
    overdue: Overdue
    to: str = ""  # role named beside whose turn it is, once escalated


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """The file: calendar, deadlines by state, limits of a form. refused_days: how long the papers of a request that was
    refused, withdrawn or has lapsed are kept.
    """

    calendar: WorkCalendar
    deadlines: Mapping[AccessState, Deadline]
    limits: FormLimits
    refused_days: int = REFUSED_DAYS

    def is_spent(self, entered: datetime, now: datetime) -> bool:
        """Return whether the papers of a request that ended then are to be deleted now."""
        return now >= entered + timedelta(days=self.refused_days)

    def due(self, state: AccessState, entered: datetime) -> datetime | None:
        """Return when the state's deadline ends; None for a state that waits for nobody."""
        deadline = self.deadlines.get(state)
        if deadline is None:
            return None
        if state is _S.APPROVED:
            return entered + timedelta(days=deadline.days)
        return self.calendar.due(entered, deadline.days)

    def is_overdue(self, state: AccessState, entered: datetime, now: datetime) -> bool:
        """Return whether the state's deadline has passed."""
        due = self.due(state, entered)
        return due is not None and now >= due

    def lapses(self, state: AccessState, entered: datetime, now: datetime) -> bool:
        """Return whether the clock ends a request that stands here."""
        return self.is_overdue(state, entered, now) and self.deadlines[state].overdue is Overdue.LAPSE


def read_review_policy(text: str) -> ReviewPolicy:
    """Return the policy in a TOML text. Raises TermsInvalid: unknown words and absent states are errors."""
    try:
        table = tomllib.loads(text)
        calendar, states, limits = (table.pop(name) for name in ("calendar", "state", "limits"))
        kept = table.pop("retention", {"refused_days": REFUSED_DAYS})
        if table:
            raise ValueError(f"unknown key {min(table)}")
        policy = ReviewPolicy(
            _calendar(calendar),
            {AccessState(name): _deadline(entry) for name, entry in states.items()},
            FormLimits(**{name: _count(value) for name, value in limits.items()}),
            _count(kept.pop("refused_days")),
        )
        if kept:
            raise ValueError(f"unknown key {min(kept)}")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise TermsInvalid(f"the review policy cannot be read: {error}") from error
    if set(policy.deadlines) != set(TIMED):
        raise TermsInvalid(f"the review policy names deadlines of exactly {', '.join(TIMED)}")
    return policy


def _calendar(entry: dict[str, Any]) -> WorkCalendar:
    days = {name: frozenset(map(date.fromisoformat, entry.pop(name))) for name in ("holidays", "worked")}
    weekend = frozenset(int(one) for one in entry.pop("weekend"))
    settled = entry.pop("settled", None)
    years = frozenset(day.year for day in days["holidays"]) if settled is None else frozenset(map(_count, settled))
    offset = float(entry.pop("utc_offset_hours"))
    if entry or not weekend < frozenset(range(7)) or not -14 <= offset <= 14:
        raise ValueError("calendar: utc_offset_hours from -14 to 14, weekend of 0 to 6, holidays, worked, settled")
    return WorkCalendar(utc_offset_hours=offset, weekend=weekend, settled=years, **days)


def _deadline(entry: dict[str, Any]) -> Deadline:
    deadline = Deadline(_count(entry.pop("days")), Overdue(entry.pop("overdue")), str(entry.pop("to", "")))
    if entry or deadline.days > MOST_DAYS or (deadline.overdue is Overdue.ESCALATE) != bool(deadline.to):
        raise ValueError(f"a state has days (1 to {MOST_DAYS}), overdue, and `to` where it escalates")
    return deadline


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("a whole number from 1 is asked")
    return value


@cache
def default_policy() -> ReviewPolicy:
    """Return the policy that ships."""
    return read_review_policy(files("hdex.catalog").joinpath("data/access_review.toml").read_text(encoding="utf-8"))
