"""What a person does at the desk: each goes the way of the command line's verb, signed with the person's own key."""

import threading
from typing import Any

from fastapi.responses import Response

from hdex.catalog.documents import to_document
from hdex.catalog.product import DataProduct
from hdex.ledger.document import load
from hdex.node.desk_review import HIGHEST, Draft
from hdex.node.errors import NotFound, RemoteRefused, RequestInvalid
from hdex.node.hospital.publishing import offer_of
from hdex.node.hospital.study_approvals import PAPER, Said
from hdex.node.steward import Steward
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_forms import done, require_shown, text
from hdex.node.web.desk_pages import VERDICTS
from hdex.node.web.desk_tasks import STEWARD, classification_path, version_path
from hdex.node.web.desk_views import ORDERS

MOST_DRAFTS = 32
OFFER_DEPTH = 16
CONTESTED = "classification.contested"
DONE = {"approve": "approved", "deny": "denied"}


class MemoryDrafts:
    """Drafts of one desk, in its memory only; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drafts: dict[str, Draft] = {}

    def get(self, dataset: str) -> Draft | None:
        """Return the draft of a data set."""
        with self._lock:
            return self._drafts.get(dataset)

    def put(self, dataset: str, draft: Draft) -> None:
        """Keep a draft in the place of an earlier one."""
        with self._lock:
            self._drafts.pop(dataset, None)
            while len(self._drafts) >= MOST_DRAFTS:
                del self._drafts[next(iter(self._drafts))]
            self._drafts[dataset] = draft

    def drop(self, dataset: str) -> None:
        """Forget a draft."""
        with self._lock:
            self._drafts.pop(dataset, None)


class DeskActs:
    """Every form's answer. Each ends with a page to look at, or raises what the node said."""

    def __init__(self, steward: Steward, drafts: MemoryDrafts) -> None:
        self._steward = steward
        self._drafts = drafts

    def propose(self, visit: Visit) -> Response:
        """Have the node propose a classification and take it as a draft."""
        name = visit.path("dataset")
        answer = self._steward.desk.classify(name, silent)
        self._drafts.put(name, Draft.of(answer["classification"]))
        return done(visit, classification_path(name), "proposed")

    def change_column(self, visit: Visit) -> Response:
        """Change level and role of one column of the draft."""
        name, draft = self._draft(visit)
        level, role = number(visit, "level"), text(visit, "role")
        changed = draft.changed(text(visit, "column"), level=level, role=role, reason=text(visit, "reason"))
        self._drafts.put(name, changed)
        return done(visit, classification_path(name), "changed")

    def change_flags(self, visit: Visit) -> Response:
        """Change the level of the data set and what is said of it as a whole."""
        name, draft = self._draft(visit)
        changed = draft.flagged(
            level=number(visit, "level"),
            minor_under_14=visit.form.get("minors", "") == "yes",
            national_grade=text(visit, "grade"),
            assessment=visit.form.get("assessment", ""),
            reason=text(visit, "reason"),
        )
        self._drafts.put(name, changed)
        return done(visit, classification_path(name), "changed")

    def sign_classification(self, visit: Visit) -> Response:
        """Sign the draft as steward, or as officer what the steward signed: the very words that the page showed."""
        name = visit.path("dataset")
        draft = self._drafts.get(name) if visit.role == STEWARD else None
        document = draft.document if draft else self._steward.desk.read("classification", name)["document"]
        if document is None:
            raise NotFound("there is no classification to sign: have one proposed first")
        require_shown(visit, document)
        try:
            self._steward.sign("classification", name, document)
        except RemoteRefused as refusal:
            if refusal.rule == CONTESTED:
                self._drafts.drop(name)  # the node keeps it: it waits for the second name
            raise
        self._drafts.drop(name)
        return done(visit, classification_path(name), "signed")

    def draft_manifest(self, visit: Visit) -> Response:
        """Have a version's manifest drafted with the terms that the steward states."""
        dataset, version = visit.path("dataset"), visit.path("version")
        self._steward.desk.assess(dataset, version, offer(visit), silent)
        return done(visit, version_path(dataset, version), "drafted")

    def sign_assessment(self, visit: Visit) -> Response:
        """Sign a version's assessment: the very words that the page showed."""
        dataset, version = visit.path("dataset"), visit.path("version")
        paper = self._steward.desk.read("version", dataset, version)["assessment"]
        if paper is None:
            raise NotFound("there is no assessment to sign: the data steward drafts the manifest first")
        require_shown(visit, paper)
        self._steward.sign("assessment", dataset, paper)
        return done(visit, version_path(dataset, version), "signed")

    def list_version(self, visit: Visit) -> Response:
        """List a version that two people have signed, under the terms of its draft."""
        dataset, version = visit.path("dataset"), visit.path("version")
        found = self._steward.desk.read("version", dataset, version)
        if found["draft"] is None:
            raise NotFound("there is no manifest to list: the data steward drafts it first")
        require_shown(visit, found["assessment"])
        terms: Any = to_document(offer_of(DataProduct.from_document(found["draft"])))
        self._steward.desk.publish(dataset, version, terms, silent)
        return done(visit, version_path(dataset, version), "listed")

    def decide_study(self, visit: Visit) -> Response:
        """Sign a yes or no over a study's digest."""
        verdict, study = visit.path("verdict"), visit.path("digest")
        if verdict not in VERDICTS:
            raise NotFound("a study is approved or denied")
        self._steward.sign(PAPER, study, Said(verdict, study_digest=study).document())
        return done(visit, "/studies", DONE[verdict])

    def order_product(self, visit: Visit) -> Response:
        """Sign an order about one version of a product."""
        order = visit.path("order")
        if order not in ORDERS:
            raise NotFound("there is no such order")
        reason = text(visit, "reason")
        self._steward.order(f"product.{order}", visit.path("product"), reason, version=visit.path("version"))
        return done(visit, "/products", "ordered")

    def _draft(self, visit: Visit) -> tuple[str, Draft]:
        """Return the draft that the form's page showed."""
        name = visit.path("dataset")
        draft = self._drafts.get(name)
        if draft is None:
            raise NotFound("this desk has no draft of this classification: have one proposed first")
        require_shown(visit, draft.document)
        return name, draft


def offer(visit: Visit) -> dict[str, Any]:
    """Return the offer that a person pasted. Raises RequestInvalid."""
    try:
        found = load(visit.form.get("offer", "").encode(), max_depth=OFFER_DEPTH)
    except ValueError as error:
        raise RequestInvalid("the offer is not JSON") from error
    if not isinstance(found, dict):
        raise RequestInvalid("the offer is not a JSON object")
    return found


def number(visit: Visit, name: str) -> int:
    """Return a level of a form. Raises RequestInvalid."""
    found = text(visit, name)
    if found not in {str(level) for level in range(1, HIGHEST + 1)}:
        raise RequestInvalid(f"{name} is 1 to {HIGHEST}")
    return int(found)


def silent(_step: str, _text: str) -> None:
    """Say nothing: a page has no line for each step."""
