"""Contracts at a hospital's desk: what is asked, offered, agreed, used and left, and what a person says to each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi.responses import Response

from hdex.catalog.money import say
from hdex.node.bargain_terms import Difference, compared, with_changes
from hdex.node.contract_record import MOST_ROUNDS
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.steward import Steward
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown, text
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route

WAITING, LIVE = ("REQUESTED", "OFFERED", "ACCEPTED"), ("AGREED", "VERIFIED", "ACTIVE", "SUSPENDED", "OBLIGATIONS_OPEN")
DECIDERS = ("data_steward", "privacy_officer", "ethics_committee")
ENDERS, ORDERER = ("data_steward", "privacy_officer"), "privacy_officer"
ENDABLE = ("AGREED", "VERIFIED", "ACTIVE", "SUSPENDED")
ORDERS = {"ACTIVE": "suspend", "SUSPENDED": "resume"}  # state -> what the privacy officer may order by a paper
ACTS = {  # what is done -> what the page says then
    "approve": "approved",
    "refuse": "refused",
    "revoke": "revoked",
    "suspend": "ordered",
    "resume": "ordered",
    "offer": "offered",
}
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Row = Mapping[str, Any]


class ContractsPart:
    """Lists contracts, shows one, and has requests decided and licences ended."""

    def __init__(self, steward: Steward) -> None:
        self._steward = steward

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/contracts", self.listed),
            Route("/contracts/{contract}", self.shown),
            Route("/contracts/{contract}/{act}", self.asked),
            Route("/contracts/{contract}/{act}", self.acted, is_form=True),
        ]

    def listed(self, visit: Visit) -> Response:
        """Return every contract: those that wait, those in force, those that are over."""
        found = list(reversed(self._steward.desk.read("contracts")["contracts"]))
        waiting = [one for one in found if standing(one) in WAITING]
        live = [one for one in found if standing(one) in LIVE]
        over = [one for one in found if standing(one) not in (*WAITING, *LIVE)]
        return page("desk_contracts.html", visit, parted=[("waiting", waiting), ("live", live), ("over", over)])

    def shown(self, visit: Visit) -> Response:
        """Return one contract whole. Raises NotFound."""
        found = self._found(visit)
        limits = [(one, left_of(one)) for one in found["lines"]]
        return page(
            "desk_contract.html",
            visit,
            found=found,
            limits=limits,
            acts=acts_of(found, visit.role),
            bargain=with_changes(found["bargain"]),
            differences=differences(found),
            say=say,
        )

    def asked(self, visit: Visit) -> Response:
        """Return one contract with the question whether this is meant. Raises NotFound."""
        act = visit.path("act")
        if act not in ACTS:
            raise NotFound("there is no such act")
        found = self._found(visit)
        if act == "offer" and act not in acts_of(found, visit.role):
            raise AccessDenied(
                "contract.state", "read the contract again", f"nothing to {act}: it is {standing(found)}"
            )
        return page("desk_contract_act.html", visit, found=found, act=act, say=say, most=MOST_ROUNDS)

    def acted(self, visit: Visit) -> Response:
        """Approve or refuse a request that was read, or end a licence."""
        act, name = visit.path("act"), visit.path("contract")
        if act not in ACTS:
            raise NotFound("there is no such act")
        desk = self._steward.desk
        if act == "revoke":
            desk.revoke(name, text(visit, "reason"))
        elif act in ORDERS.values():
            self._steward.order_contract(f"contract.{act}", name, text(visit, "reason"))
        elif act == "offer":
            require_shown(visit, desk.read("contract", name)["request"])
            self._steward.offer(name, text(visit, "reason"), offered(visit.form))
        else:
            require_shown(visit, desk.read("contract", name)["request"])
            reason = text(visit, "reason") if act == "refuse" else ""
            desk.decide(name, approve=act == "approve", reason=reason)
        return done(visit, contract_path(name), ACTS[act])

    def _found(self, visit: Visit) -> dict[str, Any]:
        return self._steward.desk.read("contract", visit.path("contract"))


def contract_path(name: str) -> str:
    """Return the address of a contract, below a language's root."""
    return f"/contracts/{quote(name, safe='')}"


def acts_of(found: Row, role: str) -> list[str]:
    """Return what this person may do about a contract as it stands; the node has the last word."""
    state = standing(found)
    if state in ("REQUESTED", "ACCEPTED") and role in DECIDERS:
        return ["approve", *(["offer"] if found.get("offers") and role == ORDERER else []), "refuse"]
    if state == "OFFERED" and role in DECIDERS:
        return ["refuse"]
    ordered = [ORDERS[state]] if state in ORDERS and role == ORDERER else []
    return [*ordered, *(["revoke"] if state in ENDABLE and role in ENDERS else [])]


def differences(found: Row) -> list[Difference]:
    """Return what was asked first beside the newest terms; nothing where nobody has bargained."""
    spoken = [one["terms"] for one in found["bargain"] if one["terms"]]
    return compared(spoken[0], spoken[-1]) if len(spoken) > 1 else []


def offered(form: Mapping[str, str]) -> dict[str, str]:
    """Return the terms of an offer as a paper says them: an empty text leaves one as it was asked."""
    said = {name: form.get(name, "").strip() for name in ("plan", "columns", "rounds", "until")}
    if said["until"] and not DAY.fullmatch(said["until"]):
        raise RequestInvalid("until is a day as in 2027-06-30")
    return {**said, "until": f"{said['until']}T00:00:00.000Z" if said["until"] else ""}


def standing(one: Row) -> str:
    """Return where a contract stands: in its own life once it is final, before in its negotiation."""
    return str(one.get("life") or one["state"])


def left_of(limit: Row) -> tuple[float, int]:
    """Return (what is left of a limit, the share used in whole per cent, 100 at most)."""
    agreed, used = limit["agreed"], limit["used"]
    left = max(0, agreed - used)
    return left, min(100, round(100 * used / agreed)) if agreed > 0 else 100
