"""What the catalogue needs from outside: a place that keeps listings and finds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from hdex.catalog.facets import FACETS
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DataProduct

LIMIT = 100  # hits on one page, at most
LONGEST_TEXT = 200  # characters of a query that are looked at


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a hit stands in the order of a query: better score first, then the newer, then by id."""

    score: int
    issued_ms: int  # milliseconds since 1970
    id: str

    def key(self) -> tuple[int, int, str]:
        """Return what sorts hits best first."""
        return -self.score, -self.issued_ms, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. No `text` means everything, newest first; facets not named are not narrowed.

    `after` is where the page before ended; `offset` counts hits from there.
    """

    text: str = ""
    lang: str = "en"
    level: int | None = None
    provider: str | None = None
    mode: str | None = None
    category: str | None = None
    purpose: str | None = None
    price: str | None = None
    plan: str | None = None
    grade: str | None = None
    limit: int = 20
    offset: int = 0
    after: Place | None = None

    def chosen(self) -> dict[str, str]:
        """Return the value asked of each facet that is narrowed."""
        held = {name: getattr(self, name) for name in FACETS}
        return {name: str(value) for name, value in held.items() if value is not None}


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


Facets = Mapping[str, tuple[FacetCount, ...]]
NO_FACETS: Facets = dict.fromkeys(FACETS, ())


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits, the number of all hits, and counts per facet, by value.

    A facet's counts heed the text and the other facets, not its own choice: so it shows what choosing another
    value would find. `follows` is the place of the last hit where more come after it. `meant` is the text that was
    looked for instead, where nothing holds a word of the one asked.
    """

    hits: tuple[Listing, ...] = ()
    total: int = 0
    facets: Facets = field(default_factory=lambda: NO_FACETS)
    follows: Place | None = None
    meant: str = ""


class NameIndex(Protocol):
    """Knows the names under which live products are looked for (`words.SearchWords.names`)."""

    def names_like(self, word: str) -> Mapping[str, int]:
        """Return names that share a piece with a folded word and are about as long (spelling.Names.like), counted."""
        ...


class Index(NameIndex, Protocol):
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
        """Return live listings that hold every term of the text (`asked.terms`), best first (`asked.score`).

        Of equal score the newer stands first, then the lower id.
        """
        ...


def issued_ms(issued: str) -> int:
    """Return an RFC 3339 time as milliseconds since 1970; one without a zone is UTC."""
    moment = datetime.fromisoformat(issued)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
