"""A release becomes a product: manifest, preview, terms and price, assessed by two people, listed at the exchange."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hdex.catalog.cohort import CohortRecipe
from hdex.catalog.documents import from_document
from hdex.catalog.lifecycle import Arrow, Evidence, ProductState
from hdex.catalog.limits import Limits
from hdex.catalog.metadata import Agent, Ethics, Health, Notice, Provenance, PublisherFacts
from hdex.catalog.price import Price
from hdex.catalog.product import (
    Column,
    DataProduct,
    DeliveryMode,
    Preview,
    Privacy,
    Provider,
    ReleaseFile,
    Role,
    check,
    modes_of,
)
from hdex.catalog.quota import Quota
from hdex.catalog.revenue import Revenue
from hdex.catalog.terms import Terms, Text
from hdex.ledger.event import format_time
from hdex.node.consent import band
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.hospital.assessments import Assessments, document_of
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.cohorts import cohort_of, cohort_seed, require_apart, told_before
from hdex.node.hospital.datasets import PATIENT, Datasets, study_columns
from hdex.node.hospital.fingerprints import with_steps
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.previews import drawn_before, preview_of
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.quality_report import Measured, listed, quality_report
from hdex.node.hospital.releases import Releases
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import canonical
from hdex.node.views import View, load_view

KIND = "manifest"
WORKING = tuple(DeliveryMode)  # what this node can do: every mode that the level permits
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
NEW_TERMS = (
    "new terms need a new version: hdex node deidentify, after a new export or with another preset, purpose or "
    "recipient class"
)
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
    ethics: Ethics | None = None
    notice: Notice | None = None
    publisher: PublisherFacts | None = None
    access_body: Agent | None = None
    health: Health | None = None
    plans: tuple[Price, ...] | None = None
    consent_basis: str | None = None
    max_deliveries: int | None = None
    max_licences: int | None = None
    quota: Quota | None = None
    limits: Limits | None = None
    revenue: Revenue | None = None
    fingerprint: tuple[str, ...] | None = None  # columns whose last digit differs by buyer
    cohort: CohortRecipe | None = None  # counts that everybody is told before a contract

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Offer":
        """Return the offer in a JSON document. Raises DocumentInvalid."""
        return from_document(cls, document)


SAID = (  # fields that an offer and a product share by name
    *("title", "description", "terms", "price", "keywords", "notice", "publisher", "access_body", "health", "plans"),
    *("max_deliveries", "max_licences", "quota", "limits", "revenue"),
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a version goes: the products, what moves them, and who has signed."""

    products: Products
    lifecycle: Lifecycle
    assessments: Assessments


class Publishing:
    """Makes manifests and lists them. The same release under the same offer is the same manifest."""

    def __init__(
        self, me: Publisher, datasets: Datasets, releases: Releases, shelf: Shelf, *,
        exchange: Exchange, recorder: Recorder, facts: ChainFacts, meter: Meter,
    ) -> None:  # fmt: skip
        self._me = me
        self._datasets = datasets
        self._releases = releases
        self._products = shelf.products
        self._lifecycle = shelf.lifecycle
        self._assessments = shelf.assessments
        self._exchange = exchange
        self._recorder = recorder
        self._facts = facts
        self._meter = meter

    def assess(self, dataset: str, version: str, offer: Offer, *, actor: Identity, say: Say) -> Document:
        """Make the draft of a manifest and return it with the assessment that two people sign: nothing is listed."""
        with self._recorder.refusals("product.review", actor, product=f"{self._me.hospital}.{dataset}"):
            draft, release = self._draft(dataset, version, offer)
            require_apart(dataset, draft, self._products.every(), self._patients)
            self._assessments.require_signable(draft, release)
        about = Facts(product=draft.id, version=draft.version, result_digest=draft.draft_digest())
        if draft.preview.epsilon is not None:
            about["epsilon"] = draft.preview.epsilon
        self._recorder.allow("product.review", actor, **about)
        found = draft.quality_report.grade if draft.quality_report else None
        say("assess", f"{draft.id} {draft.version}, level {draft.level}, hdex grade {found or 'not measured'}")
        signed = sorted(self._assessments.signers(draft.id, draft.version))
        return {"assessment": document_of(draft, release), "product": draft.document(), "signed_by": signed}

    def publish(self, dataset: str, version: str, offer: Offer, *, actor: Identity, say: Say) -> Document:
        """List a version that two people have signed; return {"product", "version", "digest", "level", "state"}.

        Where a public notice is promised, the first call begins it and a call after its end lists the version.
        """
        with self._recorder.refusals("catalogue.publish", actor, product=f"{self._me.hospital}.{dataset}"):
            draft, release = self._draft(dataset, version, offer)
            held = self._assessments.require(dataset, draft, release, actor=actor)
            self._lifecycle.expire(actor=actor)
            with self._products.changing:
                require_apart(dataset, draft, self._products.every(), self._patients)
                held = self._listed(self._products.get(draft.id, draft.version), actor)
        product = held.product
        for flag in sorted(set(product.inclusion) & {MINORS, IMPORTANT}):
            say("flag", flag)
        say("manifest", f"{product.id} {product.version}, level {product.level}, {', '.join(product.delivery_modes)}")
        failpoint("publish.signed")
        self._tell(held, say)
        told = {"product": product.id, "version": product.version, "digest": held.digest, "level": product.level}
        return told | {"state": held.state.value, "listed_from": held.listed_from}

    def _patients(self, dataset: str) -> set[str]:
        return set(self._datasets.rows(dataset)[PATIENT].to_list())

    def _listed(self, held: Held, actor: Identity) -> Held:
        """Return the version after the step that its notice allows now; a listed one stays as it is."""
        now, days = self._me.clock(), (held.product.notice or Notice()).listing_days
        if held.state == ProductState.LISTED:
            return held
        if held.state == ProductState.ASSESSED and days:
            until = format_time(now + timedelta(days=days))
            return self._lifecycle.move(held, Arrow.ANNOUNCE, Evidence(at=now), actor=actor, listed_from=until)
        held = self._lifecycle.move(held, Arrow.LIST, Evidence(at=now), actor=actor)
        self._lifecycle.supersede(held, actor=actor)
        return held

    def _tell(self, held: Held, say: Say) -> None:
        if held.state == ProductState.NOTICE:
            self._lifecycle.tell(held)
            say("notice", f"public notice until {held.listed_from}; publish it again then")
            return
        self._exchange.publish(held.envelope)
        self._meter.add("manifests", len(canonical(held.envelope)))
        self._facts.list_product(bytes.fromhex(held.digest))
        say("listed", f"manifest {held.digest[:12]} at the exchange and on the chain")

    def _draft(self, dataset: str, version: str, offer: Offer) -> tuple[DataProduct, Mapping[str, Any]]:
        """Return the draft of a version and the release it describes. Raises AccessDenied, VersionConflict."""
        Borders(self._me.hospital, self._me.documents).require_product(dataset, version)
        draft = self._product(dataset, version, offer)
        self._products.require_next(draft)
        return draft, self._releases.facts(dataset, version)

    def _product(self, dataset: str, version: str, offer: Offer) -> DataProduct:
        key = f"{dataset}/{version}"
        try:  # a manifest is made once: its preview holds noise that must not be drawn twice
            product = DataProduct.from_document(self._me.documents.get(KIND, key))
        except NotFound:
            product = self._made(dataset, version, offer)
            check(product)
            self._me.documents.add(KIND, key, product.document())
        if offer_of(product) == in_order(offer, product):
            return product
        if self._assessments.signers(product.id, version):
            raise AccessDenied("publish.offer", NEW_TERMS, "this version is offered under other terms already")
        product = replace(self._made(dataset, version, offer), preview=product.preview)  # the noise stays the same
        check(product)
        self._me.documents.put(KIND, key, product.document())
        return product

    def _made(self, dataset: str, version: str, offer: Offer) -> DataProduct:
        release, ingest = self._releases.facts(dataset, version), self._datasets.facts(dataset)
        view, level, now = load_view(str(ingest["view"])), int(release["level"]), self._me.clock()
        product_id = f"{self._me.hospital}.{dataset}"
        frame = None if level == LEVEL_5 else self._releases.frame(dataset, version)
        told = told_records(int(release["records"]), self._products.told_records(product_id))
        versions = self._products.versions(product_id)
        before, preview = [held.product.version for held in versions], preview_of(frame, self._drawn(product_id))
        columns = listed(self._columns(dataset, release, view), frame)
        columns = with_steps(columns, offer.fingerprint or (), frame)
        report = quality_report(
            Measured(frame, columns, ingest, release),
            on=now.date(),
            band=band(told),
            temporal=None,
            supersedes=before[-1] if before else None,
        )
        allowed = modes_of(level, recipients=offer.terms.recipients)
        return DataProduct(
            id=product_id,
            version=version,
            provider=Provider(self._me.hospital, offer.provider_name),
            level=level,
            delivery_modes=tuple(mode for mode in WORKING if mode in allowed),
            columns=columns,
            records=told,
            individuals_band=band(told),
            privacy=replace(privacy_of(release), ethics=offer.ethics, consent_basis=offer.consent_basis),
            preview=preview,
            cohort=cohort_of(
                offer.cohort,
                frame,
                columns,
                preview=preview,
                before=told_before(versions, version),
                seed=cohort_seed(self._me.keys, product_id, version, offer.cohort),
            ),
            issued=format_time(now),
            inclusion=(*view.inclusion, *flags_of(release)),
            release=release_file(release),
            quality=report.figures(),
            quality_report=report,
            provenance=self._provenance(ingest, release, before),
            **{name: getattr(offer, name) for name in SAID},
        )

    def _provenance(self, ingest: Mapping[str, Any], release: Mapping[str, Any], before: list[str]) -> Provenance:
        return Provenance(
            snapshot_digest=str(ingest["export_digest"]),
            recipe_digest=str(release["inputs"]),
            output_digest=str(release["sha256"]),
            ledger=self._recorder.origin,
            supersedes=before[-1] if before else None,
        )

    def _drawn(self, product_id: str) -> list[Preview]:
        return drawn_before(self._me.documents.all(KIND), product_id)

    def _columns(self, dataset: str, release: Mapping[str, Any], view: View) -> tuple[Column, ...]:
        """Return the columns of the file, then those that only a study may ask; level 4 is never among them."""
        told = {column["name"]: column for column in release["report"]["columns"]}
        rows, highest = self._datasets.rows(dataset), int(release["level"])
        asked = [name for name in study_columns(rows) if told.get(name, {}).get("role") != Role.DIRECT]
        in_file = release["columns"] if release["bytes"] else []
        listed = [*in_file, *(name for name in asked if name not in in_file)]
        return tuple(column_of(view, name, highest=highest, told=told.get(name, STUDY_ONLY)) for name in listed)


def offer_of(product: DataProduct) -> Offer:
    """Return what the hospital said of a product when it was made."""
    said = {name: getattr(product, name) for name in SAID}
    privacy = product.privacy
    return Offer(
        provider_name=product.provider.name,
        ethics=privacy.ethics,
        consent_basis=privacy.consent_basis,
        fingerprint=tuple(column.name for column in product.columns if column.fingerprint_step) or None,
        cohort=product.cohort.recipe() if product.cohort else None,
        **said,
    )


def in_order(offer: Offer, product: DataProduct) -> Offer:
    """Return an offer with the columns of its fingerprint in the order of the product's."""
    named = tuple(column.name for column in product.columns if column.name in (offer.fingerprint or ()))
    return replace(offer, fingerprint=named or None)


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
            "l_diversity": risk["l"],
            "t_closeness": risk["t"],
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
    digests = {"classification_digest": release["classification_digest"], "recipe_digest": release.get("inputs")}
    return Privacy(preset=release["preset"], **digests, **measured)


def release_file(release: Mapping[str, Any]) -> ReleaseFile | None:
    """Return the file of a release; None where nothing leaves as a file."""
    size = int(release["bytes"])
    return ReleaseFile(bytes=size, sha256=str(release["sha256"]), chunks=1) if size else None
