"""What a buyer's person does at the desk: each goes the way of the command line's verb. Signed with the same keys."""

import secrets
from collections.abc import Callable
from typing import Any

from fastapi.responses import Response

from hdex.catalog.documents import to_document
from hdex.node.buyer_desk import BuyerDesk
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.web.buyer_forms import access, access_form, declaration, is_on, mode, said, wish
from hdex.node.web.buyer_views import contract_path, request_path
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown, text

UNFILLED = {
    "title": "", "summary": "", "ethics": {"number": "", "expires": ""}, "team": [], "contractors": [], "columns": [],
    "starts": "", "ends": "", "publication_plan": "", "protection": "",
}  # fmt: skip
NAME_BYTES = 3


class BuyerActs:
    """Every form's answer. Each ends with a page to look at, or raises what was said against it."""

    def __init__(self, desk: BuyerDesk, randomness: Callable[[int], str] = secrets.token_hex) -> None:
        self._desk = desk
        self._random = randomness

    def apply(self, visit: Visit) -> Response:
        """Sign what the organisation declares and hand it to the office."""
        if is_on(visit.form, "renew"):
            self._desk.applicant.renew(self._desk.office)
        self._desk.applicant.apply(self._desk.office, declaration(visit.form, self._desk.me))
        return done(visit, "/vetting", "applied")

    def draft(self, visit: Visit) -> Response:
        """Begin an access request; nothing is sent."""
        product, manifest_digest = self._desk.buyer.show(visit.path("product"))
        name = said(visit.form, "name") or f"{product.id.partition('.')[2] or 'request'}-{self._random(NAME_BYTES)}"
        asked = access(visit.form, self._desk.me, self._desk.at())
        filled = {"access": to_document(asked), "delivery_mode": mode(visit.form).value, **UNFILLED}
        self._desk.applicant.draft(name, product, manifest_digest, filled)
        return done(visit, request_path(name), "drafted")

    def save(self, visit: Visit) -> Response:
        """Keep what was filled in; nothing is sent."""
        name = visit.path("name")
        self._require_mendable(name)
        form = self._desk.applicant.form(name)
        purpose: Any = to_document(access(visit.form, self._desk.me, self._desk.at()))
        held = form.get("access")
        kept = {**held, **purpose} if isinstance(held, dict) else purpose  # what only its file can say stays
        self._desk.applicant.mend(name, {**access_form(visit.form), "access": kept})
        return done(visit, request_path(name), "saved")

    def submit(self, visit: Visit) -> Response:
        """Sign the form as it is kept and send it with the ethics approval."""
        if not visit.file:
            raise RequestInvalid("the ethics approval is missing: choose its file")
        name = visit.path("name")
        self._desk.applicant.send(name, visit.file)
        return done(visit, request_path(name), "submitted")

    def message(self, visit: Visit) -> Response:
        """Say something to the reviewers."""
        name = visit.path("name")
        self._desk.applicant.message(name, text(visit, "text"))
        return done(visit, request_path(name), "told")

    def withdraw(self, visit: Visit) -> Response:
        """End a request; a draft that was never sent is gone."""
        self._desk.applicant.withdraw(visit.path("name"), said(visit.form, "reason"))
        return done(visit, "/requests", "withdrawn")

    def ask(self, visit: Visit) -> Response:
        """Ask for a contract."""
        asked = wish(visit.form, visit.path("product"), self._desk.me, self._desk.at())
        record = self._desk.ask(asked, said(visit.form, "connector"))
        return done(visit, contract_path(record.contract_id), "asked")

    def accept(self, visit: Visit) -> Response:
        """Check the agreement against the request and sign it: the one that the page showed."""
        contract = visit.path("contract")
        agreement = self._desk.buyer.status(contract).agreement
        if agreement is not None:
            require_shown(visit, agreement["document"])
        self._desk.sign(contract)
        return done(visit, contract_path(contract), "accepted")

    def fetch(self, visit: Visit) -> Response:
        """Begin to receive, or go on."""
        contract = visit.path("contract")
        self._desk.standing(contract)  # a contract of ours, or a refusal now instead of in the background
        self._desk.fetches.begin(contract)
        return done(visit, contract_path(contract), "fetching")

    def dispute(self, visit: Visit) -> Response:
        """Tell the hospital, signed, why an invoice is wrong."""
        provider, number = visit.path("provider"), visit.path("number")
        self._desk.customer.dispute(self._desk.invoice(provider, number), text(visit, "reason"))
        return done(visit, "/invoices", "disputed")

    def _require_mendable(self, name: str) -> None:
        """Raise AccessDenied where a request is being read: what is mended now would be read by nobody."""
        state = self._desk.applicant.status(name)["state"]
        if state not in ("DRAFT", "RETURNED"):
            raise AccessDenied("access.sent", "wait, or write a message", f"the request is {state}")
