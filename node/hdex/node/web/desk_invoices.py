"""Invoices at a hospital's desk: every paper by its state, one whole, credit notes, answers to disputes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from fastapi.responses import Response

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.invoice import Invoice
from hdex.catalog.money import say, to_decimal, to_minor
from hdex.catalog.spreadsheet import to_csv
from hdex.ledger.event import format_time
from hdex.node.documents import Document
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.invoice_file import InvoiceFile, is_dispute, newest_dispute
from hdex.node.signed import digest
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, text
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route, sheet
from hdex.node.web.desk_words import BILLERS

CREDIT, ANSWER = "credit", "answer"
ACTS = {CREDIT: "credited", ANSWER: "answered"}  # what is done -> what the page says then
OVERDUE, NOTE = "OVERDUE", "CREDIT_NOTE"  # standings beside the states of an invoice
STANDINGS = ("ISSUED", OVERDUE, "DISPUTED", "PAID", "CREDITED", NOTE)
ASKED = ("state", "consumer", "contract", "month")
LONGEST = 256  # characters of what a filter asks for
COLUMNS = ("number", "state", "consumer", "contract", "product", "issued", "due", "currency")
AMOUNTS = ("total", "paid", "credited", "open")
Row = Mapping[str, Any]


class Till(Protocol):
    """One's own node about money. Raises PeerUnavailable and RemoteRefused."""

    def issued(self) -> list[InvoiceFile]: ...
    def statement(self, month: str) -> Document: ...
    def due(self, month: str) -> Document: ...
    def account(self, number: str) -> Document: ...
    def issue(self, contract_id: str, month: str) -> InvoiceFile: ...
    def credit(self, number: str, amount_cents: int, reason: str, currency: str = "") -> InvoiceFile: ...
    def answer(self, number: str, reason: str, dispute: str) -> InvoiceFile: ...
    def preview_payments(self, statement: bytes) -> Document: ...
    def import_payments(self, statement: bytes) -> Document: ...


class InvoicesPart:
    """Lists papers, shows one, and has money taken back or a dispute answered."""

    def __init__(self, till: Till, clock: Callable[[], datetime]) -> None:
        self._till = till
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/invoices", self.listed),
            Route("/invoices.csv", self.as_sheet),
            Route("/invoices/{number}", self.shown),
            Route("/invoices/{number}/{act}", self.asked),
            Route("/invoices/{number}/{act}", self.acted, is_form=True),
        ]

    def listed(self, visit: Visit) -> Response:
        """Return the papers that the address asks for, newest first, with the count of each state."""
        asked, rows = asked_of(visit), self._rows()
        others = {name: value for name, value in asked.items() if name != "state"}
        beside = [row for row in rows if fits(row, others)]
        return page(
            "desk_invoices.html",
            visit,
            asked=asked,
            found=[row for row in beside if fits(row, asked)],
            counts=[(one, sum(row["state"] == one for row in beside)) for one in STANDINGS],
            total=len(beside),
            address=lambda **changed: urlencode({k: v for k, v in (asked | changed).items() if v}),
            may_bill=visit.role in BILLERS,
            money=money_in(visit),
        )

    def as_sheet(self, visit: Visit) -> Response:
        """Return the papers that the address asks for as CSV: amounts as decimals of their currency."""
        asked = asked_of(visit)
        head = [visit.words.say(f"invoices.{name}") for name in (*COLUMNS, *AMOUNTS)]
        rows = ((row, [row[f"{name}_cents"] for name in AMOUNTS]) for row in self._rows() if fits(row, asked))
        cells = (
            [*(row[name] for name in COLUMNS), *(to_decimal(cents, row["currency"]) for cents in amounts)]
            for row, amounts in rows
        )
        return sheet("invoices.csv", to_csv(head, cells))

    def shown(self, visit: Visit) -> Response:
        """Return one paper whole. Raises NotFound."""
        file = self._found(visit)
        row, account = self._row(file), None if file.is_note else self._till.account(file.number)
        orders = account["orders"] if account else []
        return page(
            "desk_invoice.html",
            visit,
            invoice=Invoice.from_document(file.document),
            row=row,
            account=account,
            paid_to={one["payee"] for one in orders if not is_refund(one)},
            refunds=[one for one in orders if is_refund(one)],
            said=[(is_dispute(one), one["document"]) for one in file.said],
            acts=acts_of(row, file, visit.role),
            money=money_in(visit),
        )

    def asked(self, visit: Visit) -> Response:
        """Return one invoice with the form of what is to be done about it. Raises NotFound."""
        file, act = self._found(visit), known_act(visit)
        newest = newest_dispute(file)
        return page(
            "desk_invoice_act.html",
            visit,
            row=self._row(file),
            left=file.document["total_cents"] - file.credited_cents,
            dispute=newest,
            shown=digest(newest) if newest else "",
            act=act,
            money=money_in(visit),
        )

    def acted(self, visit: Visit) -> Response:
        """Take money back by a credit note, or answer the dispute that was read."""
        act, number, reason = known_act(visit), visit.path("number"), text(visit, "reason")
        if act == ANSWER:
            self._till.answer(number, reason, visit.form.get("digest", ""))
            return done(visit, invoice_path(number), ACTS[act])
        file = self._found(visit)
        cents, currency = amount_of(visit, str(file.document["currency"]))
        note = self._till.credit(number, cents, reason, currency)
        return done(visit, invoice_path(note.number), ACTS[act])

    def _found(self, visit: Visit) -> InvoiceFile:
        wanted = visit.path("number")
        for file in self._till.issued():
            if file.number == wanted:
                return file
        raise NotFound("no paper of this number is here")

    def _rows(self) -> list[dict[str, Any]]:
        return [self._row(file) for file in reversed(self._till.issued())]

    def _row(self, file: InvoiceFile) -> dict[str, Any]:
        return row_of(file, format_time(self._clock()))


def row_of(file: InvoiceFile, at: str) -> dict[str, Any]:
    """Return what a list says of a paper at a time."""
    paper = file.document
    return {
        "number": file.number,
        "state": standing(file, at),
        "is_overdue": file.is_overdue(at),
        "consumer": paper["consumer"]["id"],
        "contract": paper["agreement"]["request_id"],
        "product": f"{paper['agreement']['product']} {paper['agreement']['version']}",
        "month": str((paper.get("usage") or {}).get("month", paper["issued"][:7])),
        "issued": paper["issued"],
        "due": paper["due"],
        "currency": paper["currency"],
        "total_cents": paper["total_cents"],
        "paid_cents": file.paid_cents,
        "credited_cents": file.credited_cents,
        "open_cents": file.open_cents,
        "of": paper.get("credits_number") or "",
        "entry": file.proof.index,
    }


def standing(file: InvoiceFile, at: str) -> str:
    """Return where a paper stands: an invoice that is issued and past its day is overdue."""
    if file.is_note:
        return NOTE
    return OVERDUE if file.state == "ISSUED" and file.is_overdue(at) else file.state


def asked_of(visit: Visit) -> dict[str, str]:
    """Return what the address asks for, names that we know only; a state that there is none of asks for nothing."""
    given = {name: visit.request.query_params.get(name, "").strip()[:LONGEST] for name in ASKED}
    given["state"] = given["state"].upper() if given["state"].upper() in STANDINGS else ""
    return {name: value for name, value in given.items() if value}


def fits(row: Row, asked: Mapping[str, str]) -> bool:
    """Return whether a paper is what was asked for."""
    return all(row[name] == value for name, value in asked.items())


def acts_of(row: Row, file: InvoiceFile, role: str) -> list[str]:
    """Return what this person may do about a paper as it stands; the node has the last word."""
    if role not in BILLERS or file.is_note:
        return []
    left = [CREDIT] if row["total_cents"] > row["credited_cents"] else []
    return [*([ANSWER] if row["state"] == "DISPUTED" else []), *left]


def is_refund(order: Row) -> bool:
    """Return whether an order pays money back to the buyer."""
    return str(order["id"]).split("/")[1:2] == ["refund"]


def known_act(visit: Visit) -> str:
    """Return what an address would do. Raises NotFound."""
    act = visit.path("act")
    if act not in ACTS:
        raise NotFound("there is no such act")
    return act


def amount_of(visit: Visit, currency: str) -> tuple[int, str]:
    """Return (minor units, currency) of a credit; (0, "") means all that is left. Raises RequestInvalid."""
    typed = visit.form.get("amount", "").strip()
    if not typed:
        return 0, ""
    try:
        cents = to_minor(typed, currency)
    except PriceInvalid as error:
        raise RequestInvalid("an amount is a number as in 480.00, without the name of the currency") from error
    if cents <= 0:
        raise RequestInvalid("an amount to take back is above 0; leave it empty for all that is left")
    return cents, currency


def money_in(visit: Visit) -> Callable[[int, str], str]:
    """Return what says amounts in a visit's language."""
    return lambda cents, currency: say(cents, currency, visit.words.lang)


def invoice_path(number: str) -> str:
    """Return the address of a paper, below a language's root."""
    return f"/invoices/{quote(number, safe='')}"
