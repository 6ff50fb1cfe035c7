"""The buyer's pages about everything but one request or contract: what waits, vetting, products, invoices, studies."""

import json
from typing import Any

from fastapi.responses import Response

from hdex.catalog.errors import CatalogError
from hdex.catalog.invoice import Invoice
from hdex.catalog.money import say
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.purposes import purposes
from hdex.catalog.quote import Quote, quote
from hdex.catalog.terms import decide
from hdex.catalog.web.plain import plain_terms
from hdex.node.buyer_desk import BuyerDesk
from hdex.node.errors import NodeError, Problem, describe
from hdex.node.web.buyer_forms import access, amounts, is_on, order, said, typed_lines
from hdex.node.web.buyer_views import waiting
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_frame import page
from hdex.node.web.invoice_page import invoice_page

LONGEST = 200  # characters of a search
DISPUTABLE = ("ISSUED",)
LISTS = {  # of a declaration: field -> the parts of a line
    "affiliates": ("code", "en", "zh"),
    "persons": ("name", "role"),
    "breaches": ("date", "what", "notified"),
}


class BuyerPages:
    """Pages that are only read."""

    def __init__(self, desk: BuyerDesk) -> None:
        self._desk = desk

    def overview(self, visit: Visit) -> Response:
        """Return what waits for whom, and by when."""
        vettings, problem = self._vettings()
        requests, contracts = self._desk.requests(), self._desk.contracts()
        found = waiting(vettings, requests, contracts) if problem is None else waiting([STANDS], requests, contracts)
        problems = [problem, *(one.problem for one in requests), *(one.problem or one.silent for one in contracts)]
        away = {one.message for one in problems if one is not None}
        newest = vettings[0] if vettings else None
        counts = {"requests": len(requests), "contracts": len(contracts)}
        return page("buyer_overview.html", visit, tasks=found, away=sorted(away), newest=newest, counts=counts,
                    me=self._desk.me, office=self._desk.office)  # fmt: skip

    def vetting(self, visit: Visit) -> Response:
        """Return where the vetting stands, and the form of a declaration, filled with the last one."""
        found = self._desk.vetting()
        declared = found[0]["organisation"] if found else {}
        filled = {
            name: typed_lines(listed(declared, name), parts) for name, parts in LISTS.items()
        }  # as it is typed, line by line
        return page("buyer_vetting.html", visit, vettings=found, declared=declared, filled=filled,
                    office=self._desk.office, me=self._desk.me)  # fmt: skip

    def find(self, visit: Visit) -> Response:
        """Return the products that match; the search is in the address."""
        asked = visit.request.query_params
        text, mode = asked.get("q", "").strip()[:LONGEST], asked.get("mode", "")
        mode = mode if mode in set(DeliveryMode) else ""
        provider = asked.get("provider", "") if asked.get("provider", "") in self._desk.hospitals else ""
        found = self._desk.buyer.find(text, lang=visit.words.lang, mode=mode, provider=provider)
        return page("buyer_find.html", visit, found=found, text=text, mode=mode, provider=provider,
                    modes=list(DeliveryMode), hospitals=self._desk.hospitals)  # fmt: skip

    def product(self, visit: Visit) -> Response:
        """Return a product whose signature holds, with the terms' answer and the price of an order where one asks."""
        product, manifest_digest = self._desk.buyer.show(visit.path("product"))
        asked = dict(visit.request.query_params)
        decision, reckoned, wrong = None, None, None
        if said(asked, "purpose"):
            decision = decide(product.terms, access(asked, self._desk.me, self._desk.at()))
        if said(asked, "plan"):
            reckoned, wrong = reckon(product, asked)
        return page("buyer_product.html", visit, product=product, digest=manifest_digest, asked=asked,
                    plain=plain_terms(product.terms, visit.words.lang), purposes=purposes(), decision=decision,
                    quote=reckoned, wrong=wrong, plans=[product.price, *(product.plans or ())], say=say,
                    is_on=lambda name: is_on(asked, name))  # fmt: skip

    def invoices(self, visit: Visit) -> Response:
        """Return the papers addressed to us, each checked, and who could not be asked."""
        found, away = self._desk.invoices()
        return page("buyer_invoices.html", visit, invoices=found, away=away, say=say, at=self._desk.at())

    def invoice(self, visit: Visit) -> Response:
        """Return one paper with everything that was held against it."""
        file = self._desk.invoice(visit.path("provider"), visit.path("number"))
        checked, problem = None, None
        try:
            checked = self._desk.customer.check(file)
        except (NodeError, CatalogError) as error:
            problem = describe(error)
        invoice, at = Invoice.from_document(file.document), self._desk.at()
        return page("buyer_invoice.html", visit, file=file, invoice=invoice, checked=checked, problem=problem, say=say,
                    said=self._desk.customer.words(file), notes=self._desk.credit_notes(file),
                    late=file.is_overdue(at), may_dispute=file.state in DISPUTABLE and not file.is_note)  # fmt: skip

    def paper(self, visit: Visit) -> Response:
        """Return a paper as a file: the signed JSON, or with `?as=html` a page that prints well."""
        file = self._desk.invoice(visit.path("provider"), visit.path("number"))
        if visit.request.query_params.get("as") == "html":
            content = invoice_page(Invoice.from_document(file.document), visit.words.lang).encode()
            return attached(content, f"{file.number}.{visit.words.lang}.html", "text/html; charset=utf-8")
        return attached(file.to_bytes(), f"{file.number}.json", "application/json")

    def studies(self, visit: Visit) -> Response:
        """Return the studies of this organisation's folder."""
        return page("buyer_studies.html", visit, studies=self._desk.studies())

    def study(self, visit: Visit) -> Response:
        """Return one study's steps and what it found."""
        return page("buyer_study.html", visit, study=self._desk.study(visit.path("study")))

    def result(self, visit: Visit) -> Response:
        """Return a study's result as a file."""
        found = self._desk.study(visit.path("study"))
        content = json.dumps(found.result or {}, indent=2, ensure_ascii=False).encode()
        return attached(content, f"{found.id}.json", "application/json")

    def _vettings(self) -> tuple[list[dict[str, Any]], Problem | None]:
        try:
            return self._desk.vetting(), None
        except NodeError as error:
            return [], describe(error)


STANDS = {"next": "", "state": "VALID"}  # nobody is told to apply because an office is away


def listed(declared: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of a declaration with the parts of its names apart, as a form shows it."""
    rows = declared.get(name, [])
    if name == "affiliates":
        return [{"code": one["code"], **one["name"]} for one in rows]
    if name == "breaches":
        return [{**one, "notified": "yes" if one["notified"] else "no"} for one in rows]
    return list(rows)


def reckon(product: DataProduct, asked: dict[str, str]) -> tuple[Quote | None, Problem | None]:
    """Return what an order would cost, or why it cannot be reckoned."""
    try:
        return quote(product, order(asked), amounts(asked)), None
    except (NodeError, CatalogError) as error:
        return None, describe(error)


def attached(content: bytes, name: str, kind: str) -> Response:
    """Return a file that the browser keeps and does not open."""
    safe = "".join(mark if mark.isascii() and (mark.isalnum() or mark in "-._") else "_" for mark in name)
    headers = {"content-disposition": f'attachment; filename="{safe}"'}
    return Response(content, media_type=kind, headers=headers)
