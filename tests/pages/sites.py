"""The applications whose pages are judged, each over a real stage and served on loopback."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from tests.catalog.rich_product import rich_product
from tests.catalog.samples import HOSPITALS, sample_catalogue, sample_product, sample_status
from tests.catalog.test_browser import serving
from tests.catalog.test_cohort_page import told_product
from tests.catalog.test_pages import CONTRACTS, TIMELINE
from tests.node.auditor_stage import NOW, Hall
from tests.node.billing_stage import OFFICER as BILLING_OFFICER
from tests.node.billing_stage import BillingStage
from tests.node.desk_stage import DIGEST, OFFICER, STEWARD, House, Seat
from tests.node.record_stage import STENTS
from tests.node.test_billing import billed

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.product import Provider
from hdex.catalog.terms import Text
from hdex.catalog.web.app import create_app
from hdex.catalog.web.status import Trouble
from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.trust import trust_from_document
from hdex.node.auditor_desk import Desk
from hdex.node.hospital.billing import Credit
from hdex.node.web.auditor_app import create_auditor_app
from hdex.node.web.invoice_page import invoice_page, statement_page

__all__ = ["DIGEST", "Site", "auditor", "catalogue", "desk", "empty_catalogue", "papers", "seated", "steward"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where an application answers, the path that signs a browser in, and what its paths name in braces."""

    address: str
    enter: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def at(self, path: str) -> str:
        """Return the address of a path."""
        return self.address + path.format_map(self.names)


def catalogue(_folder: Path) -> Iterator[Site]:
    """Serve a catalogue with products of every kind, contracts and a timeline."""
    held = Catalogue(MemoryIndex())
    hospital_b = Provider("hospital-b", HOSPITALS["hospital-b"])
    complete = rich_product(
        id="hospital-b.complete",
        title=Text("Complete", "完整"),
        provider=hospital_b,
        cohort=told_product().cohort,
    )
    gone = sample_product(id="hospital-b.gone", provider=hospital_b)
    for product in (*sample_catalogue(30), complete, gone):
        held.publish(product.document(), b"{}")
    held.withdraw(gone.id)
    told = {"contracts": lambda: CONTRACTS, "timeline": lambda _: TIMELINE, "status": sample_status}
    with serving(create_app(held, **told)) as address:  # type: ignore[arg-type]  # each fits its name
        yield Site(address)


def empty_catalogue(_folder: Path) -> Iterator[Site]:
    """Serve a catalogue on its first day."""
    ill = sample_status(*Trouble, anchor=None, listed=None, newest=None)
    with serving(create_app(Catalogue(MemoryIndex()), contracts=list, status=lambda: ill)) as address:
        yield Site(address)


def auditor(folder: Path) -> Iterator[Site]:
    """Serve an auditor's desk over three hospitals."""
    hall = Hall()
    trust = trust_from_document(hall.auditor().trust(2))
    read = Desk(hall.auditor(), trust, default_rules(), folder=folder / "desk", clock=lambda: NOW)
    with serving(create_auditor_app(read)) as address:
        yield Site(address)


def desk(folder: Path) -> Iterator[Site]:
    """Serve the desk of a privacy officer: a study waits, a classification is contested, accesses are logged."""
    house = House(folder)
    house.ask()
    house.deliver()
    house.record.ingest()
    first, review = Seat(house, STEWARD).sign_in(), f"/datasets/{STENTS}/classification"
    first.act(review, f"{review}/propose")
    first.act(review, f"{review}/column#phone", level="1", role="other", reason="they say it is public")
    first.act(review, f"{review}/sign")
    yield from seated(Seat(house, OFFICER))


def steward(folder: Path) -> Iterator[Site]:
    """Serve the desk of a data steward: a version was made and is to be assessed."""
    house = House(folder)
    house.record.ingest()
    seat, review = Seat(house, STEWARD).sign_in(), f"/datasets/{STENTS}/classification"
    seat.act(review, f"{review}/propose")
    seat.act(review, f"{review}/sign")
    house.record.release()
    yield from seated(seat)


def seated(seat: Seat, **names: str) -> Iterator[Site]:
    """Serve one person's desk. names: of what has another name each time."""
    with serving(seat.app) as address:
        yield Site(address, f"/sign-in?code={seat.sessions.issue(seat.who)}", names)


def papers(folder: Path) -> Iterator[Site]:
    """Serve an invoice, a credit note and a statement: pages that are files."""
    stage = BillingStage(folder)
    invoice = billed(stage)
    note = stage.billing.credit(invoice.number, Credit(0, "", "agreed with the buyer"), BILLING_OFFICER).invoice
    month = stage.statements.month("2026-11")
    app = FastAPI()
    for lang, root in (("en", ""), ("zh", "/zh")):
        shown = {
            "invoice": invoice_page(invoice, lang),
            "credit-note": invoice_page(note, lang),
            "statement": statement_page(month, lang),
        }
        for name, html in shown.items():
            app.add_api_route(f"{root}/{name}", page_of(html), response_model=None)
    with serving(app) as address:
        yield Site(address)


def page_of(html: str):  # type: ignore[no-untyped-def]  # a handler for FastAPI
    """Return the handler of a page that never changes."""

    def answer() -> HTMLResponse:
        return HTMLResponse(html)

    return answer
