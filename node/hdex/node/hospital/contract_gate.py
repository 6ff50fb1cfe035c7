"""What must stand before a contract: a vetted organisation, rules that let it hold this data, an approved request.

Asked when a contract is requested, when a person decides, and when it is finalized; while data flows, that the vetting
was not revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hdex.catalog.access_form import AccessForm, columns_agreed
from hdex.catalog.access_review import AccessState
from hdex.catalog.documents import from_document
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import AccessRequest, Outcome, Terms, decide, may_need_person
from hdex.catalog.terms_record import TO_ACCEPT
from hdex.catalog.vetting_rules import Answer, VettingRule
from hdex.node.answer_rules import LEVEL_MOST
from hdex.node.contract_record import order_of
from hdex.node.errors import AccessDenied
from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.products import Products
from hdex.node.vetting import Vettings
from hdex.node.vetting_record import end_of_day

BY_PERSON = "approval.person"  # the rule of the terms that asks a person
UNANSWERED = {  # state of the newest request -> (rule, what then)
    AccessState.REFUSED: ("access_request.refused", "read the reason (hdex buy request status), then ask anew"),
    AccessState.RETURNED: ("access_request.returned", "mend the form and submit it again: hdex buy request submit"),
    AccessState.LAPSED: ("access_request.lapsed", "begin a new request: hdex buy request new"),
    AccessState.WITHDRAWN: ("access_request.missing", "begin a new request: hdex buy request new"),
}
PENDING = ("access_request.pending", "wait for the hospital's people: hdex buy request status says whose turn it is")
PERSON_NEXT = "a person decides: hdex node decide"
MISSING = ("access_request.missing", "ask for access first: hdex buy request new, then submit")


@dataclass(frozen=True, slots=True)
class Passage:
    """What a contract gets from the gate. asks: rules that two persons settle; until: end of the use approved."""

    asks: tuple[VettingRule, ...] = ()
    clauses: Mapping[str, str] | None = None
    until: datetime | None = None


class ContractGate:
    """One question with one answer, for every step of a contract."""

    def __init__(self, vettings: Vettings, requests: AccessRequests, products: Products, borders: Borders) -> None:
        self._vettings = vettings
        self._requests = requests
        self._products = products
        self._borders = borders

    def refresh(self, consumer: str) -> None:
        """Hear what other offices say of the consumer. A peer is asked: not to be called while anything is locked."""
        self._vettings.refresh(consumer)

    def require(self, product: DataProduct, asked: Mapping[str, Any], at: datetime) -> Passage:
        """Return what the contract may be. Raises AccessDenied with rule and next step."""
        organisation = self._vettings.require(str(asked["consumer"]))
        dataset = self._products.dataset(product.id)
        grade = self._borders.require_product(dataset, product.version)
        rules = self._vettings.judge(organisation, national_grade=grade.value, level=product.level)
        if rules and rules[0].answer is Answer.REFUSE:
            raise AccessDenied(rules[0].name, rules[0].next.en, rules[0].why.en)
        access = from_document(AccessRequest, asked["access"], "access")
        if not needs_person(product.terms, access, at):
            return Passage(rules)
        record = self._approved(product, asked, access, at)
        clauses = {"access_request": record.id, "access_request_digest": record.digest}
        require_approved(order_of(asked).columns, columns_agreed(record.form, product))
        return Passage(rules, clauses, end_of_day(record.form.ends_at()))

    def require_not_revoked(self, consumer: str) -> None:
        """Raise AccessDenied where the consumer's vetting was revoked since."""
        self._vettings.require_not_revoked(consumer)

    def _approved(
        self, product: DataProduct, asked: Mapping[str, Any], access: AccessRequest, at: datetime
    ) -> AccessRecord:
        """Return the newest approved request that covers what the contract asks."""
        about = self._requests.about(str(asked["consumer"]), product.id, product.version)
        approved = [one for one in about if one.state is AccessState.APPROVED]
        for one in reversed(approved):
            if not (beyond := beyond_request(one.form, access, str(asked["delivery_mode"]), at)):
                return one
        if approved:
            says = f"the approved request does not cover {beyond}"
            raise AccessDenied("access_request.other", "ask for what was approved, or begin a new request", says)
        rule, next_step = unanswered(about)
        raise AccessDenied(rule, next_step, "these terms ask that people of the hospital approve a request first")


def waits(passage: Passage) -> dict[str, str]:
    """Return why a request waits for a person: by the rule about its organisation that asks, if one does."""
    for rule in passage.asks:
        return {"rule": rule.name, "next_step": rule.next.en}
    return {"rule": "approval.pending", "next_step": "the privacy officer decides"}


def require_nobody(level: int, outcome: Outcome, passage: Passage) -> None:
    """Raise AccessDenied where level, terms or the rules about an organisation leave a request to people.

    What is not left to them a rule of the hospital's may answer.
    """
    if level > LEVEL_MOST:
        raise AccessDenied("rule.level", PERSON_NEXT, f"level {level} is never answered by a rule")
    if outcome is not Outcome.PERMITTED or passage.clauses is not None:
        raise AccessDenied("rule.terms", PERSON_NEXT, "the terms leave this use to people")
    if passage.asks:
        raise AccessDenied("rule.vetting", PERSON_NEXT, f"{passage.asks[0].name} asks for people")


def require_approved(ordered: tuple[str, ...], approved: tuple[str, ...]) -> None:
    """Raise AccessDenied unless a contract orders columns that were approved; none named means all, on either side."""
    if approved and not (ordered and set(ordered) <= set(approved)):
        mend = f"order the columns approved: --columns {','.join(approved)}"
        raise AccessDenied("access_request.columns", mend, "the contract asks for columns that nobody approved")


def needs_person(terms: Terms, access: AccessRequest, at: datetime) -> bool:
    """Return whether the terms leave this use to a person, once everything an applicant can settle is settled."""
    if not may_need_person(terms, access):
        return False  # only that duty asks for a person under this rule
    settled = replace(access, at=at.isoformat(), ethics_approval=access.ethics_approval or "settled", accepts=TO_ACCEPT)
    return decide(terms, settled).rule == BY_PERSON


def beyond_request(form: AccessForm, access: AccessRequest, mode: str, at: datetime) -> str:
    """Return which part of a contract's wish goes beyond an approved form; empty where none does."""
    ends, asked = end_of_day(form.ends_at()), form.access
    parts = {
        "the purpose": access.purpose == asked.purpose and set(access.uses) <= set(asked.uses),
        "the disease": access.disease == asked.disease and set(access.all_diseases()) <= set(asked.all_diseases()),
        "commercial use": asked.commercial is not False or access.commercial is False,
        "an organisation for profit": asked.for_profit is not False or access.for_profit is False,
        "the country": access.country == asked.country,
        "the project": access.project == asked.project,
        "the user": access.user == asked.user,
        "the months": asked.months is None or (access.months is not None and access.months <= asked.months),
        "the delivery mode": mode == form.delivery_mode.value,
        "the time: the period asked for is over": ends is not None and at < ends,
    }
    return next((name for name, holds in parts.items() if not holds), "")


def unanswered(about: list[AccessRecord]) -> tuple[str, str]:
    """Return rule and next step where no request is approved."""
    return UNANSWERED.get(about[-1].state, PENDING) if about else MISSING
