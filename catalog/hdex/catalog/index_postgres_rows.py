"""What the PostgreSQL index keeps of each product, made from its document; as JSON, which a statement takes many of."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hdex.catalog.facets import facet_values
from hdex.catalog.index_postgres_text import han_vector, word_vector
from hdex.catalog.listing_bytes import read_document, unharmed
from hdex.catalog.ports import issued_ms
from hdex.catalog.spelling import pieces
from hdex.catalog.words import SearchWords, search_words

Made = tuple[str, str]  # JSON objects: what `row_of` returns with the document's SHA-256, and what `names_of` returns


def row_of(document: Mapping[str, Any], words: SearchWords) -> dict[str, Any]:
    """Return the columns of a product that are made from its document, by name."""
    columns = {
        "id": document["id"],
        "issued_ms": issued_ms(document["issued"]),
        "words": word_vector(words),
        "han": han_vector(words),
    }
    return columns | {f"f_{name}": list(held) for name, held in facet_values(document).items()}


def names_of(document: Mapping[str, Any], words: SearchWords) -> dict[str, Any]:
    """Return the names of a product, each with its pieces."""
    return {"id": document["id"], "names": {name: sorted(pieces(name)) for name in words.names}}


def made(document: bytes) -> Made:
    """Return what is kept of a product. Raises IndexUnreadable."""
    held = read_document(document)
    with unharmed():
        words = search_words(held)
        row = row_of(held, words) | {"digest": hashlib.sha256(document).hexdigest()}
        return json.dumps(row, ensure_ascii=False), json.dumps(names_of(held, words), ensure_ascii=False)
