"""Products on the exchange: published by their provider only, found by every member."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Protocol

from hdex.catalog.errors import NotListed
from hdex.catalog.index import Catalogue
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.organisation import is_plain
from hdex.catalog.ports import Listing, Page, Query
from hdex.catalog.product import DataProduct
from hdex.ledger.document import load
from hdex.ledger.log import Receipt
from hdex.node.directory import Directory
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.exchange.histories import History
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, verify

MAX_DEPTH = 32  # a manifest with its preview has nine levels
TOLD: dict[str, tuple[str, str]] = {  # where a step leads -> what is remembered of it here
    "NOTICE": ("product", "announce"),
    "LISTED": ("product", "resume"),
    "SUSPENDED": ("product", "suspend"),
    "EXPIRED": ("product", "expire"),
    "REVOKED": ("catalogue", "withdraw"),
}


class Listed(Protocol):
    """Who wants to know of products that are listed."""

    def expect(self, product_id: str) -> None:
        """Note that a product is about to be listed. Durable on return."""
        ...

    def listed(self, product_id: str) -> None:
        """Hear that it is, or that it failed."""
        ...


class Listings:
    """The catalogue behind identity and log."""

    def __init__(
        self, catalogue: Catalogue, directory: Directory, recorder: Recorder, *,
        listed: Listed | None = None, history: History | None = None,
    ) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._directory = directory
        self._recorder = recorder
        self._listed = listed
        self._history = history

    def publish(self, envelope: Envelope, actor: Identity) -> str:
        """List a signed manifest and return its digest, or raise and list nothing."""
        with self._recorder.refusals("catalogue.publish", actor):
            provider = self._directory.require(actor.participant, "hospital")
            manifest = verify("manifest", envelope, {provider.id: provider.sign_key})
            product = DataProduct.from_document(manifest)
            if product.provider.id != provider.id:
                raise AccessDenied(
                    "publish.foreign", "publish under your own id", "the manifest names another provider"
                )
            self._require_own_id(product)
            require_shown_as_written(manifest)
            listed = self._recorder.release("catalogue.publish", actor, product=product.id, version=product.version)
            with listed as receipt, self._telling(product.id):
                self._catalogue.publish(manifest, json.dumps(envelope, ensure_ascii=False).encode())
            self._keep(product.id, product.version, ("catalogue.publish", ProductState.LISTED.value), receipt)
            return product.digest()

    def _require_own_id(self, product: DataProduct) -> None:
        """Raise AccessDenied for an id under another member's name: its first version would keep that member out."""
        owner = product.id.partition(".")[0]
        if owner != product.provider.id and any(member.id == owner for member in self._directory.members):
            raise AccessDenied(
                "publish.foreign", "publish under your own id", "the product's id begins with another member's"
            )

    def withdraw(self, envelope: Envelope, actor: Identity) -> None:
        """Take a product off the list at the signed word of its provider."""
        with self._recorder.refusals("catalogue.withdraw", actor):
            provider = self._directory.require(actor.participant, "hospital")
            notice = verify("withdrawal", envelope, {provider.id: provider.sign_key})
            listing = self._catalogue.get(str(notice.get("product", "")))
            if listing.product.provider.id != provider.id:
                raise AccessDenied("withdraw.foreign", "ask the provider", "the product has another provider")
            product = listing.product
            with self._recorder.release("catalogue.withdraw", actor, product=product.id) as receipt:
                self._catalogue.withdraw(product.id)
            self._keep(product.id, product.version, ("catalogue.withdraw", ProductState.REVOKED.value), receipt)

    def amend(self, envelope: Envelope, actor: Identity) -> str:
        """Keep a step of a product's life, at the signed word of its provider; return how it stands here now.

        A public notice, or the end of a version that was in notice, changes no listing: it is remembered.
        """
        with self._recorder.refusals("catalogue.withdraw", actor):
            provider = self._directory.require(actor.participant, "hospital")
            said = verify("lifecycle", envelope, {provider.id: provider.sign_key})
            product, version, to = (str(said.get(name, "")) for name in ("product", "version", "to"))
            if to not in TOLD:
                raise RequestInvalid(f"a step to one of {', '.join(TOLD)} is told")
            subject, verb = TOLD[to]
            held = self._catalogue.held(product)
            if held is not None and held.product.provider.id != provider.id:
                raise AccessDenied("withdraw.foreign", "ask the provider", "the product has another provider")
            with self._recorder.release(
                f"{subject}.{verb}", actor, product=product, version=version, policy_digest=digest(said)
            ) as receipt:
                stands = to
                if held is not None and to != ProductState.NOTICE:
                    with self._telling(product):
                        stands = self._catalogue.mark(product, version, ProductState(to)).value
            if held is not None:  # what was never listed has no page
                self._keep(product, version, (f"{subject}.{verb}", to), receipt)
            return stands

    def _keep(self, product: str, version: str, step: tuple[str, str], receipt: Receipt) -> None:
        if self._history is not None:
            self._history.add(product, version, step, receipt)

    @contextmanager
    def _telling(self, product_id: str) -> Iterator[None]:
        """Note that a product is about to be listed, so that saved searches learn of it whatever happens then."""
        if self._listed is not None:
            self._listed.expect(product_id)
        try:
            yield
        finally:
            if self._listed is not None:
                self._listed.listed(product_id)

    def find(self, query: Query, actor: Identity | None) -> Page:
        """Return one page of listings. actor: None for a visitor of the public catalogue, of whom nothing is kept."""
        page = self._catalogue.find(query)
        if actor is not None:
            self._recorder.allow("catalogue.read", actor, rows=len(page.hits))
        return page

    def show(self, product_id: str, actor: Identity | None) -> Listing:
        """Return one live listing. actor: as `find` takes it."""
        listing = self._catalogue.get(product_id)
        if actor is not None:
            self._recorder.allow("catalogue.read", actor, product=product_id, version=listing.product.version)
        return listing

    def live(self, product_id: str, manifest_digest: str) -> Listing:
        """Return the listing a request names; raise NotListed when it is not the version that is live."""
        listing = self._catalogue.get(product_id)
        if manifest_digest_of(listing.envelope) != manifest_digest:
            raise NotListed(f"another version of {product_id} is listed than the one asked for")
        return listing


def require_shown_as_written(manifest: object) -> None:
    """Raise RequestInvalid where any text of a manifest holds what a page would not show, or would show turned round.

    Pages, sheets, terminals and tables all tell a manifest's texts: it is refused here, for all of them.
    """
    parts = [manifest]
    while parts:
        part = parts.pop()
        if isinstance(part, Mapping):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, str) and not is_plain(part):
            raise RequestInvalid("a text of the manifest holds control characters, or marks that turn its direction")


@lru_cache(maxsize=256)  # every request for a contract names it
def manifest_digest_of(envelope: bytes) -> str:
    """Return the digest of the product in a manifest that was verified when it was listed."""
    kept = load(envelope, max_depth=MAX_DEPTH)
    document = kept.get("document") if isinstance(kept, dict) else None
    if not isinstance(document, dict):
        raise NotListed("the listing holds no manifest")
    return DataProduct.from_document(document).digest()
