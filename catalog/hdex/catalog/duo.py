"""The pre-check: approve, deny or ask the committee, and the rule that decided, before any contract.

Terms and request may be our documents or the structured form of other systems (data_use.py). One decision answers
both; here it is only said in other words, and a question about profit alone is answered where terms settle it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from hdex.catalog.data_use import DataUse, Purpose, read_data_use, read_purpose
from hdex.catalog.documents import from_document
from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.purposes import Text, rule_words
from hdex.catalog.terms import AccessRequest, Outcome, Terms, check_terms, decide
from hdex.catalog.terms_record import GENERAL, NO_RESTRICTION

Document = Mapping[str, object]
NO_PURPOSE, NO_TERMS, NOT_RESTRICTED, UNREAD = (
    "purpose.unstated",
    "terms.unstated",
    "use.not_restricted",
    "approval.limit",
)


class Advice(StrEnum):
    """The three answers."""

    APPROVE = "approve"
    DENY = "deny"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Precheck:
    """The answer, the rule that gave it, and what can be done next."""

    advice: Advice
    rule: str
    why: Text
    next: Text


_ADVICE = {Outcome.PERMITTED: Advice.APPROVE, Outcome.PROHIBITED: Advice.DENY, Outcome.UNDECIDED: Advice.ASK}


def precheck(terms: Terms | Document, request: AccessRequest | Document, *, at: str) -> Precheck:
    """Return the answer to a request under terms at a time. Raises DocumentInvalid for what cannot be read.

    at: now, RFC 3339 UTC; an applicant's own clock does not count.
    """
    use, purpose = _use(terms), _purpose(request, at)
    if not purpose.request.purpose:
        return _without_purpose(use, purpose)
    decision = decide(use.terms, purpose.request)
    if not use.terms.permitted and decision.rule == "purpose.not_permitted":
        return _said(Advice.ASK, NO_TERMS)
    if decision.outcome is Outcome.PERMITTED and (use.unread or purpose.unread):
        return _said(Advice.ASK, UNREAD)
    return Precheck(_ADVICE[decision.outcome], decision.rule, decision.why, decision.next)


def _without_purpose(use: DataUse, purpose: Purpose) -> Precheck:
    """Answer a request that names no research: whether its user may be one at all, else a person must ask what for."""
    anything = replace(use.terms, permitted=(NO_RESTRICTION,), prohibited=(), needs_approval=(), diseases=())
    decision = decide(anything, replace(purpose.request, purpose=GENERAL))
    if decision.outcome is Outcome.PROHIBITED:
        return Precheck(Advice.DENY, decision.rule, decision.why, decision.next)
    commerce = use.commerce_named or not {GENERAL, NO_RESTRICTION}.isdisjoint(use.terms.permitted)
    settled = (purpose.profit_stated and use.profit_stated) or (purpose.request.commercial is True and commerce)
    if settled and decision.outcome is Outcome.PERMITTED and not (use.unread or purpose.unread):
        return _said(Advice.APPROVE, NOT_RESTRICTED)
    return _said(Advice.ASK, NO_PURPOSE)


def _use(terms: Terms | Document) -> DataUse:
    if isinstance(terms, Terms):
        return DataUse(terms)
    held = terms.get("document", terms)  # a signed manifest
    held = held.get("terms", held) if isinstance(held, Mapping) else held  # a product
    if not isinstance(held, Mapping):
        raise PolicyInvalid(f"terms: an object is asked, found {type(held).__name__}")
    if "permitted" not in held:
        return read_data_use(held)
    ours = from_document(Terms, held, "terms")
    check_terms(ours)
    return DataUse(ours)


def _purpose(request: AccessRequest | Document, at: str) -> Purpose:
    if isinstance(request, AccessRequest):
        return Purpose(replace(request, at=at))
    if "purpose" not in request:
        return read_purpose(request, at=at)
    return Purpose(from_document(AccessRequest, {"recipient": "applicant", **request, "at": at}, "request"))


def _said(advice: Advice, rule: str) -> Precheck:
    return Precheck(advice, rule, *rule_words(rule))
