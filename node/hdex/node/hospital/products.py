"""The versions of products that a hospital has assessed: their manifests, where each stands, what they still serve."""

import json
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from hdex.catalog.errors import NotListed, ProductClosed, VersionConflict
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DataProduct
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound
from hdex.node.signed import Envelope

KIND = "product_version"
FORMER = "product"  # one record a product, of before versions were kept
_S = ProductState
OFFERED = (_S.LISTED, _S.SUSPENDED)  # one version of a product at most
CLOSED = {  # state -> (rule, what then)
    _S.ASSESSED: ("product.assessed", "it is not listed yet"),
    _S.NOTICE: ("product.notice", "wait until its public notice has run"),
    _S.SUSPENDED: ("product.suspended", "ask the provider; it may be resumed"),
    _S.EXPIRED: ("product.expired", "ask for a version with new terms"),
    _S.REVOKED: ("product.withdrawn", "ask the provider"),
    _S.SUPERSEDED: ("product.superseded", "ask for the newest version"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """One version: the signed manifest, the data set it describes, its state, and the papers that led there.

    listed_from: end of its public notice; serves_until: end of the notice for which a superseded version still serves.
    """

    product: DataProduct
    envelope: Envelope
    dataset: str
    state: ProductState
    listed_from: str = ""
    serves_until: str = ""
    history: tuple[Document, ...] = ()

    @property
    def digest(self) -> str:
        """The manifest's digest: what contracts name."""
        return self.product.digest()

    def moved(self, state: ProductState, paper: Document, **changes: str) -> "Held":
        """Return the version in another state, with the paper of the step."""
        return replace(self, state=state, history=(*self.history, paper), **changes)  # type: ignore[arg-type]  # texts

    def document(self) -> Document:
        """Return it as a JSON document."""
        return {
            "envelope": self.envelope,
            "dataset": self.dataset,
            "digest": self.digest,
            "state": self.state.value,
            "listed_from": self.listed_from,
            "serves_until": self.serves_until,
            "history": list(self.history),
        }


class Products:
    """Versions by product id, oldest first. A version is found by the digest that its contracts name."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read: dict[str, tuple[Document, Held]] = {}  # key -> a record as it was found, and what it says
        self._keys_of: dict[str, list[str]] | None = None  # of each product: one process writes them
        self._finding = threading.Lock()
        self._take_over()
        self.changing = threading.RLock()  # a version is read and replaced in one step

    def keep(self, held: Held) -> Held:
        """Remember a version where it stands now."""
        key = f"{held.product.id}/{held.product.version}"
        self._documents.put(KIND, key, held.document())
        with self._finding:
            self._keys_of = None
        return held

    def get(self, product_id: str, version: str) -> Held:
        """Return one version. Raises NotFound."""
        return self._record(f"{product_id}/{version}")[1]

    def versions(self, product_id: str) -> list[Held]:
        """Return every version of a product, oldest first."""
        found = [self._record(key)[1] for key in self._keys(product_id)]
        return sorted(found, key=lambda held: held.product.version_key())

    def require_next(self, product: DataProduct) -> None:
        """Raise VersionConflict where a newer version was listed: versions only grow, here as on the list."""
        listed = [held.product for held in self.versions(product.id) if held.state != _S.ASSESSED]
        if listed and product.version_key() < listed[-1].version_key():
            raise VersionConflict(f"version {product.version} is asked, {listed[-1].version} is offered already")

    def live(self, product_id: str, manifest_digest: str) -> DataProduct:
        """Return the product a new contract names. Raises NotListed, ProductClosed unless it is listed now."""
        held = self._named(product_id, manifest_digest)
        if held.state != _S.LISTED:
            raise closed(held)
        return held.product

    def serving(self, product_id: str, manifest_digest: str, at: datetime) -> Held:
        """Return the version that a contract was made for, while it serves. Raises NotListed, ProductClosed.

        A superseded version serves until its notice has run: a newer one does not end older contracts at once. An
        expired one serves too: its agreements name their own end, not after that of the terms.
        """
        held = self._named(product_id, manifest_digest)
        in_notice = held.state == _S.SUPERSEDED and bool(held.serves_until)
        if held.state in (_S.LISTED, _S.EXPIRED) or (in_notice and at < datetime.fromisoformat(held.serves_until)):
            return held
        raise closed(held)

    def told_records(self, product_id: str) -> int | None:
        """Return how many records the last manifest of a product told; None before the first."""
        listed = [held for held in self.versions(product_id) if held.state != _S.ASSESSED]
        return listed[-1].product.records if listed else None

    def dataset(self, product_id: str) -> str:
        """Return the data set a product was made from. Raises NotListed."""
        versions = self.versions(product_id)
        if not versions:
            raise NotListed(f"no product {product_id[:80]!r} is offered here")
        return versions[-1].dataset

    def all(self) -> list[DataProduct]:
        """Return every product that is offered now."""
        return [held.product for held in self.every() if held.state == _S.LISTED]

    def every(self) -> list[Held]:
        """Return every version, in the order they were first kept."""
        return [held_of(document) for document in self._documents.all(KIND)]

    def _keys(self, product_id: str) -> list[str]:
        with self._finding:
            if self._keys_of is None:
                self._keys_of = {}
                for key in self._documents.keys(KIND):
                    self._keys_of.setdefault(key.rpartition("/")[0], []).append(key)
            return self._keys_of.get(product_id, [])

    def _record(self, key: str) -> tuple[Document, Held]:
        """Return a record with what it says: read anew when it is another than it was. Raises NotFound."""
        record = self._documents.get(KIND, key)
        found = self._read.get(key)
        if found is None or found[0] != record:
            found = self._read[key] = record, held_of(record)
        return found

    def _named(self, product_id: str, manifest_digest: str) -> Held:
        for key in self._keys(product_id):  # by the digest kept beside it: reading each manifest would cost more
            record, held = self._record(key)
            if record["digest"] == manifest_digest:
                return held
        raise NotListed(f"{product_id[:80]} is not offered in the version asked for")

    def _take_over(self) -> None:
        """Keep the records of before versions in today's form; what was live is listed."""
        for key in self._documents.keys(FORMER):
            record = self._documents.get(FORMER, key)
            state = _S.LISTED if record["live"] else _S.REVOKED
            self.keep(held_of({**record, "state": state.value, "history": []}))
            self._documents.remove(FORMER, [key])


@lru_cache(maxsize=64)
def _parsed(text: str) -> DataProduct:
    """Return the product in a manifest: it is asked for at every round and every range, and nobody changes it."""
    return DataProduct.from_document(json.loads(text))


def held_of(record: Document) -> Held:
    """Return a version from its document. Raises NotListed where its manifest cannot be read."""
    envelope = record["envelope"]
    if not isinstance(envelope, dict):
        raise NotListed("the product's manifest cannot be read")
    return Held(
        _parsed(json.dumps(envelope["document"], sort_keys=True)),
        envelope,
        str(record["dataset"]),
        ProductState(record["state"]),
        listed_from=str(record.get("listed_from", "")),
        serves_until=str(record.get("serves_until", "")),
        history=tuple(record["history"]),
    )


def newest(versions: list[Held], *states: ProductState) -> Held:
    """Return the newest version in one of these states. Raises NotFound."""
    for held in reversed(versions):
        if held.state in states:
            return held
    raise NotFound(f"no version is {' or '.join(states)}")


def closed(held: Held) -> ProductClosed:
    """Return why a version is not open now."""
    rule, next_step = CLOSED[held.state]
    if held.history and (reason := str(held.history[-1]["document"]["reason"])):
        next_step = f"{next_step}; the provider says: {reason}"
    says = f"{held.product.id} {held.product.version} is {held.state}"
    return ProductClosed(says, rule=rule, next_step=next_step)
