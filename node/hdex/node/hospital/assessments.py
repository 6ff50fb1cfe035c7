"""The assessment of a version before it is offered: one document, read and signed by two people.

It names the draft of the manifest by its digest, so what is signed is what will be listed. The steward who prepared the
version signs first, the privacy officer second, with another key; a signature over other words counts for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hdex.catalog.lifecycle import PRODUCT, TWO_PEOPLE, Arrow, Evidence, ProductState
from hdex.catalog.metadata import Review
from hdex.catalog.product import DataProduct
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound
from hdex.node.hospital.lifecycle import Lifecycle, Publisher
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.staff import OFFICER, STEWARD, Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, sign

KIND, PAPER, DRAFT = "assessment", "product_assessment", "manifest"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where assessments are kept, and who may sign them."""

    me: Publisher
    staff: Staff
    products: Products
    lifecycle: Lifecycle

    @property
    def documents(self) -> Documents:
        return self.me.documents


class Assessments:
    """Keeps signatures; with the second one the version is assessed."""

    def __init__(self, bench: Bench, recorder: Recorder) -> None:
        self._bench = bench
        self._recorder = recorder

    def sign(self, dataset: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Keep one person's signature. Raises AccessDenied, SignatureInvalid, GuardUnmet."""
        said = envelope["document"]
        product, version = str(said.get("product", "")), str(said.get("version", ""))
        with self._recorder.refusals("product.review", actor, product=product, version=version):
            paper = self._verified(envelope, actor.role)
            draft, release = self._draft(dataset, version), self._release(dataset, version)
            if paper != document_of(draft, release):
                raise AccessDenied("product.other", "read the assessment again", "this is not the version's assessment")
            kept = self._kept(product, version)
            if actor.role == OFFICER and STEWARD not in kept:
                raise AccessDenied("product.four_eyes", f"the {STEWARD} signs first", "nobody has signed it before")
            (entry,) = (one for one in envelope["signatures"] if one["signer"] == self._bench.staff.signer(actor.role))
            with self._recorder.release(
                "product.review", actor, product=product, version=version, policy_digest=digest(paper)
            ):
                self._bench.documents.put(PAPER, f"{product}/{version}", {**kept, actor.role: entry})
            held = self._assessed(dataset, draft, release, actor) if len(kept | {actor.role: entry}) > 1 else None
        state = held.state if held else ProductState.DEIDENTIFIED
        return {"product": product, "version": version, "state": state.value, "digest": draft.draft_digest()}

    def signers(self, product: str, version: str) -> frozenset[str]:
        """Return the roles that have signed a version's assessment."""
        return frozenset(self._kept(product, version))

    def evidence(self, draft: DataProduct, release: Mapping[str, Any]) -> Evidence:
        """Return what speaks for a draft: its columns, its recipe, its measures and who has signed."""
        levels = [column.level for column in draft.columns]
        signers = self.signers(draft.id, draft.version)
        classified = bool(release["classification_digest"])
        return Evidence(
            at=self._bench.me.clock(),
            columns=len(levels),
            columns_with_level=sum(level > 0 for level in levels),
            signers=signers | ({STEWARD} if classified else set()),
            recipe_digest=str(release["classification_digest"] or ""),
            output_digest=str(release["sha256"]),
            risk_met=risk_met(release),
            quality_digest=draft.quality_report.digest() if draft.quality_report else "",
            ethics=draft.privacy.ethics,
        )

    def require_signable(self, draft: DataProduct, release: Mapping[str, Any]) -> None:
        """Raise GuardUnmet where signatures alone would not be enough: nobody is asked to sign in vain."""
        PRODUCT.advance(
            ProductState.DEIDENTIFIED, Arrow.ASSESS, replace(self.evidence(draft, release), signers=TWO_PEOPLE)
        )

    def require(self, dataset: str, draft: DataProduct, release: Mapping[str, Any], *, actor: Identity) -> Held:
        """Return the assessed version. Raises GuardUnmet naming what is missing."""
        signed = replace(self.evidence(draft, release), signers=self.signers(draft.id, draft.version))
        PRODUCT.advance(ProductState.DEIDENTIFIED, Arrow.ASSESS, signed)
        return self._assessed(dataset, draft, release, actor)  # again after a crash between signature and step

    def _assessed(self, dataset: str, draft: DataProduct, release: Mapping[str, Any], actor: Identity) -> Held:
        """Take a version that both have signed through the first steps of its life; again changes nothing."""
        bench = self._bench
        try:
            return bench.products.get(draft.id, draft.version)
        except NotFound:
            pass
        product = replace(draft, reviews=self._reviews(draft, release))
        key = bench.me.keys.secret("sign")
        envelope = sign("manifest", product.document(), bench.me.hospital, key)
        evidence = self.evidence(draft, release)
        with bench.products.changing:
            held = Held(product, envelope, dataset, ProductState.DRAFT)
            held = bench.lifecycle.remembered(held, Arrow.CLASSIFY, evidence)
            held = bench.lifecycle.remembered(held, Arrow.DEIDENTIFY, evidence)
            evidence = replace(evidence, signers=self.signers(draft.id, draft.version))
            return bench.lifecycle.move(held, Arrow.ASSESS, evidence, actor=actor)

    def _reviews(self, draft: DataProduct, release: Mapping[str, Any]) -> tuple[Review, ...]:
        paper, kept = digest(document_of(draft, release)), self._kept(draft.id, draft.version)
        entries = [kept[role] for role in (STEWARD, OFFICER)]
        return tuple(
            Review(signer=one["signer"], key_id=one["key_id"], assessment_digest=paper, signature=one["signature"])
            for one in entries
        )

    def _verified(self, envelope: Envelope, role: str) -> Document:
        staff = self._bench.staff
        if role not in {STEWARD, OFFICER}:
            raise AccessDenied("assessment.role", f"ask the {STEWARD} and the {OFFICER}", "another role signs this")
        if staff.keys.get(STEWARD) == staff.keys.get(OFFICER):
            raise ConfigInvalid(f"staff.json gives {STEWARD} and {OFFICER} one key: two people sign, with two keys")
        return staff.verified(KIND, envelope, role)

    def _draft(self, dataset: str, version: str) -> DataProduct:
        return DataProduct.from_document(self._bench.documents.get(DRAFT, f"{dataset}/{version}"))

    def _release(self, dataset: str, version: str) -> Document:
        return self._bench.documents.get("release", f"{dataset}/{version}")

    def _kept(self, product: str, version: str) -> Document:
        try:
            return self._bench.documents.get(PAPER, f"{product}/{version}")
        except NotFound:
            return {}


def document_of(draft: DataProduct, release: Mapping[str, Any]) -> Document:
    """Return the words that both sign: which draft, what was measured, on which ethical ground."""
    report, ethics = draft.quality_report, draft.privacy.ethics
    return {
        "product": draft.id,
        "version": draft.version,
        "draft_digest": draft.draft_digest(),
        "level": draft.level,
        "preset": draft.privacy.preset,
        "risk_met": risk_met(release),
        "quality_digest": report.digest() if report else "",
        "ethics_approval": (ethics.approval if ethics else "") or "",
        "ethics_exemption": (ethics.exemption if ethics else "") or "",
        **({"cohort_digest": draft.cohort.digest()} if draft.cohort else {}),
    }


def risk_met(release: Mapping[str, Any]) -> bool:
    """Return whether a release's own report says that every ceiling of its preset holds."""
    return all(bool(ceiling["is_met"]) for ceiling in release["report"]["ceilings"])
