"""A release becomes a product: manifest, preview, terms and price, signed by the node, listed at the exchange."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from hdex.catalog.documents import from_document
from hdex.catalog.errors import PreviewRefused
from hdex.catalog.preview import aggregate_preview, synthetic_preview
from hdex.catalog.product import (
    Column,
    DataProduct,
    DeliveryMode,
    Preview,
    PreviewKind,
    Price,
    Privacy,
    Provider,
    ReleaseFile,
    Role,
    check,
    modes_of,
)
from hdex.catalog.terms import Terms, Text
from hdex.ledger.event import format_time
from hdex.node.consent import band
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.datasets import Datasets, study_columns
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.hospital.releases import Releases
from hdex.node.identity import Identity
from hdex.node.keys import KeyProvider
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder
from hdex.node.signed import canonical, sign
from hdex.node.views import View, load_view

KIND = "manifest"
EPSILON = 1.0
WORKING = (DeliveryMode.SEALED_FILE, DeliveryMode.FEDERATED)  # what this node can do today
LEVEL_3, LEVEL_4, LEVEL_5 = 3, 4, 5
STUDY_ONLY = {"level": 2, "role": Role.OTHER, "action": "remove"}  # a flag of a quasi-identifier, never in a file
METHODS = {  # what was done to a column -> the catalogue's word
    "keep": "kept",
    "generalise": "generalised",
    "coarsen": "generalised",
    "pseudonymise": "pseudonymised",
    "shift": "shifted",
    "redact": "redacted",
    "round": "rounded",
    "remove": "removed",
}
TENS = 10
MINORS = "patients under 14, with a guardian's consent"  # told in the signed manifest, beside what chose the patients
IMPORTANT = "national grade: important"
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hospital says of a product beyond what was measured."""

    title: Text
    description: Text
    provider_name: Text
    terms: Terms
    price: Price
    keywords: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Offer":
        """Return the offer in a JSON document. Raises DocumentInvalid."""
        return from_document(cls, document)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who this hospital is when it signs a manifest."""

    hospital: str
    keys: KeyProvider
    documents: Documents
    clock: Callable[[], datetime]


class Publishing:
    """Signs and lists products. The same release under the same offer is the same manifest."""

    def __init__(
        self, me: Publisher, datasets: Datasets, releases: Releases, products: Products, *,
        exchange: Exchange, recorder: Recorder, facts: ChainFacts, meter: Meter,
    ) -> None:  # fmt: skip
        self._me = me
        self._datasets = datasets
        self._releases = releases
        self._products = products
        self._exchange = exchange
        self._recorder = recorder
        self._facts = facts
        self._meter = meter

    def publish(self, dataset: str, version: str, offer: Offer, *, actor: Identity, say: Say) -> Document:
        """Sign the manifest of a release and list it; return {"product", "version", "digest", "level"}."""
        with self._recorder.refusals("catalogue.publish", actor, product=f"{self._me.hospital}.{dataset}"):
            Borders(self._me.hospital, self._me.documents).require_product(dataset, version)
            product = self._product(dataset, version, offer)
            self._products.require_next(product)
        envelope = sign("manifest", product.document(), self._me.hospital, self._me.keys.secret("sign"))
        for flag in sorted(set(product.inclusion) & {MINORS, IMPORTANT}):
            say("flag", flag)
        say("manifest", f"{product.id} {product.version}, level {product.level}, {', '.join(product.delivery_modes)}")
        digest = product.digest()
        with self._recorder.release(
            "catalogue.publish", actor, product=product.id, version=product.version, result_digest=digest
        ):
            self._products.keep(product, envelope, dataset)
        failpoint("publish.signed")
        self._exchange.publish(envelope)
        self._meter.add("manifests", len(canonical(envelope)))
        self._facts.list_product(bytes.fromhex(digest))
        say("listed", f"manifest {digest[:12]} at the exchange and on the chain")
        return {"product": product.id, "version": product.version, "digest": digest, "level": product.level}

    def _product(self, dataset: str, version: str, offer: Offer) -> DataProduct:
        key = f"{dataset}/{version}"
        try:  # a manifest is made once: its preview holds noise that must not be drawn twice
            product = DataProduct.from_document(self._me.documents.get(KIND, key))
        except NotFound:
            product = self._made(dataset, version, offer)
            check(product)
            self._me.documents.add(KIND, key, product.document())
        if offer_of(product) != offer:
            raise AccessDenied(
                "publish.offer", "make a new version for new terms", "this version is offered under other terms already"
            )
        return product

    def _made(self, dataset: str, version: str, offer: Offer) -> DataProduct:
        release = self._releases.facts(dataset, version)
        view = load_view(str(self._datasets.facts(dataset)["view"]))
        level = int(release["level"])
        allowed = modes_of(level, recipients=offer.terms.recipients)
        told = told_records(int(release["records"]), self._products.told_records(f"{self._me.hospital}.{dataset}"))
        return DataProduct(
            id=f"{self._me.hospital}.{dataset}",
            version=version,
            title=offer.title,
            description=offer.description,
            provider=Provider(self._me.hospital, offer.provider_name),
            level=level,
            delivery_modes=tuple(mode for mode in WORKING if mode in allowed),
            columns=self._columns(dataset, release, view),
            records=told,
            individuals_band=band(told),
            terms=offer.terms,
            price=offer.price,
            privacy=privacy_of(release),
            preview=self._preview(dataset, version, level),
            issued=format_time(self._me.clock()),
            keywords=offer.keywords,
            inclusion=(*view.inclusion, *flags_of(release)),
            release=release_file(release),
        )

    def _columns(self, dataset: str, release: Mapping[str, Any], view: View) -> tuple[Column, ...]:
        """Return the columns of the file, then those that only a study may ask; level 4 is never among them."""
        told = {column["name"]: column for column in release["report"]["columns"]}
        rows, highest = self._datasets.rows(dataset), int(release["level"])
        asked = [name for name in study_columns(rows) if told.get(name, {}).get("role") != Role.DIRECT]
        in_file = release["columns"] if release["bytes"] else []
        listed = [*in_file, *(name for name in asked if name not in in_file)]
        return tuple(column_of(view, name, highest=highest, told=told.get(name, STUDY_ONLY)) for name in listed)

    def _preview(self, dataset: str, version: str, level: int) -> Preview:
        if level == LEVEL_5:
            return Preview(kind=PreviewKind.AGGREGATE)
        frame = self._releases.frame(dataset, version)
        generator = np.random.default_rng()  # from the system's entropy: a seed would let noise be subtracted
        try:
            return synthetic_preview(frame, epsilon=EPSILON, generator=generator)
        except PreviewRefused:
            return aggregate_preview(frame)


def offer_of(product: DataProduct) -> Offer:
    """Return what the hospital said of a product when it was made."""
    said = (product.title, product.description, product.provider.name, product.terms, product.price)
    return Offer(*said, product.keywords)


def flags_of(release: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the manifest tells of a release beside its level; releases of before the flags tell nothing."""
    told = {MINORS: release.get("minor_under_14") is True, IMPORTANT: release.get("national_grade") == "important"}
    return tuple(flag for flag, is_set in told.items() if is_set)


def lowered(level: int) -> int:
    """Return the level of a column after treatment: what identified directly is a pseudonym or a shifted date now."""
    return LEVEL_3 if level == LEVEL_4 else level


def told_records(records: int, before: int | None) -> int:
    """Return the number of records a manifest tells, in tens; a version that differs by fewer tells what the last told.

    The exact difference of two versions would publish the person who withdrew between them.
    """
    if before is not None and abs(records - before) < 2 * TENS:
        return before
    return records // TENS * TENS


def column_of(view: View, name: str, *, highest: int, told: Mapping[str, Any]) -> Column:
    """Return one column of the manifest: what it is after de-identification, and how it became that."""
    declared = view.column(name)
    return Column(
        name=name,
        title=Text(declared.title["en"], declared.title["zh"]),
        datatype=declared.datatype,
        level=min(lowered(int(told["level"])), highest),
        role=Role.OTHER if told["role"] == Role.DIRECT else Role(told["role"]),
        method=METHODS[str(told["action"])],
        unit=declared.unit,
        concept=declared.concept,
    )


def privacy_of(release: Mapping[str, Any]) -> Privacy:
    """Return what was measured on a release, as the manifest tells it."""
    report = release["report"]
    risk, before, after = report["risk_after"], report["attack_before"], report["attack_after"]
    measured: dict[str, Any] = {}
    if risk is not None:
        measured = {
            "k": risk["k"],
            "max_risk": risk["prosecutor_max"],
            "average_risk": risk["prosecutor_avg"],
            "unique_rows": risk["unique_rows"],
            "suppressed": report["suppressed"] / max(1, report["rows_before"]),
            "release_digest": release["sha256"],
        }
    if before and after:
        measured |= {
            "attack_targets": before["targets"],
            "attack_before": before["rate"],
            "attack_after": after["rate"],
            "attack_by_chance": after["by_chance"],
        }
    return Privacy(preset=release["preset"], classification_digest=release["classification_digest"], **measured)


def release_file(release: Mapping[str, Any]) -> ReleaseFile | None:
    """Return the file of a release; None where nothing leaves as a file."""
    size = int(release["bytes"])
    return ReleaseFile(bytes=size, sha256=str(release["sha256"]), chunks=1) if size else None
