"""The catalogue: what exists and under which terms. It never sees a row.

Adapters (index_sqlite, index_memory) and pages (web.app) are imported where they are chosen.
"""

from hdex.catalog.contract import Agreement, Message, Negotiation, Party, State, agreement_digest, step
from hdex.catalog.index import Catalogue
from hdex.catalog.ports import Index, Listing, Page, Query
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import AccessRequest, Outcome, Terms, TermsDecision, decide

__all__ = [
    "AccessRequest",
    "Agreement",
    "Catalogue",
    "DataProduct",
    "DeliveryMode",
    "Index",
    "Listing",
    "Message",
    "Negotiation",
    "Outcome",
    "Page",
    "Party",
    "Query",
    "State",
    "Terms",
    "TermsDecision",
    "agreement_digest",
    "decide",
    "step",
]
