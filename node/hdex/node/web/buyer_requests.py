"""The buyer's pages about access requests: all of them, a new one, one with its form, its way and its messages."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from hdex.catalog.product import DeliveryMode
from hdex.catalog.purposes import purposes
from hdex.node.buyer_desk import BuyerDesk
from hdex.node.errors import PeerUnavailable
from hdex.node.web.buyer_forms import typed_lines
from hdex.node.web.buyer_views import request_task
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_frame import page
from hdex.node.web.upload import LARGEST_FILE

WAY = ("DRAFT", "SUBMITTED", "STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE", "APPROVED")
OPEN = ("SUBMITTED", "STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE", "RETURNED")
EDITABLE = ("DRAFT", "RETURNED")
LISTS = {"team": ("name", "role", "trained"), "contractors": ("name", "code", "country")}
MODES = (DeliveryMode.SEALED_FILE, DeliveryMode.QUERY, DeliveryMode.ENCLAVE, DeliveryMode.FEDERATED)


class RequestPages:
    """Pages that are only read."""

    def __init__(self, desk: BuyerDesk) -> None:
        self._desk = desk

    def all(self, visit: Visit) -> Response:
        """Return every request with whose turn it is."""
        found = [(one, request_task(one)) for one in self._desk.requests()]
        return page("buyer_requests.html", visit, requests=found)

    def new(self, visit: Visit) -> Response:
        """Return the form that begins a request for a product."""
        product, _ = self._desk.buyer.show(visit.path("product"))
        asked = dict(visit.request.query_params)
        return page("buyer_request_new.html", visit, product=product, purposes=purposes(), asked=asked)

    def one(self, visit: Visit) -> Response:
        """Return one request: its form while it can be mended, else what was sent; its way, messages, decision."""
        name = visit.path("name")
        form = self._desk.applicant.form(name)
        try:
            status, is_away = self._desk.applicant.status(name), False
        except PeerUnavailable:  # a draft's form is worth showing though its hospital is away
            status, is_away = {"state": "UNKNOWN", "next": "", "due": "", "messages": [], "history": []}, True
        state = str(status["state"])
        modes = self._modes(form) if state in EDITABLE else []
        return page(
            "buyer_request.html",
            visit,
            name=name,
            form=form,
            access=part(form, "access"),
            ethics=part(form, "ethics"),
            stands=status,
            state=state,
            is_away=is_away,
            way=WAY,
            may_mend=state in EDITABLE,
            is_open=state in OPEN,
            typed={name: typed_lines(rows(form, name), parts) for name, parts in LISTS.items()},
            modes=modes,
            purposes=purposes(),
            largest=LARGEST_FILE >> 20,
            reason=last_reason(status),
        )

    def withdraw(self, visit: Visit) -> Response:
        """Return one request with the question whether its end is meant."""
        name = visit.path("name")
        form, status = self._desk.applicant.form(name), self._desk.applicant.status(name)
        return page("buyer_request_withdraw.html", visit, name=name, form=form, stands=status)

    def _modes(self, form: Mapping[str, Any]) -> list[str]:
        """Return the modes that a draft may choose: the one it names, and those that a request can be about."""
        named = str(form.get("delivery_mode", ""))
        return list(dict.fromkeys([*([named] if named else []), *(mode.value for mode in MODES)]))


def rows(form: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of a draft, whatever a person has put into its file."""
    found = form.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def part(form: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object of a draft, empty where a person has put something else into its file."""
    found = form.get(name)
    return found if isinstance(found, dict) else {}


def last_reason(status: Mapping[str, Any]) -> str:
    """Return what the last who decided said."""
    said = [str(one["reason"]) for one in status.get("history", []) if one["reason"]]
    return said[-1] if said else ""
