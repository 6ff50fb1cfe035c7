"""The buyer's pages that renew, give back or withdraw a contract: a page that says what follows, then its form."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from hdex.catalog.attestation import KEEPS, Kept
from hdex.catalog.purposes import purposes
from hdex.node.buyer_desk import BuyerDesk, Standing
from hdex.node.contract_record import MOST_ROUNDS
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.signed import digest
from hdex.node.web.buyer_forms import is_on, number, said
from hdex.node.web.buyer_views import acts, agreed, contract_path, state_of
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown, text
from hdex.node.web.desk_frame import page

ACTS = ("renew", "attest", "withdraw")
MOST_COPIES = 10**6


class LifePages:
    """What a person of the buyer does about a contract it has, each by the verb of the same name."""

    def __init__(self, desk: BuyerDesk) -> None:
        self._desk = desk

    def asked(self, visit: Visit) -> Response:
        """Return one contract with the question whether this act is meant. Raises NotFound, AccessDenied."""
        act = visit.path("act")
        if act not in ACTS:
            raise NotFound("there is no such act")
        found = self._found(visit, act)
        return page(
            "buyer_contract_act.html",
            visit,
            one=found,
            act=act,
            state=state_of(found),
            word=found.word,
            shown=digest(shown(found)),
            kept=kept_under(found),
            held=[path.name for path in self._desk.holder.held(found.contract_id)],
            purposes=purposes(),
            most={"rounds": MOST_ROUNDS, "copies": MOST_COPIES},
        )

    def acted(self, visit: Visit) -> Response:
        """Do what the page asked about. Raises what is said against it."""
        act = visit.path("act")
        verbs = {"renew": self._renew, "attest": self._attest, "withdraw": self._withdraw}
        if act not in verbs:
            raise NotFound("there is no such act")
        found = self._found(visit, act)
        require_shown(visit, shown(found))
        return verbs[act](visit, found)

    def _renew(self, visit: Visit, found: Standing) -> Response:
        rounds = number(visit.form, "rounds", most=MOST_ROUNDS, absent=int(found.asked["max_rounds"]))
        record = self._desk.holder.renew(found.contract_id, rounds=rounds, statement=said(visit.form, "statement"))
        return done(visit, contract_path(record.contract_id), "renewed")

    def _attest(self, visit: Visit, found: Standing) -> Response:
        self._desk.attest(
            found.contract_id,
            listed(text(visit, "deleted")),
            copies=number(visit.form, "copies", most=MOST_COPIES),
            kept=[Kept(what, clause) for clause in KEEPS for what in listed(said(visit.form, f"kept_{clause}"))],
            delete=is_on(visit.form, "delete"),
        )
        return done(visit, contract_path(found.contract_id), "attested")

    def _withdraw(self, visit: Visit, found: Standing) -> Response:
        self._desk.withdraw(found.contract_id, text(visit, "reason"))
        return done(visit, contract_path(found.contract_id), "withdrawn")

    def _found(self, visit: Visit, act: str) -> Standing:
        """Return the contract, where this act is one that its state knows. Raises NotFound, AccessDenied."""
        found = self._desk.standing(visit.path("contract"))
        if act not in acts(found):
            next_step = "read the contract again" if found.silent is None else "wait until the provider answers"
            raise AccessDenied("contract.state", next_step, f"the contract is {state_of(found)}: nothing to {act}")
        return found


def shown(found: Standing) -> Mapping[str, Any]:
    """Return the paper that an act is about: the agreement, before there is one the request."""
    return agreed(found) or found.asked


def kept_under(found: Standing) -> list[str]:
    """Return the clauses of the agreement that let something stay."""
    clauses = agreed(found).get("clauses", {})
    return [name for name in KEEPS if clauses.get(name)]


def listed(typed: str) -> list[str]:
    """Return what was typed line by line, without empty lines."""
    return [line for line in (one.strip() for one in typed.splitlines()) if line]
