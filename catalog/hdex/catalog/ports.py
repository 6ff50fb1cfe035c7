"""What the catalogue needs from outside: a place that keeps listings and finds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DataProduct

LIMIT = 100  # hits on one page, at most
LONGEST_TEXT = 200  # characters of a query that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. No `text` means everything, newest first; `mode` is a delivery mode's value."""

    text: str = ""
    lang: str = "en"
    level: int | None = None
    provider: str | None = None
    mode: str | None = None
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """One product as published, with the signed envelope its provider sent, and how it stands."""

    product: DataProduct
    envelope: bytes
    state: ProductState = ProductState.LISTED

    @property
    def withdrawn(self) -> bool:
        """Whether it will not come back."""
        return self.state == ProductState.REVOKED


@dataclass(frozen=True, slots=True)
class FacetCount:
    """One value of a facet and how many hits have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits, the number of all hits, and counts per facet (level, provider, mode).

    A facet's counts heed the text and the other facets, not its own choice: so it shows what choosing another
    value would find.
    """

    hits: tuple[Listing, ...]
    total: int
    facets: Mapping[str, tuple[FacetCount, ...]]


class Index(Protocol):
    """Keeps the newest version of each product. It checks nothing: `index.Catalogue` does, before."""

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held. On return it is durable."""
        ...

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands; only LISTED is found. Durable on return; an unknown id changes nothing."""
        ...

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept, however it stands."""
        ...

    def find(self, query: Query) -> Page:
        """Return live listings in which every word of the text occurs, best first."""
        ...
