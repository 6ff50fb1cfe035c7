"""The products a hospital has published, by the manifest it signed."""

from hdex.catalog.errors import NotListed, VersionConflict
from hdex.catalog.product import DataProduct
from hdex.node.documents import Documents
from hdex.node.errors import NotFound
from hdex.node.signed import Envelope

KIND = "product"


class Products:
    """Manifests by product id: the newest version is live unless it was withdrawn."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def keep(self, product: DataProduct, envelope: Envelope, dataset: str) -> None:
        """Remember a signed manifest and the data set it describes."""
        record: dict[str, object] = {"envelope": envelope, "dataset": dataset, "digest": product.digest(), "live": True}
        self._documents.put(KIND, product.id, record)

    def require_next(self, product: DataProduct) -> None:
        """Raise VersionConflict where a newer version is kept: versions only grow, here as on the list."""
        try:
            held = product_of(self._documents.get(KIND, product.id))
        except NotFound:
            return
        if product.version_key() < held.version_key():
            raise VersionConflict(f"version {product.version} is asked, {held.version} is offered already")

    def live(self, product_id: str, manifest_digest: str) -> DataProduct:
        """Return the product a request names; raise NotListed when that version is not offered now."""
        record = self._record(product_id)
        if not record["live"] or record["digest"] != manifest_digest:
            raise NotListed(f"{product_id} is not offered in the version asked for")
        return product_of(record)

    def told_records(self, product_id: str) -> int | None:
        """Return how many records the last manifest of a product told; None before the first."""
        try:
            return product_of(self._documents.get(KIND, product_id)).records
        except NotFound:
            return None

    def dataset(self, product_id: str) -> str:
        """Return the data set a product was made from."""
        return str(self._record(product_id)["dataset"])

    def all(self) -> list[DataProduct]:
        """Return every product that is offered now."""
        return [product_of(record) for record in self._documents.all(KIND) if record["live"]]

    def _record(self, product_id: str) -> dict[str, object]:
        try:
            return self._documents.get(KIND, product_id)
        except NotFound:
            raise NotListed(f"no product {product_id[:80]!r} is offered here") from None


def product_of(record: dict[str, object]) -> DataProduct:
    envelope = record["envelope"]
    if not isinstance(envelope, dict):
        raise NotListed("the product's manifest cannot be read")
    return DataProduct.from_document(envelope["document"])
