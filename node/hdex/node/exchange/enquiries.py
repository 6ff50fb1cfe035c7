"""What may be asked about a listed product before any contract: another form of it, what its terms say, its price,
how many individuals fit."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from hdex.catalog.cohort_answer import cohort_document
from hdex.catalog.documents import Json
from hdex.catalog.duo import Precheck, precheck
from hdex.catalog.price import PricePlan
from hdex.catalog.quote import Amounts, Order, Quote, quote
from hdex.catalog.renderings import FORMS, render
from hdex.ledger.event import format_time
from hdex.node.errors import RequestInvalid
from hdex.node.exchange.listings import Listings
from hdex.node.identity import Identity

LANGUAGES = ("en", "zh")


class Enquiries:
    """Answers from the manifest alone. A member's question is remembered as a reading of the product; a visitor's,
    who has no certificate, is the public catalogue's."""

    def __init__(self, listings: Listings, clock: Callable[[], datetime], base: str) -> None:
        """base: the exchange's public address, for links in JSON-LD."""
        self._listings = listings
        self._clock = clock
        self._base = base

    def render(self, product_id: str, form: str, lang: str, actor: Identity | None) -> tuple[bytes, str]:
        """Return a product in another form, and its media type. Raises RequestInvalid for an unknown form."""
        if form not in FORMS:
            raise RequestInvalid(f"form {form[:40]!r} is asked; there are {', '.join(FORMS)}")
        if lang not in LANGUAGES:
            raise RequestInvalid(f"lang is one of {', '.join(LANGUAGES)}")
        product = self._listings.show(product_id, actor).product
        return render(product, form, base=self._base, lang=lang), FORMS[form]

    def precheck(self, product_id: str, access: Mapping[str, object], actor: Identity | None) -> Precheck:
        """Return what the terms say to an access request, now: our clock counts, not the applicant's."""
        product = self._listings.show(product_id, actor).product
        return precheck(product.terms, access, at=format_time(self._clock()))

    def quote(
        self, product_id: str, plan: str, columns: tuple[str, ...], amounts: Amounts, actor: Identity | None
    ) -> Quote:
        """Return what an order would cost. Raises RequestInvalid, PriceInvalid."""
        if plan and plan not in set(PricePlan):
            raise RequestInvalid(f"a plan is one of {', '.join(PricePlan)}")
        product = self._listings.show(product_id, actor).product
        return quote(product, Order(plan=PricePlan(plan) if plan else None, columns=columns), amounts)

    def cohort(self, product_id: str, where: Sequence[str], actor: Identity | None) -> Json:
        """Return how many individuals fit, as a band. Raises NoCohort, CohortInvalid."""
        return cohort_document(self._listings.show(product_id, actor).product, where)
