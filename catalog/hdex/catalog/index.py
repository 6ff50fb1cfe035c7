"""Publish, suspend, withdraw, find: the checks stand here, the keeping behind the Index port."""

import re
import threading
from collections.abc import Mapping
from dataclasses import replace

from hdex.catalog.asked import MOST_TERMS
from hdex.catalog.errors import NotListed, ProductClosed, ProductWithdrawn, VersionConflict
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import LIMIT, LONGEST_TEXT, Index, Listing, Page, Query
from hdex.catalog.product import DataProduct
from hdex.catalog.spelling import nearest
from hdex.catalog.words import fold, han_runs, latin_words

FINAL = (ProductState.REVOKED, ProductState.EXPIRED, ProductState.SUPERSEDED)
FURTHEST = 1_000_000  # hits that may be skipped


class Catalogue:
    """The exchange's catalogue: one live version per product, versions only grow."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._publishing = threading.Lock()  # reading the version held and replacing it is one step
        self._changes = 0

    @property
    def revision(self) -> int:
        """A number that is another one after each change made through this object: what was read before is old then."""
        return self._changes

    def publish(self, document: Mapping[str, object], envelope: bytes) -> DataProduct:
        """List one product version, or raise and list nothing. The same version again changes nothing.

        Raises DocumentInvalid, ProductInvalid, TermsInvalid, VersionConflict. The caller has verified the envelope.
        """
        product = DataProduct.from_document(document)
        with self._publishing:
            held = self._index.get(product.id)
            if held is not None and is_held(product, held):
                return held.product
            self._index.publish(product, envelope)
            self._changes += 1
        return product

    def withdraw(self, product_id: str) -> None:
        """Take a product off the list for good. Raise NotListed where it never stood there; twice is once."""
        with self._publishing:
            self._held(product_id)
            self._index.mark(product_id, ProductState.REVOKED)
            self._changes += 1

    def mark(self, product_id: str, version: str, state: ProductState) -> ProductState:
        """Return how a version stands after its provider's word: a final state stays, an older version changes nothing.

        Raises NotListed where the product never stood here.
        """
        with self._publishing:
            held = self._held(product_id)
            if held.product.version != version or held.state == state or held.state in FINAL:
                return held.state
            self._index.mark(product_id, state)
            self._changes += 1
            return state

    def held(self, product_id: str) -> Listing | None:
        """Return the newest version kept, however it stands; None where the product never stood here."""
        return self._index.get(product_id)

    def get(self, product_id: str) -> Listing:
        """Return the live listing. Raise NotListed, ProductWithdrawn where it was listed once, ProductClosed."""
        held = self._held(product_id)
        if held.withdrawn:
            raise ProductWithdrawn(f"product {product_id!r} version {held.product.version} was withdrawn")
        if held.state != ProductState.LISTED:
            says = f"product {product_id!r} version {held.product.version} is {held.state}"
            raise ProductClosed(says, rule=f"product.{held.state.lower()}", next_step="ask the provider")
        return held

    def _held(self, product_id: str) -> Listing:
        held = self._index.get(product_id)
        if held is None:
            raise NotListed(f"no product {product_id[:80]!r} is listed")
        return held

    def find(self, query: Query) -> Page:
        """Return live listings that match, best first, with the count of each facet.

        Where no product holds one of the words, the nearest name is looked for in its place: `Page.meant` says so.
        """
        limit, offset = min(max(query.limit, 1), LIMIT), min(max(query.offset, 0), FURTHEST)
        asked = replace(query, text=query.text[:LONGEST_TEXT], limit=limit, offset=offset)
        page = self._index.find(asked)
        if page.total or not asked.text.strip():
            return page
        meant = self._meant(asked.text)
        return page if not meant else replace(self._index.find(replace(asked, text=meant)), meant=meant)

    def _meant(self, text: str) -> str:
        """Return the text with each word that no product holds replaced by the nearest name; "" where there is none."""
        meant = fold(text)
        for word in list(dict.fromkeys((*latin_words(text), *han_runs(text))))[:MOST_TERMS]:
            if self._index.find(Query(text=word, limit=1)).total:
                continue
            near = nearest(word, self._index.names_like(word))
            if near is None:
                return ""
            meant = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word), near, meant)
        return "" if meant == fold(text) else meant


def is_held(product: DataProduct, held: Listing) -> bool:
    """Return whether exactly this version stands already. Raise VersionConflict where it may not follow."""
    if product.provider.id != held.product.provider.id:
        raise VersionConflict(f"product {product.id!r} belongs to another provider")
    new, old = product.version_key(), held.product.version_key()
    if new > old:
        return False
    if new < old:
        raise VersionConflict(f"version {product.version} is asked, {held.product.version} is listed already")
    if product.digest() != held.product.digest():
        raise VersionConflict(f"version {product.version} is listed already with another digest")
    if held.withdrawn:
        raise VersionConflict(f"version {product.version} was withdrawn; a new version is asked")
    return True
