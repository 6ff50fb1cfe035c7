"""Access requests at a hospital: received, taken up, reviewed by three people, answered; some end by the clock.

Every step is held against its guards, signed by the node, remembered with the digest of the form, then kept. What a
form or a message says stays in the node's records; the ethics paper stays in the vault. Only digests leave.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from hdex.catalog.access_form import AccessForm, require_acceptable
from hdex.catalog.access_review import (
    ACCESS,
    APPLICANT,
    COMMITTEE,
    TIMED,
    AccessArrow,
    AccessEvidence,
    AccessState,
    ReviewPolicy,
)
from hdex.catalog.documents import from_document
from hdex.catalog.errors import CatalogError
from hdex.catalog.lifecycle import OFFICER, STEWARD
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import Outcome, TermsDecision, decide
from hdex.ledger.event import format_time
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.hospital.access_checks import (
    is_acceptable,
    require_document,
    require_newest,
    require_permitted,
    shelf,
)
from hdex.node.hospital.access_record import (
    DECISION,
    FORM,
    MESSAGE,
    MESSAGE_FIELDS,
    STEP,
    WITHDRAWAL,
    WITHDRAWAL_FIELDS,
    AccessRecord,
    has_message,
    is_last,
    read_decision,
    read_texts,
)
from hdex.node.hospital.access_shelf import AccessShelf, Line
from hdex.node.hospital.products import Products
from hdex.node.hospital.staff import Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, sign, single, verify
from hdex.node.vault import Vault
from hdex.node.vetting import Vettings

ROLES = (STEWARD, OFFICER, COMMITTEE)


@dataclass(frozen=True, slots=True)
class ReviewRoom:
    """Where requests are kept, and who reviews them."""

    me: Identity  # the node's own process: who acts when the clock does
    staff: Staff
    sign_key: bytes
    documents: Documents
    vault: Vault
    products: Products
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"ReviewRoom({self.me.participant})"


class AccessRequests:
    """The hospital's records of requests. Every verb may be called again with the same paper."""

    def __init__(
        self, room: ReviewRoom, directory: Directory, vettings: Vettings, *, policy: ReviewPolicy, recorder: Recorder
    ) -> None:
        self._room = room
        self._shelf = AccessShelf(room.documents)
        self._directory = directory
        self._vettings = vettings
        self.policy = policy
        self._recorder = recorder
        self._changing = threading.RLock()

    def submit(self, envelope: Envelope, document: bytes, actor: Identity) -> AccessRecord:
        """Keep a form with its ethics paper. Raises SignatureInvalid, DocumentInvalid, AccessDenied, GuardUnmet."""
        said = envelope["document"]
        facts = Facts(product=str(said.get("product", "")), request_digest=digest(said))
        with self._recorder.refusals("access.submit", actor, **facts):
            member = self._directory.require(actor.participant, "buyer")
            form = from_document(AccessForm, verify(FORM, single(envelope), {member.id: member.sign_key}), "form")
            self._require_addressed(form, member.id)
            require_document(form, document, self.policy.limits.document_bytes)
            self._vettings.refresh(member.id)
            with self._changing:
                before = self._found(form)
                if before is not None and before.digest == digest(said):
                    return before
                self._require_few(before, member.id)
                product = self._listed(form)
                require_acceptable(form, product, self.policy.limits, self._room.clock())
                require_permitted(self.precheck(form, product))
                self._vettings.require(member.id)
                return self._submitted(before, envelope, document, actor)

    def decide(self, envelope: Envelope, actor: Identity) -> AccessRecord:
        """Carry out what a reviewer has signed: take, endorse, approve, refuse or return."""
        said = envelope["document"]
        arrow = str(said.get("arrow")) if said.get("arrow") in {"take", "endorse", "approve", "return"} else "refuse"
        with self._recorder.refusals(f"access.{arrow}", actor, request_digest=str(said.get("digest", ""))):
            if actor.role not in ROLES:
                raise AccessDenied("access.role", f"ask one of {', '.join(ROLES)}", "another role signs this")
            paper, step = read_decision(self._room.staff.verified(DECISION, single(envelope), actor.role))
            if step is AccessArrow.APPROVE:
                self._vettings.refresh(self.get(paper["id"]).applicant)
            self.sweep()
            with self._changing:
                record = self.get(paper["id"])
                if is_last(record, envelope):
                    return record
                require_newest(record, paper["digest"])
                evidence = self._evidence(record, signer=actor.role, reason=paper["reason"])
                endorsed = record.endorsed
                if step in (AccessArrow.ENDORSE, AccessArrow.APPROVE):
                    endorsed = (*endorsed, actor.role)
                return self._move(record, step, evidence, actor=actor, paper=envelope, endorsed=endorsed)

    def withdraw(self, envelope: Envelope, actor: Identity) -> AccessRecord:
        """End a request by its applicant's paper."""
        with self._recorder.refusals("access.withdraw", actor, request_digest=str(envelope["document"].get("digest"))):
            paper = read_texts(verify(WITHDRAWAL, single(envelope), self._applicant_key(actor)), WITHDRAWAL_FIELDS)
            with self._changing:
                record = self._of(actor, paper["id"])
                if is_last(record, envelope):
                    return record
                require_newest(record, paper["digest"])
                evidence = AccessEvidence(at=self._now(record), signer=APPLICANT, reason=paper["reason"])
                return self._move(record, AccessArrow.WITHDRAW, evidence, actor=actor, paper=envelope)

    def message(self, envelope: Envelope, actor: Identity) -> AccessRecord:
        """Keep what the applicant or a reviewer says to the other; its words are in no log."""
        name = str(envelope["document"].get("id", ""))
        with self._recorder.refusals("access.message", actor):
            paper = read_texts(self._said(single(envelope), actor), MESSAGE_FIELDS)
            if not paper["text"].strip():
                raise RequestInvalid("a message has a text")
            with self._changing:
                record = self._of(actor, name)
                if has_message(record, envelope):
                    return record
                self._require_room(record)
                facts = Facts(request_digest=record.digest, policy_digest=digest(paper))
                with self._recorder.release("access.message", actor, **facts):
                    heard = {"envelope": envelope, "heard": format_time(self._now(record))}
                    return self._shelf.store(replace(record, messages=(*record.messages, heard)))

    def read(self, name: str, actor: Identity) -> AccessRecord:
        """Return one request to its applicant or to the hospital's people; remember who read."""
        with self._recorder.refusals("access.read", actor):
            self.sweep()
            record = self._of(actor, name)
            self._recorder.allow("access.read", actor, request_digest=record.digest)
            return record

    def read_document(self, name: str, actor: Identity) -> bytes:
        """Return a request's ethics paper to one of the hospital's reviewers; remember who read."""
        with self._recorder.refusals("access.read", actor):
            record = self._of(actor, name)
            facts = Facts(request_digest=record.digest, result_digest=record.form.ethics.document_digest)
            with self._recorder.release("access.read", actor, **facts):
                return self._room.vault.read(*shelf(record.form))

    def visible(self, actor: Identity) -> list[AccessRecord]:
        """Return every request to the hospital's people, an applicant's own to an applicant; remember who read."""
        self.sweep()
        self._recorder.allow("access.read", actor)
        own = actor.participant == self._room.me.participant
        return [one for one in self.all() if own or one.applicant == actor.participant]

    def all(self) -> list[AccessRecord]:
        """Return every request, oldest first."""
        return self._shelf.all()

    def get(self, name: str) -> AccessRecord:
        """Return one request. Raises NotFound."""
        return self._shelf.get(name)

    def sweep(self) -> list[AccessRecord]:
        """Do what the clock asks: end what has lapsed, escalate what is overdue once, delete papers that are kept no
        longer. Return what was touched.
        """
        with self._changing:
            touched = [moved for name, line in self._shelf.timed() if (moved := self._timed(name, line)) is not None]
            due = [name for name, line in self._shelf.ended() if self.policy.is_spent(line.since, self._room.clock())]
            return touched + [self._erased(name) for name in due]

    def about(self, applicant: str, product: str, version: str) -> list[AccessRecord]:
        """Return an applicant's requests for one product version, oldest first, as the clock leaves them."""
        self.sweep()
        return self._shelf.about(applicant, product, version)

    def precheck(self, form: AccessForm, product: DataProduct) -> TermsDecision:
        """Return what the terms alone say of a form, by the node's clock and with the ethics number it names."""
        at = format_time(self._room.clock())
        return decide(product.terms, replace(form.access, at=at, ethics_approval=form.ethics.number))

    def product(self, form: AccessForm) -> DataProduct | None:
        """Return the product that a form names, None where it is no longer offered."""
        try:
            return self._listed(form)
        except CatalogError:
            return None

    def _timed(self, name: str, line: Line) -> AccessRecord | None:
        now = max(self._room.clock(), line.since)
        if self.policy.lapses(line.state, line.since, now):
            evidence = AccessEvidence(at=now, lapse_due=True, reason="its deadline has passed")
            return self._move(self.get(name), AccessArrow.LAPSE, evidence, actor=self._room.me)
        if line.escalated or not self.policy.is_overdue(line.state, line.since, now):
            return None
        record = self.get(name)
        with self._recorder.release("access.escalate", self._room.me, request_digest=record.digest):
            return self._shelf.store(replace(record, escalated=format_time(now)))

    def _erased(self, name: str) -> AccessRecord:
        """Delete the papers of every revision of a request that ended without approval; remembered before."""
        record = self.get(name)
        product = shelf(record.form)[0]
        with self._recorder.release("access.erase", self._room.me, request_digest=record.digest):
            for one in self._room.vault.items(product):
                if one.name.startswith(f"{name}/"):
                    self._room.vault.remove(product, one.name)
            return self._shelf.store(replace(record, erased=format_time(self._now(record))))

    def _submitted(
        self, before: AccessRecord | None, envelope: Envelope, document: bytes, actor: Identity
    ) -> AccessRecord:
        form = from_document(AccessForm, envelope["document"], "form")
        record = AccessRecord(envelope, AccessState.DRAFT, format_time(self._room.clock()))
        due = 1
        if before is not None:
            record, due = replace(before, envelope=envelope), before.form.revision + 1
        evidence = AccessEvidence(
            at=self._now(record),
            signer=APPLICANT,
            acceptable=True,
            vetted=True,
            document_kept=True,
            prohibited=False,
            moves_on=form.revision == due,
        )

        def keep() -> None:
            if not self._room.vault.contains(*shelf(form)):
                self._room.vault.put(*shelf(form), document)

        return self._move(record, AccessArrow.SUBMIT, evidence, actor=actor, first=keep, endorsed=())

    def _evidence(self, record: AccessRecord, *, signer: str, reason: str) -> AccessEvidence:
        form, product, now = record.form, self.product(record.form), self._now(record)
        keys = {self._room.staff.keys[role] for role in (*record.endorsed, signer) if role in self._room.staff.keys}
        return AccessEvidence(
            at=now,
            signer=signer,
            people=len(keys),
            reason=reason,
            acceptable=product is not None and is_acceptable(form, product, self.policy, now),
            vetted=self._is_vetted(record.applicant),
            document_kept=self._room.vault.contains(*shelf(form)),
            prohibited=product is None or self.precheck(form, product).outcome is Outcome.PROHIBITED,
        )

    def _is_vetted(self, applicant: str) -> bool:
        try:
            self._vettings.require(applicant)
        except AccessDenied:
            return False
        return True

    def _move(
        self, record: AccessRecord, arrow: AccessArrow, evidence: AccessEvidence, *, actor: Identity,
        paper: Envelope | None = None, first: Callable[[], None] = lambda: None, **changes: tuple[str, ...],
    ) -> AccessRecord:  # fmt: skip
        """Return the record after one step that was signed, remembered and kept; refused, nothing changes."""
        target, at = ACCESS.advance(record.state, arrow, evidence), format_time(evidence.at)
        step = {
            "id": record.id,
            "digest": record.digest,
            "arrow": arrow.value,
            "from": record.state.value,
            "to": target.value,
            "rules": list(ACCESS.rules_of(record.state, arrow)),
            "by": evidence.signer,
            "reason": evidence.reason,
            "at": at,
        }
        signed = sign(STEP, step, self._room.me.participant, self._room.sign_key)
        form = record.envelope["document"]
        facts = Facts(product=form["product"], version=form["version"], purpose=form["access"]["purpose"])
        facts |= Facts(request_digest=record.digest, policy_digest=digest(step))
        with self._recorder.release(f"access.{arrow.value}", actor, **facts):
            first()
            return self._shelf.store(record.moved(target, at, {"step": signed, "paper": paper}, **changes))

    def _require_addressed(self, form: AccessForm, applicant: str) -> None:
        if form.applicant != applicant:
            raise AccessDenied("access.foreign", "ask in your own name", "the form names another applicant")
        if form.provider != self._room.me.participant:
            raise AccessDenied(
                "access.provider", "send it to the product's provider", "the form is for another hospital"
            )

    def _require_few(self, before: AccessRecord | None, applicant: str) -> None:
        waiting = self._shelf.waiting(applicant)
        if before is None and waiting >= self.policy.limits.open_requests:
            says = f"{waiting} requests of this applicant wait"
            raise AccessDenied("access.many", "wait for their decisions, or withdraw some", says)

    def _require_room(self, record: AccessRecord) -> None:
        if record.state not in TIMED:
            raise AccessDenied("access.closed", "begin a new request", f"the request is {record.state}")
        if len(record.messages) >= self.policy.limits.messages:
            raise AccessDenied("access.messages", "decide, or begin a new request", "it has all messages it may have")

    def _said(self, envelope: Envelope, actor: Identity) -> dict[str, object]:
        """Return a message's paper, signed by the one who sends it."""
        if actor.participant == self._room.me.participant:
            if actor.role not in ROLES:
                raise AccessDenied("access.role", f"ask one of {', '.join(ROLES)}", "another role signs this")
            return self._room.staff.verified(MESSAGE, envelope, actor.role)
        return verify(MESSAGE, envelope, self._applicant_key(actor))

    def _applicant_key(self, actor: Identity) -> dict[str, bytes]:
        member = self._directory.require(actor.participant, "buyer")
        return {member.id: member.sign_key}

    def _of(self, actor: Identity, name: str) -> AccessRecord:
        """Return a request that this caller may see; to others it is not there."""
        record = self.get(name)
        if actor.participant not in {record.applicant, self._room.me.participant}:
            raise NotFound(f"no access_request {name[:100]} is recorded here")
        return record

    def _found(self, form: AccessForm) -> AccessRecord | None:
        try:
            record = self.get(form.id)
        except NotFound:
            return None
        if record.applicant != form.applicant or record.form.product != form.product:
            raise AccessDenied("access.other", "choose a new id", "this id stands for another request")
        return record

    def _listed(self, form: AccessForm) -> DataProduct:
        return self._room.products.live(form.product, form.manifest_digest)

    def _now(self, record: AccessRecord) -> datetime:
        """Return the time, never before the record's last step: a clock set back revives nothing."""
        return max(self._room.clock(), record.since)
