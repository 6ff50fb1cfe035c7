"""Money at a hospital's desk: a month's papers, how what came in is split, and what the log says was used."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Protocol

from fastapi.responses import Response

from hdex.catalog.invoice import Invoice
from hdex.catalog.money import say, to_decimal
from hdex.catalog.spreadsheet import to_csv
from hdex.catalog.web.charts import BarChart, bar_chart
from hdex.node.documents import Document
from hdex.node.errors import NotFound
from hdex.node.hospital.statements import papers_csv
from hdex.node.invoice_file import InvoiceFile
from hdex.node.steward import Steward
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_routes import Route, download, sheet
from hdex.node.web.invoice_page import invoice_page, statement_page

MONTH = re.compile(r"2\d{3}-(0[1-9]|1[0-2])", re.ASCII)
PARTS = ("own", "others", "fee")  # of what was earned
COUNTS = ("deliveries", "rows", "queries", "rounds", "bytes")
FORMATS = {"json": "application/json", "html": "text/html; charset=utf-8"}
Row = Mapping[str, Any]


class Till(Protocol):
    """One's own node about what was billed. Raises PeerUnavailable and RemoteRefused."""

    def issued(self) -> list[InvoiceFile]: ...
    def statement(self, month: str) -> Document: ...


class RevenuePart:
    """Shows statements and hands papers out as files."""

    def __init__(self, steward: Steward, till: Till, today: Any) -> None:
        """today: returns the present time; without a month in the address its month is meant."""
        self._steward = steward
        self._till = till
        self._today = today

    def routes(self) -> Sequence[Route]:
        """Return the addresses."""
        return [
            Route("/revenue", self.shown),
            Route("/revenue.csv", self.as_sheet),
            Route("/revenue.html", self.as_page),
            Route("/revenue/usage.csv", self.usage_sheet),
            Route("/revenue/papers/{number}.{kind}", self.paper),
        ]

    def shown(self, visit: Visit) -> Response:
        """Return a month's statement with its charts, and every paper with its state."""
        month, lang = self._month(visit), visit.words.lang
        said = self._till.statement(month)
        usage = self._usage(said)
        return page(
            "desk_revenue.html",
            visit,
            month=month,
            before=month_from(month, -1),
            after=month_from(month, 1),
            said=said,
            usage=usage,
            by_product=summed(usage, ("product", "consumer")),
            splits=[(currency, sums, split_chart(sums, currency, visit)) for currency, sums in said["totals"].items()],
            counts=COUNTS,
            money=lambda cents, currency: say(cents, currency, lang),
        )

    def as_sheet(self, visit: Visit) -> Response:
        """Return a month's papers as CSV."""
        month = self._month(visit)
        return sheet(f"statement-{month}.csv", papers_csv(self._till.statement(month)))

    def as_page(self, visit: Visit) -> Response:
        """Return a month's statement as a page to print, with who gets what."""
        month = self._month(visit)
        content = statement_page(self._till.statement(month), visit.words.lang).encode()
        return download(f"statement-{month}.html", content, FORMATS["html"])

    def usage_sheet(self, visit: Visit) -> Response:
        """Return what a month's contracts used as CSV."""
        month = self._month(visit)
        names = ("contract", "product", "consumer", *COUNTS)
        rows = self._usage(self._till.statement(month))
        head = [visit.words.say(f"revenue.{name}") for name in names]
        return sheet(f"usage-{month}.csv", to_csv(head, ([row[name] for name in names] for row in rows)))

    def paper(self, visit: Visit) -> Response:
        """Return one paper as a file: the signed JSON with its proof, or a page to print. Raises NotFound."""
        wanted, kind = visit.path("number"), visit.path("kind")
        for file in self._till.issued() if kind in FORMATS else []:
            if file.number == wanted:
                lang = visit.words.lang
                content = file.to_bytes() if kind == "json" else html_of(file, lang)
                return download(f"{file.number}.{kind}", content, FORMATS[kind])
        raise NotFound("no paper of this number is here")

    def _month(self, visit: Visit) -> str:
        asked = visit.request.query_params.get("month", "")
        return asked if MONTH.fullmatch(asked) else f"{self._today():%Y-%m}"

    def _usage(self, said: Row) -> list[dict[str, Any]]:
        """Return what each contract used, with its product and its buyer; most bytes first."""
        known = {one["contract"]: one for one in self._steward.desk.read("contracts")["contracts"]}
        rows = [{**row, **of_contract(known.get(row["contract"]))} for row in said["usage"]]
        return sorted(rows, key=lambda row: (-row["deliveries"] - row["queries"] - row["rounds"], row["contract"]))


def of_contract(found: Row | None) -> dict[str, str]:
    """Return product and buyer of a contract, empty where the node no longer knows it."""
    return {"product": found["product"] if found else "", "consumer": found["consumer"] if found else ""}


def summed(usage: Sequence[Row], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the counts of usage added up over contracts that have these names in common, sorted by them."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in usage:
        key = tuple(row[name] for name in names)
        held = found.setdefault(key, {**dict(zip(names, key, strict=True)), **dict.fromkeys(COUNTS, 0)})
        for count in COUNTS:
            held[count] += row[count]
    return [found[key] for key in sorted(found)]


def split_chart(sums: Row, currency: str, visit: Visit) -> BarChart:
    """Return the chart of who gets what of a currency's earnings, in whole units of it."""
    parts = [(name, sums[f"{name}_cents"]) for name in PARTS]
    items = [
        (visit.words.say(f"revenue.{name}"), float(max(0, cents)), f"{to_decimal(cents, currency):,}", "plain")
        for name, cents in parts
    ]
    return bar_chart(items)


def html_of(file: InvoiceFile, lang: str) -> bytes:
    """Return a paper as a page that loads nothing. Raises DocumentInvalid, InvoiceInvalid."""
    return invoice_page(Invoice.from_document(file.document), lang).encode()


def month_from(month: str, step: int) -> str:
    """Return the month before or after one."""
    first = date.fromisoformat(f"{month}-01")
    other = first - timedelta(days=1) if step < 0 else first + timedelta(days=31)
    return f"{other:%Y-%m}"
