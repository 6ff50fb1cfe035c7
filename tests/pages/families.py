"""Every page that people see, by family: what serves it, and its addresses. A new page is judged by a line here.

Each address is judged in English as it stands and in Chinese under /zh. `enter` is opened once before the others: it
signs a browser in.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.node.bargain_stage import BARGAINED
from tests.pages import market_sites, sites
from tests.pages.market_sites import BUYER, BUYER_PATHS, OTHER, PRICED
from tests.pages.sites import Site

Serve = Callable[[Path], "Iterator[Site]"]


@dataclass(frozen=True, slots=True)
class Family:
    """Pages of one application. serve: a generator that yields its Site and cleans up after it."""

    serve: Serve
    paths: tuple[str, ...]


PRODUCT = "/products/hospital-a.carotid-stents"
STUDY = f"/studies/{sites.DIGEST}"
STENTS = "/datasets/stents"
FAMILIES = {
    "catalogue": Family(
        sites.catalogue,
        (
            "/",
            "/products",
            "/products?q=stent&level=2&mode=sealed_file",
            "/products?q=carotix",
            "/products?q=moonstone&level=2",
            PRODUCT,
            f"{PRODUCT}?purpose=HDEX:underwriting&disease=E11&commercial=yes",
            f"{PRODUCT}?purpose=DUO:0000007&disease=I65.2",
            f"{PRODUCT}?plan=one_off&columns=age_band&columns=ldl&quantity=2",
            "/products/hospital-c.hiv-stents",
            "/products/hospital-b.complete",
            "/products/hospital-b.complete?cohort.age_band=60-69&cohort.sex=female",
            "/products/hospital-b.complete?cohort.sex=other",
            "/products/hospital-b.complete?cohort.sex=nobody",
            "/products/hospital-b.complete/sheet",
            "/products/hospital-b.gone",
            "/contracts",
            "/status",
            "/nowhere",
        ),
    ),
    "empty catalogue": Family(sites.empty_catalogue, ("/", "/products", "/contracts", "/status")),
    "auditor": Family(
        sites.auditor,
        ("/", "/events", "/events?decision=deny", "/events?product=none", "/logs/hospital-a/5", "/alerts", "/report",
         "/nowhere"),
    ),
    "desk": Family(
        sites.desk,
        ("/", "/datasets", f"{STENTS}/classification", "/studies", f"{STUDY}/approve", f"{STUDY}/deny", "/products",
         "/products/hospital-a.carotid-stents/1.0.0/suspend", "/accesses", "/accesses?consumer=nobody", "/nowhere",
         "/sign-in"),
    ),
    "steward": Family(
        sites.steward, ("/", f"{STENTS}/classification", f"{STENTS}/versions/1.0.0", "/datasets", "/products")
    ),
    "market": Family(
        market_sites.market,
        ("/", "/requests", "/requests/r-1", "/requests/r-3", "/requests/r-1/decide/endorse",
         "/contracts", *(f"/contracts/c-{name}" for name in ("asked", "held", "used", "ended", "query")),
         "/contracts/c-asked/refuse", "/contracts/c-used/revoke", "/revenue", "/revenue?month=2026-10",
         "/invoices", "/invoices?state=PAID&consumer=nobody",
         *(f"/invoices/hospital-a-2026-00000{n}" for n in (1, 2, 3)),
         "/invoices/hospital-a-2026-000003/credit", "/invoices/hospital-a-2026-000003/answer",
         "/invoices/due?month=2026-11", "/payments", "/payments/{statement}",
         "/runs", "/runs/{read}", "/runs/{waits}", "/runs/{read}/approve", "/queries",
         "/organisations", f"/organisations/{BUYER}", f"/products/{PRICED}/1.0.0", "/products/hospital-a.stents/1.0.0",
         f"{STENTS}/versions/1.0.0"),
    ),
    "bargaining": Family(
        market_sites.bargaining,
        ("/", "/contracts", "/contracts/d-asked/offer",
         *(f"/contracts/d-{name}" for name in ("asked", "offered", "countered", "accepted", "ruled"))),
    ),
    "bargaining buyer": Family(
        market_sites.bargaining_buyer,
        ("/", "/contracts", *(f"/contracts/d-{name}" for name in ("asked", "offered", "accepted")),
         "/contracts/d-offered/withdraw", f"/products/{BARGAINED}/contract"),
    ),
    "first day": Family(
        market_sites.first_day,
        ("/", "/requests", "/contracts", "/runs", "/queries", "/revenue", "/invoices", "/invoices/due"),
    ),
    "office": Family(
        market_sites.office,
        ("/", f"/organisations/{BUYER}", f"/organisations/{OTHER}", f"/organisations/{BUYER}/{{digest}}/approve"),
    ),
    "buyer": Family(market_sites.buyer, BUYER_PATHS),
    "new buyer": Family(
        market_sites.new_buyer, ("/", "/vetting", "/requests", "/contracts", "/invoices", "/studies")
    ),
    "papers": Family(sites.papers, ("/invoice", "/credit-note", "/statement")),
}  # fmt: skip


@contextmanager
def served(family: str, folder: Path) -> Iterator[Site]:
    """Serve one family until the block ends."""
    yield from FAMILIES[family].serve(folder)
