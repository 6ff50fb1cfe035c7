"""What a person of the hospital signs: the mapping and the classification, each as one document with one digest."""

from collections.abc import Callable

from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.harmonize import Mapping
from hdex.node.hospital.staff import OFFICER, STEWARD, Staff
from hdex.node.hospital.study_approvals import PAPER, StudyApprovals
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, signers

KINDS = ("mapping", "classification")
PENDING = "classification_pending"
Review = Callable[[str, Document], tuple[int, str]]


class Approvals:
    """Keeps signed documents; what is said to studies is kept by `studies`.

    A steward signs; where the values speak against a classification, so does the officer.

    review(dataset, classification): how many columns and flags the document places below what the values show, and
    which export it was held against; raises when it describes another.
    """

    def __init__(
        self, staff: Staff, documents: Documents, recorder: Recorder, *,
        review: Review, studies: StudyApprovals,
    ) -> None:  # fmt: skip
        self._staff = staff
        self._documents = documents
        self._recorder = recorder
        self._review = review
        self.studies = studies

    def approve(self, kind: str, dataset: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Keep a document that who is responsible for its kind has signed. Raises AccessDenied, SignatureInvalid."""
        if kind == PAPER:
            return self.studies.decide(envelope, actor=actor)
        if kind not in KINDS:
            raise RequestInvalid(f"{kind[:40]!r} is not approved; there are {', '.join((*KINDS, PAPER))}")
        with self._recorder.refusals(f"{kind}.approve", actor, product=dataset):
            if actor.role == OFFICER and kind == "classification":
                both = self._seconded(dataset, envelope)
                _, export = self._review(dataset, both["document"])  # the data set may have changed since
                return self._keep(kind, dataset, both, actor, of=export)
            if actor.role != STEWARD:
                raise AccessDenied("approve.role", f"ask the {STEWARD}", f"a {kind} is signed by another role")
            document = self._staff.verified(kind, envelope, STEWARD)
            if kind == "mapping":
                Mapping.from_document(document)
                return self._keep(kind, dataset, envelope, actor)
            contested, export = self._review(dataset, document)
            if contested:
                self._documents.put(PENDING, dataset, {"envelope": envelope})
                raise AccessDenied(
                    "classification.contested",
                    "the privacy officer reads and signs it too",
                    f"{contested} columns or flags are placed below what the values show",
                )
            return self._keep(kind, dataset, envelope, actor, of=export)

    def _seconded(self, dataset: str, envelope: Envelope) -> Envelope:
        """Return the steward's document with the officer's signature on the same words beside his."""
        try:
            pending: Envelope = self._documents.get(PENDING, dataset)["envelope"]
        except NotFound:
            raise AccessDenied(
                "approve.role", f"the {STEWARD} signs first", "nothing waits for a second name"
            ) from None
        document = self._staff.verified("classification", envelope, OFFICER)
        self._staff.verified("classification", pending, STEWARD)
        if digest(document) != digest(pending["document"]):
            raise AccessDenied("approve.other", "sign what the steward has signed", "this is another classification")
        both = {entry["signer"]: entry for one in (pending, envelope) for entry in one["signatures"]}
        return {"document": document, "signatures": [both[self._staff.signer(role)] for role in (STEWARD, OFFICER)]}

    def _keep(self, kind: str, dataset: str, envelope: Envelope, actor: Identity, *, of: str = "") -> Document:
        document_digest, by = digest(envelope["document"]), ", ".join(signers(envelope))
        with self._recorder.release(f"{kind}.approve", actor, product=dataset, policy_digest=document_digest):
            self._documents.put(kind, dataset, {"envelope": envelope, "digest": document_digest, "of": of})
            if kind == "classification":
                self._documents.remove(PENDING, [dataset])  # an older one must not be signed over this later
        return {"kind": kind, "dataset": dataset, "digest": document_digest, "signed_by": by}
