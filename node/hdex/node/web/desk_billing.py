"""Billing at a hospital's desk: what a month has brought that no invoice covers, and bank statements read in.

Each in two steps: first what would be done is shown, and nothing is written; then a form does just that.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from fastapi.responses import Response

from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.hospital.payments_csv import HEADS, MOST_BYTES
from hdex.node.signed import digest
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown
from hdex.node.web.desk_frame import page
from hdex.node.web.desk_invoices import Till, money_in
from hdex.node.web.desk_revenue import MONTH, month_from
from hdex.node.web.desk_routes import Route
from hdex.node.web.desk_words import BILLERS

MOST_STATEMENTS = 4
REFUSED = ("unknown_reference", "wrong_currency", "settled_before")  # outcomes that pay no invoice


@dataclass(frozen=True, slots=True)
class Statement:
    """A bank statement that was uploaded; `read` holds what became of each entry once it was read in."""

    content: bytes
    read: Document | None = None


class MemoryStatements:
    """Statements of one desk, in its memory only, by digest; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Statement] = {}

    def put(self, statement: Statement) -> str:
        """Keep a statement and return its digest, SHA-256 in hex."""
        name = sha256(statement.content).hexdigest()
        with self._lock:
            self._held.pop(name, None)
            while len(self._held) >= MOST_STATEMENTS:
                del self._held[next(iter(self._held))]
            self._held[name] = statement
        return name

    def get(self, name: str) -> Statement:
        """Return a statement. Raises NotFound."""
        with self._lock:
            if name not in self._held:
                raise NotFound("this desk no longer holds this statement: choose its file again")
            return self._held[name]


class BillingPart:
    """Shows and issues what is due, and reads statements in."""

    def __init__(self, till: Till, clock: Callable[[], datetime], statements: MemoryStatements) -> None:
        self._till = till
        self._clock = clock
        self._statements = statements

    def routes(self) -> Sequence[Route]:
        """Return the addresses; they stand before those of one invoice."""
        return [
            Route("/invoices/due", self.due),
            Route("/invoices/due", self.issued, is_form=True),
            Route("/payments", self.chosen),
            Route("/payments", self.uploaded, is_form=True, has_file=True),
            Route("/payments/{statement}", self.previewed),
            Route("/payments/{statement}", self.imported, is_form=True),
        ]

    def due(self, visit: Visit) -> Response:
        """Return what an invoice over a month would bill, by contract; nothing is issued."""
        month = self._month(visit.request.query_params.get("month", ""))
        found = self._till.due(month)
        return page(
            "desk_due.html",
            visit,
            month=month,
            before=month_from(month, -1),
            after=month_from(month, 1),
            found=found,
            sums=sums_of(found["rows"]),
            digest_of=lambda rows: digest(paper_of(month, rows)),
            may_bill=visit.role in BILLERS,
            money=money_in(visit),
        )

    def issued(self, visit: Visit) -> Response:
        """Issue what the page showed: of one contract, or of all. Raises AccessDenied where more is due by now."""
        month, contract = self._month(visit.form.get("month", "")), visit.form.get("contract", "")
        found = self._till.due(month)
        rows = [row for row in found["rows"] if contract in ("", row["contract"])]
        if not rows:
            raise AccessDenied("desk.changed", "look again at what is due", "nothing of this is due any more")
        require_shown(visit, paper_of(month, rows))
        for row in rows:
            self._till.issue(row["contract"], "" if found["is_open"] else month)
        return done(visit, "/invoices", "issued")

    def chosen(self, visit: Visit) -> Response:
        """Return the form that takes a statement."""
        return page("desk_payments.html", visit, heads=",".join(HEADS), most=MOST_BYTES, may_bill=visit.role in BILLERS)

    def uploaded(self, visit: Visit) -> Response:
        """Take a statement into this desk's memory and go to what it would do. Raises RequestInvalid."""
        if not visit.file:
            raise RequestInvalid("choose the file of the bank statement")
        if len(visit.file) > MOST_BYTES:
            raise RequestInvalid(f"a statement has at most {MOST_BYTES} bytes: divide it by days")
        self._till.preview_payments(visit.file)  # a file that cannot be read is refused now, by its line
        name = self._statements.put(Statement(visit.file))
        return done(visit, f"/payments/{name}", "uploaded")

    def previewed(self, visit: Visit) -> Response:
        """Return what a statement would do, or did. Raises NotFound."""
        name = visit.path("statement")
        held = self._statements.get(name)
        entries = (held.read or self._till.preview_payments(held.content))["entries"]
        refused = [one for one in entries if one["outcome"] in REFUSED]
        return page(
            "desk_statement.html",
            visit,
            name=name,
            was_read=held.read is not None,
            entries=entries,
            refused=refused,
            known=[one for one in entries if one["outcome"] == "known"],
            taken=[one for one in entries if one["invoice"] and one not in refused],
            may_bill=visit.role in BILLERS,
            money=money_in(visit),
        )

    def imported(self, visit: Visit) -> Response:
        """Read in the statement that the page showed; again, each entry is known and counts no second time."""
        name = visit.path("statement")
        held = self._statements.get(name)
        if visit.form.get("digest", "") != name:
            raise AccessDenied("desk.changed", "look at it again, then read it in", "another statement was shown")
        if held.read is None:
            self._statements.put(replace(held, read=self._till.import_payments(held.content)))
        return done(visit, f"/payments/{name}", "imported")

    def _month(self, asked: str) -> str:
        """Return the month asked for; without one the last that has ended."""
        return asked if MONTH.fullmatch(asked) else month_from(f"{self._clock():%Y-%m}", -1)


def paper_of(month: str, rows: Sequence[Document]) -> Document:
    """Return what a form's digest is of: the rows as they were shown."""
    return {"month": month, "rows": list(rows)}


def sums_of(rows: Sequence[Document]) -> dict[str, int]:
    """Return currency -> minor units of what is due in it."""
    found = dict[str, Any]()
    for row in rows:
        found[row["currency"]] = found.get(row["currency"], 0) + row["total_cents"]
    return dict(sorted(found.items()))
