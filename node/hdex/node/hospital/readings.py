"""What a hospital's people read before they decide: data sets, classifications, versions, products. No record's value.

Everything is read as the verbs keep it; nothing here changes, signs or decides anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from hdex.catalog.lifecycle import PRODUCT
from hdex.catalog.product import DataProduct
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.hospital.approvals import PENDING
from hdex.node.hospital.assessments import DRAFT, Assessments, document_of
from hdex.node.hospital.classifications import KIND as CLASSIFICATION
from hdex.node.hospital.classifications import Classifications
from hdex.node.hospital.datasets import INGEST
from hdex.node.hospital.lifecycle import NOTICE, ORDER
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.releases import KIND as RELEASE
from hdex.node.identity import Identity
from hdex.node.looks import Looks
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import digest, signers

NONE, PENDING_STATE, APPROVED, OUTDATED = "none", "pending", "approved", "outdated"
OF_CONTRACTS = ("contracts", "contract")  # parts that tell what another organisation asked for and agreed to
LONGEST_NAME = 160


class Readings:
    """The papers of one hospital, for its own staff."""

    def __init__(
        self, documents: Documents, classifications: Classifications, assessments: Assessments, products: Products, *,
        recorder: Recorder, market: Mapping[str, Callable[[str], Document]] | None = None,
    ) -> None:  # fmt: skip
        """market: parts that others read, by name."""
        self._documents = documents
        self._classifications = classifications
        self._assessments = assessments
        self._products = products
        self._recorder = recorder
        self._market = market or {}
        self._looks = Looks()

    def read(self, part: str, dataset: str = "", version: str = "", *, actor: Identity) -> Document:
        """Return one part of the desk; remember who read of contracts, once while it tells the same. Raises NotFound,
        and RequestInvalid for a part there is none of.
        """
        parts: dict[str, Callable[[], Document]] = {
            "datasets": self._datasets,
            "classification": lambda: self._classification(dataset[:LONGEST_NAME]),
            "version": lambda: self._version(dataset[:LONGEST_NAME], version[:LONGEST_NAME]),
            "products": self._all_products,
            "product": lambda: self._product(dataset[:LONGEST_NAME], version[:LONGEST_NAME]),
            **{name: partial(self._market[name], dataset[:LONGEST_NAME]) for name in self._market},
        }
        if part not in parts:
            raise RequestInvalid(f"a desk has the parts {', '.join(parts)}")
        if part not in OF_CONTRACTS:
            return parts[part]()
        about: Facts = {"contract": dataset[:LONGEST_NAME]} if dataset else {}
        with self._recorder.refusals("contract.read", actor, **about):
            found = parts[part]()
            subject = f"{part}/{about.get('contract', '')}"
            self._looks.once(actor, subject, found, lambda: self._recorder.allow("contract.read", actor, **about))
            return found

    def _datasets(self) -> Document:
        return {"datasets": [self._dataset(str(facts["dataset"]), facts) for facts in self._documents.all(INGEST)]}

    def _dataset(self, name: str, facts: Mapping[str, Any]) -> Document:
        state, kept = self._classified(name, facts)
        made = [one for one in self._documents.all(RELEASE) if one.get("dataset") == name]
        return {
            "dataset": name,
            "view": facts["view"],
            "patients_band": facts["patients_band"],
            "consent_from": facts["consent_from"],
            "classification": state,
            "level": kept["document"]["level"] if kept else None,
            "versions": [self._line(name, release) for release in made],
        }

    def _classified(self, name: str, facts: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
        """Return where a classification stands, and the envelope that a person is to read."""
        approved, pending = self._found(CLASSIFICATION, name), self._found(PENDING, name)
        if approved is not None:
            waits = pending is not None and digest(pending["envelope"]["document"]) != approved["digest"]
            is_current = approved["of"] == facts["export_digest"]
            if is_current and not waits:
                return APPROVED, approved["envelope"]
            if not waits:
                return OUTDATED, approved["envelope"]
        if pending is not None:
            return PENDING_STATE, pending["envelope"]
        return NONE, None

    def _line(self, name: str, release: Mapping[str, Any]) -> Document:
        """Return one version in one line: what it is and who has signed it."""
        version = str(release["version"])
        draft = self._draft(name, version)
        held = self._held(draft.id, version) if draft else None
        return {
            "version": version,
            "preset": release["preset"],
            "level": release["level"],
            "made": release.get("made", ""),
            "records": release["records"],
            "product": draft.id if draft else "",
            "signed_by": sorted(self._assessments.signers(draft.id, version)) if draft else [],
            "state": held.state.value if held else "DEIDENTIFIED",
            "listed_from": held.listed_from if held else "",
            "terms_end": (draft.terms.expires or "") if draft else "",
        }

    def _classification(self, name: str) -> Document:
        facts = self._documents.get(INGEST, name)
        state, envelope = self._classified(name, facts)
        document = envelope["document"] if envelope else None
        found = self._classifications.clashes(name, document) if document and state == PENDING_STATE else []
        return {
            "dataset": name,
            "state": state,
            "document": document,
            "signed_by": signers(envelope) if envelope else [],
            "contested": [asdict(clash) for clash in found],
        }

    def _version(self, name: str, version: str) -> Document:
        release = self._documents.get(RELEASE, f"{name}/{version}")
        draft = self._draft(name, version)
        return {
            **self._line(name, release),
            "dataset": name,
            "release": release,
            "assessment": document_of(draft, release) if draft else None,
            "draft": draft.document() if draft else None,
        }

    def _all_products(self) -> Document:
        return {"products": [told(held) for held in reversed(self._products.every())]}

    def _product(self, product: str, version: str) -> Document:
        held = self._products.get(product, version)
        notice = held.product.notice or NOTICE
        ordered = self._orders(product)
        steps = [{**step, "ordered_by": ordered.get(step["reason"], [])} for step in told(held)["history"]]
        return {
            **told(held),
            "history": steps,
            "manifest_signed_by": signers(held.envelope),
            "assessed_by": sorted(self._assessments.signers(product, version)),
            "listing_days": notice.listing_days,
            "supersession_days": notice.supersession_days,
            "delivery_modes": list(held.product.delivery_modes),
        }

    def _orders(self, product: str) -> dict[str, list[str]]:
        """Return reason -> who signed the order that gave it, of one product."""
        papers = [one["envelope"] for one in self._documents.all(ORDER)]
        mine = [paper for paper in papers if paper["document"]["product"] == product]
        return {str(paper["document"]["reason"]): signers(paper) for paper in mine}

    def _draft(self, name: str, version: str) -> DataProduct | None:
        found = self._found(DRAFT, f"{name}/{version}")
        return DataProduct.from_document(found) if found else None

    def _held(self, product: str, version: str) -> Held | None:
        try:
            return self._products.get(product, version)
        except NotFound:
            return None

    def _found(self, kind: str, key: str) -> Document | None:
        try:
            return self._documents.get(kind, key)
        except NotFound:
            return None


def told(held: Held) -> Document:
    """Return a version of a product as its people see it: state, the steps that led there, the steps open now."""
    product = held.product
    return {
        "product": product.id,
        "version": product.version,
        "dataset": held.dataset,
        "title": {"en": product.title.en, "zh": product.title.zh},
        "level": product.level,
        "state": held.state.value,
        "digest": held.digest,
        "listed_from": held.listed_from,
        "serves_until": held.serves_until,
        "expires": product.terms.expires or "",
        "arrows": list(PRODUCT.allowed_from(held.state)),
        "history": [
            {name: step["document"][name] for name in ("arrow", "to", "reason", "at")} | {"by": signers(step)}
            for step in held.history
        ],
    }
