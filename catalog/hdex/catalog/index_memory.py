"""The Index port in memory: for tests and for an exchange that only shows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hdex.catalog.asked import score, terms
from hdex.catalog.facets import FACETS, facet_values
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import FacetCount, Index, Listing, Page, Place, Query, issued_ms
from hdex.catalog.product import DataProduct
from hdex.catalog.spelling import Names
from hdex.catalog.words import SearchWords, search_words


@dataclass(frozen=True, slots=True)
class _Entry:
    listing: Listing
    words: SearchWords
    facets: Mapping[str, tuple[str, ...]]
    issued_ms: int


class MemoryIndex:
    """Everything in one dict; each search reads all of it."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held."""
        document = product.document()
        listing = Listing(product, envelope)
        entry = _Entry(listing, search_words(document), facet_values(document), issued_ms(product.issued))
        self._entries[product.id] = entry

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands."""
        if entry := self._entries.get(product_id):
            self._entries[product_id] = replace(entry, listing=replace(entry.listing, state=state))

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept."""
        entry = self._entries.get(product_id)
        return entry.listing if entry else None

    def find(self, query: Query) -> Page:
        """Return live listings that hold every term of the text, best first."""
        asked = terms(query.text)
        if query.text.strip() and not asked:
            return Page()  # punctuation only: nothing can hold it
        scored = [(points, entry) for entry in self._live() if (points := score(entry.words, asked))]
        chosen = query.chosen()
        hits = [(_place(points, entry), entry) for points, entry in scored if _fits(entry, chosen)]
        hits.sort(key=lambda hit: hit[0].key())
        facets = {name: _counts(name, chosen, [entry for _, entry in scored]) for name in FACETS}
        later = [hit for hit in hits if query.after is None or hit[0].key() > query.after.key()][query.offset :]
        page = later[: query.limit]
        follows = page[-1][0] if len(later) > len(page) and page else None
        return Page(tuple(entry.listing for _, entry in page), len(hits), facets, follows)

    def names_like(self, word: str) -> Mapping[str, int]:
        """Return names that share a piece with `word`, counted."""
        names = Names()
        for entry in self._live():
            names.add(entry.words.names)
        return names.like(word)

    def _live(self) -> Iterable[_Entry]:
        return [entry for entry in list(self._entries.values()) if entry.listing.state == ProductState.LISTED]


def _place(points: int, entry: _Entry) -> Place:
    return Place(points, entry.issued_ms, entry.listing.product.id)


def _fits(entry: _Entry, chosen: Mapping[str, str], *, without: str = "") -> bool:
    return all(value in entry.facets[name] for name, value in chosen.items() if name != without)


def _counts(facet: str, chosen: Mapping[str, str], entries: list[_Entry]) -> tuple[FacetCount, ...]:
    fitting = (entry for entry in entries if _fits(entry, chosen, without=facet))
    counts = Counter(value for entry in fitting for value in entry.facets[facet])
    return tuple(FacetCount(value, counts[value]) for value in sorted(counts))


_: type[Index] = MemoryIndex
