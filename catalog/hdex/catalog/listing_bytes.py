"""A listing as an index keeps it: the canonical bytes of a document that was checked when it was published."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pydantic_core

from hdex.catalog.documents import from_document
from hdex.catalog.errors import CatalogError, IndexUnreadable
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Listing
from hdex.catalog.product import DataProduct


def read_document(document: bytes) -> dict[str, Any]:
    """Return a document that this file holds. Raises IndexUnreadable."""
    with unharmed():
        return dict(pydantic_core.from_json(document, cache_strings="all"))


@lru_cache(maxsize=256)  # a product that somebody asks for is asked for again, at every step of its contract
def read_listing(document: bytes, envelope: bytes, state: str) -> Listing:
    """Return a row as it was published. Raises IndexUnreadable."""
    with unharmed():
        return Listing(from_document(DataProduct, read_document(document)), envelope, ProductState(state))


@contextmanager
def unharmed() -> Iterator[None]:
    """Raise IndexUnreadable where a document, that was checked once, is not what it was."""
    try:
        yield
    except (CatalogError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise IndexUnreadable("a listing in the index is damaged") from error
