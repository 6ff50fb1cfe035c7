"""What the SQLite index keeps of each product, made from its document."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pydantic_core

from hdex.catalog.facets import facet_values
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.listing_bytes import read_document, unharmed
from hdex.catalog.ports import issued_ms
from hdex.catalog.words import SearchWords, search_words


class Row(NamedTuple):
    """What the table `product` holds of one product beside its key, its document and its envelope."""

    id: str
    state: str
    issued_ms: int
    facets: str  # JSON object: facet -> values
    names: str = ""  # as words.SearchWords.names while it is live, a space between two


Made = tuple[tuple[str, int, str, str], Sequence[str]]  # id, time, facets and names; the texts of the words


def row_of(document: dict[str, Any], state: ProductState, words: SearchWords) -> Row:
    """Return the row of a product's document."""
    facets = pydantic_core.to_json(facet_values(document)).decode()
    names = " ".join(words.names) if state == ProductState.LISTED else ""
    return Row(str(document["id"]), state.value, issued_ms(document["issued"]), facets, names)


def texts(words: SearchWords) -> Sequence[str]:
    """Return the words as the columns of the full-text table hold them."""
    fields = (words.title, words.keywords, words.body)
    return [" ".join(tokens) for field in fields for tokens in (field.words, field.stems, field.han)]


def made(document: bytes) -> Made:
    """Return what is kept of a product while it is live. Raises IndexUnreadable."""
    held = read_document(document)
    with unharmed():
        words = search_words(held)
        row = row_of(held, ProductState.LISTED, words)
    return (row.id, row.issued_ms, row.facets, row.names), texts(words)


def standing(made: Made, state: ProductState) -> tuple[Row, Sequence[str] | None]:
    """Return the row of a product that stands so, and the texts of its words while it is live."""
    (id, issued, facets, names), words = made
    live = state == ProductState.LISTED
    return Row(id, state.value, issued, facets, names if live else ""), words if live else None
