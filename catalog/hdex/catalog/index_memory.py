"""The Index port in memory: for tests and for an exchange that only shows."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import FacetCount, Index, Listing, Page, Query
from hdex.catalog.product import DataProduct
from hdex.catalog.words import SearchWords, asked_pairs, latin_words, search_words

FACETS: dict[str, Callable[[DataProduct], tuple[str, ...]]] = {
    "level": lambda product: (str(product.level),),
    "provider": lambda product: (product.provider.id,),
    "mode": lambda product: tuple(mode.value for mode in product.delivery_modes),
}
TITLE_WEIGHT = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    listing: Listing
    words: SearchWords


class MemoryIndex:
    """Everything in one dict; each search reads all of it."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held."""
        self._entries[product.id] = _Entry(Listing(product, envelope), search_words(product))

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands."""
        if entry := self._entries.get(product_id):
            self._entries[product_id] = replace(entry, listing=replace(entry.listing, state=state))

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept."""
        entry = self._entries.get(product_id)
        return entry.listing if entry else None

    def find(self, query: Query) -> Page:
        """Return live listings in which every word of the text occurs, best first."""
        live = [entry for entry in list(self._entries.values()) if entry.listing.state == ProductState.LISTED]
        scored = [(score, entry.listing) for entry in live if (score := _score(entry.words, query.text)) > 0]
        hits = [(score, listing) for score, listing in scored if _fits(listing.product, query)]
        hits.sort(key=lambda hit: hit[1].product.id)
        hits.sort(key=lambda hit: hit[1].product.issued, reverse=True)
        hits.sort(key=lambda hit: hit[0], reverse=True)
        facets = {name: _counts(name, query, [listing.product for _, listing in scored]) for name in FACETS}
        page = hits[query.offset : query.offset + query.limit]
        return Page(tuple(listing for _, listing in page), len(hits), facets)


def _score(words: SearchWords, text: str) -> float:
    """Return 0 where a word is missing; a word of the title counts more than one of the body."""
    latin = [(words.title, words.body, asked) for asked in latin_words(text)]
    pairs = [(words.han_title, words.han_body, asked) for asked in asked_pairs(text)]
    scores = [_weigh(*asked) for asked in (*latin, *pairs)]
    if not scores:
        return 0 if text.strip() else 1
    return sum(scores) if all(scores) else 0


def _weigh(title: tuple[str, ...], body: tuple[str, ...], asked: str) -> float:
    return TITLE_WEIGHT * _starts(title, asked) + _starts(body, asked) / (1 + len(body))


def _starts(words: tuple[str, ...], asked: str) -> int:
    return sum(word.startswith(asked) for word in words)


def _fits(product: DataProduct, query: Query, *, without: str = "") -> bool:
    chosen = {"level": query.level, "provider": query.provider, "mode": query.mode}
    asked = ((name, str(value)) for name, value in chosen.items() if value is not None and name != without)
    return all(value in FACETS[name](product) for name, value in asked)


def _counts(facet: str, query: Query, products: list[DataProduct]) -> tuple[FacetCount, ...]:
    fitting = (product for product in products if _fits(product, query, without=facet))
    counts = Counter(value for product in fitting for value in FACETS[facet](product))
    return tuple(FacetCount(value, counts[value]) for value in sorted(counts))


_: type[Index] = MemoryIndex
