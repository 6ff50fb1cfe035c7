"""The buyer's answers to a provider's offer: accept it as it stood on the page, or counter it with other terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from hdex.catalog.documents import to_document
from hdex.node.bargain_terms import Difference, compared, told_terms
from hdex.node.bargains import require_line
from hdex.node.buyer_desk import BuyerDesk, Standing
from hdex.node.contract_record import MOST_ROUNDS, ORDER, UNTIL
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.signed import digest
from hdex.node.web.buyer_forms import number, order, said
from hdex.node.web.buyer_views import contract_path
from hdex.node.web.desk_contracts import DAY
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer that waits for our answer, beside what we asked. can_answer: the desk hears the provider."""

    differences: list[Difference]
    terms: Mapping[str, Any]  # of the offer: what the counter's form begins with
    reason: str
    digest: str
    can_answer: bool
    most_rounds: int = MOST_ROUNDS

    @property
    def count(self) -> int:
        """How many terms differ."""
        return sum(one.is_changed for one in self.differences)


class BargainActs:
    """Each goes the way of `hdex buy negotiate`: the same papers, over the desk's own line."""

    def __init__(self, desk: BuyerDesk) -> None:
        self._desk = desk

    def accept(self, visit: Visit) -> Response:
        """Accept the offer that the page showed."""
        contract = self._shown(visit)
        require_line(self._desk.bargains).accept(contract)
        return done(visit, contract_path(contract), "offer_accepted")

    def counter(self, visit: Visit) -> Response:
        """Counter it with the terms of the form."""
        contract = self._shown(visit)
        require_line(self._desk.bargains).counter(contract, terms(visit.form))
        return done(visit, contract_path(contract), "countered")

    def _shown(self, visit: Visit) -> str:
        """Return the contract of an offer that still waits and is the one that the page showed."""
        contract = visit.path("contract")
        offer = offer_of(self._desk.standing(contract))
        if offer is None:
            raise AccessDenied("offer.absent", "read the contract again", "no offer waits for an answer")
        require_shown(visit, offer)
        return contract


def offer_of(one: Standing) -> Mapping[str, Any] | None:
    """Return the provider's offer that waits for our answer. Whoever kept it had verified its signature."""
    envelope = one.record.offer if one.record and one.record.state == "OFFERED" else None
    said = envelope.get("document") if envelope else None
    return said if isinstance(said, dict) else None


def view_of(desk: BuyerDesk, one: Standing) -> OfferView | None:
    """Return the offer of a contract as its page shows it, None where none waits."""
    offer = offer_of(one)
    if offer is None:
        return None
    asked, offered = told_terms(one.asked, desk.price(one.asked)), told_terms(offer)
    can = desk.bargains is not None and desk.bargains.knows(one.contract_id)
    return OfferView(compared(asked, offered), offered, str(offer.get("reason", "")), digest(offer), can)


def terms(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the terms of a counter's form as a request says them. Raises RequestInvalid."""
    day = said(form, "until")
    if day and not DAY.fullmatch(day):
        raise RequestInvalid("until is a day as in 2027-06-30")
    ordered: Any = to_document(order(form))
    found: dict[str, Any] = {ORDER: ordered if any(ordered.values()) else None}
    return found | {
        "max_rounds": number(form, "rounds", most=MOST_ROUNDS),
        UNTIL: f"{day}T00:00:00.000Z" if day else None,
    }
