"""Publish, withdraw, find: the checks stand here, the keeping behind the Index port."""

import threading
from collections.abc import Mapping
from dataclasses import replace

from hdex.catalog.errors import NotListed, ProductWithdrawn, VersionConflict
from hdex.catalog.ports import LIMIT, LONGEST_TEXT, Index, Listing, Page, Query
from hdex.catalog.product import DataProduct


class Catalogue:
    """The exchange's catalogue: one live version per product, versions only grow."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._publishing = threading.Lock()  # reading the version held and replacing it is one step

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
        return product

    def withdraw(self, product_id: str) -> None:
        """Take a product off the list. Raise NotListed where it never stood there; twice is as good as once."""
        with self._publishing:
            if self._index.get(product_id) is None:
                raise NotListed(f"no product {product_id[:80]!r} is listed")
            self._index.withdraw(product_id)

    def get(self, product_id: str) -> Listing:
        """Return the live listing. Raise NotListed, or ProductWithdrawn where it was listed once."""
        held = self._index.get(product_id)
        if held is None:
            raise NotListed(f"no product {product_id[:80]!r} is listed")
        if held.withdrawn:
            raise ProductWithdrawn(f"product {product_id!r} version {held.product.version} was withdrawn")
        return held

    def find(self, query: Query) -> Page:
        """Return live listings that match, best first, with the count of each facet."""
        limit, offset = min(max(query.limit, 1), LIMIT), max(query.offset, 0)
        return self._index.find(replace(query, text=query.text[:LONGEST_TEXT], limit=limit, offset=offset))


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
