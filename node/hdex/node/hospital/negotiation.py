"""A provider's side of a contract: rules first, then a person, then two signatures, then the grant."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.contract import Agreement, ConsumerKeys, Message, Party, State, agreement_digest, step
from hdex.catalog.licence import Access
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.quote import ordered_price
from hdex.catalog.terms import Outcome
from hdex.ledger.event import format_time
from hdex.node.authz import Authorizer
from hdex.node.contract_record import ContractRecord, named, order_of, read_request
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.clauses import clauses_of
from hdex.node.hospital.contract_gate import ContractGate, Passage
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.hospital.terms_gate import TermsGate
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, canonical, digest, sign, verify

KIND, ROUNDS = "contract", "contract_rounds"
TERM_DAYS = 365
GRANT_DIGITS = 32
LEVEL_5 = 5
DECIDE = "HospitalAdminService.DecideRequest"  # action of the policies
TWO_ROLES = 2  # give level 5 together: the policies name them
REFUSED = "person.refused"


@dataclass(frozen=True, slots=True)
class Papers:
    """Who this provider is when it signs, and what time it is."""

    hospital: str
    sign_key: bytes
    clock: Callable[[], datetime]

    def __repr__(self) -> str:
        return f"Papers({self.hospital})"


class Negotiations:
    """The provider's records of its contracts. Every verb may be called again with the same paper."""

    def __init__(
        self, papers: Papers, documents: Documents, products: Products, *,
        directory: Directory, exchange: Exchange, authorizer: Authorizer, recorder: Recorder, facts: ChainFacts,
        meter: Meter, gate: ContractGate,
    ) -> None:  # fmt: skip
        self._papers = papers
        self._documents = documents
        self._products = products
        self._directory = directory
        self._exchange = exchange
        self._authorizer = authorizer
        self._recorder = recorder
        self._facts = facts
        self._meter = meter
        self._gate = gate
        self._borders = Borders(papers.hospital, documents, directory)
        self._terms = TermsGate(papers.hospital, authorizer, papers.clock)
        self._changing = threading.RLock()  # a record is read and replaced in one step; not held while a peer is asked

    def consider(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Return TERMINATED with the rule and the next step, or REQUESTED: then a person decides."""
        with self._recorder.refusals("contract.request", actor, contract=named(envelope, "contract_id")):
            consumer = self._directory.require(named(envelope, "consumer"), "buyer")
            asked = read_request(verify("request", envelope, {consumer.id: consumer.sign_key}))
            self._gate.refresh(consumer.id)
            with self._changing:
                return self._known(asked) or self._considered(envelope, asked, actor)

    def decide(self, contract_id: str, actor: Identity, *, approved: bool, reason: str = "") -> ContractRecord:
        """Sign the agreement, or refuse: a person of this hospital says which; of level 5 two persons do."""
        with self._recorder.refusals("contract.agree" if approved else "contract.refuse", actor, contract=contract_id):
            self._gate.refresh(str(self._record(contract_id).asked["consumer"]))
            with self._changing:
                record = self._decided(self._record(contract_id), actor, approved=approved, reason=reason)
            if record.state == State.TERMINATED and record.rule == REFUSED:
                self._exchange.submit_decision(record.contract_id, record.rule, record.next_step)
            if record.state == State.AGREED and record.agreement is not None:
                failpoint("hospital.agreement.signed")
                self._meter.add("papers", len(canonical(record.agreement)))
                self._exchange.submit_agreement(record.agreement)
            return record

    def confirm(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Finalize an agreement that both have signed and issue its grant."""
        with self._recorder.refusals("grant.issue", actor, contract=named(envelope, "request_id")):
            agreement = Agreement.from_document(envelope["document"])
            verify("agreement", envelope, self._directory.sign_keys(agreement.consumer, agreement.provider))
            paper = bytes.fromhex(agreement_digest(envelope["document"]))
            with self._changing:
                record = self._record(agreement.request_id)
                if record.agreement is None or digest(record.agreement["document"]) != digest(envelope["document"]):
                    raise AccessDenied(
                        "agreement.other", "sign the agreement that was sent", "this is not the agreement we signed"
                    )
                if record.revoked:
                    raise AccessDenied("contract.revoked", record.next_step, "the contract was revoked")
                held = self._products.serving(agreement.product, agreement.manifest_digest, self._papers.clock())
                if record.state != State.FINALIZED:
                    self._gate.require(held.product, record.asked, self._papers.clock())  # vetting may have ended since
                    record = self._finalize(record, envelope, paper, actor)
            failpoint("hospital.grant.issued")
            self._facts.issue_grant(record.grant_id, paper, datetime.fromisoformat(agreement.expires))
            return record

    def revoke(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """End a licence: the next range and the next round are refused."""
        with self._recorder.refusals("grant.revoke", actor, contract=contract_id), self._changing:
            record = self._record(contract_id)
            if not record.revoked:
                with self._recorder.release("grant.revoke", actor, **about(record.asked, record.grant_id)):
                    record = self._store(
                        record.moved(record.state, revoked=True, rule="contract.revoked", next_step=reason)
                    )
        if record.grant_id:
            self._facts.revoke_grant(record.grant_id)  # again after a crash: a fact that stands is success
        self._exchange.revoke(contract_id, reason)
        return record

    def require_live(
        self, contract_id: str, mode: DeliveryMode, consumer: str, used: Mapping[str, int] | None = None
    ) -> tuple[ContractRecord, Agreement]:
        """Return a contract that covers this mode for this consumer now, or raise.

        used: what the log says was used of each limit, by its name; a clause that limits what nobody counted refuses.
        """
        record = self._record(contract_id)
        if record.asked["consumer"] != consumer:
            raise AccessDenied("contract.foreign", "", "the contract is between others")
        if record.revoked:
            raise AccessDenied("contract.revoked", record.next_step or "ask the provider", "the licence was revoked")
        if record.state != State.FINALIZED or record.agreement is None:
            raise AccessDenied(
                "contract.state", "finish the negotiation", f"the contract is {record.state}, not FINALIZED"
            )
        agreement = Agreement.from_document(record.agreement["document"])
        agreement.require(mode, purpose=record.asked["access"]["purpose"], at=self._papers.clock())
        held = self._products.serving(agreement.product, agreement.manifest_digest, self._papers.clock())
        spent = {"rounds": len(self._spent(contract_id)), **(used or {})}
        self._terms.require(held.product, agreement, record.asked, Access(mode.value, used=spent))
        self._require_within(agreement.product, agreement.version, consumer)
        self._gate.require_not_revoked(consumer)
        self._facts.require_not_revoked(record.grant_id, self._papers.clock())
        return record, agreement

    def require_round(self, contract_id: str, agreement: Agreement, study: str, number: int) -> None:
        """Raise AccessDenied unless this round of this study is spent already, or the contract has one left.

        The contract's rounds are those of all studies together: else a new study id would buy as many again.
        """
        spent = self._spent(contract_id)
        if round_key(study, number) in spent:
            return
        held = self._products.serving(agreement.product, agreement.manifest_digest, self._papers.clock())
        access = Access(DeliveryMode.FEDERATED.value, takes={"rounds": 1}, used={"rounds": len(spent)})
        self._terms.require(held.product, agreement, self._record(contract_id).asked, access)

    def spend_round(self, contract_id: str, study: str, number: int) -> None:
        """Count one round of one study against the contract, durably on return; again counts once."""
        with self._changing:
            rounds = sorted({*self._spent(contract_id), round_key(study, number)})
            self._documents.put(ROUNDS, contract_id, {"rounds": rounds})

    @property
    def hospital(self) -> str:
        """Who signs here."""
        return self._papers.hospital

    def get(self, contract_id: str) -> ContractRecord:
        """Return one record. Raises NotFound."""
        return self._record(contract_id)

    def product_of(self, contract_id: str) -> DataProduct:
        """Return the version that a contract is about, while it serves."""
        asked = self._record(contract_id).asked
        return self._products.serving(asked["product"], asked["manifest_digest"], self._papers.clock()).product

    def consumer_of(self, contract_id: str) -> str:
        """Return who holds a contract."""
        return str(self._record(contract_id).asked["consumer"])

    def grant_of(self, contract_id: str) -> str:
        """Return the grant that stands on the chain for a contract; empty before it is issued."""
        return self._record(contract_id).grant_id

    def all(self) -> list[ContractRecord]:
        """Return every record, oldest first."""
        return [ContractRecord.from_document(document) for document in self._documents.all(KIND)]

    def _considered(self, envelope: Envelope, asked: dict[str, Any], actor: Identity) -> ContractRecord:
        record = ContractRecord(asked["contract_id"], step(None, Party.CONSUMER, Message.REQUEST), envelope)
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if (product.provider.id, product.version) != (asked["provider"], asked["version"]):
            raise AccessDenied("request.product", "ask for what is listed", "the provider or version is another")
        passage = self._passage(product, asked)
        if isinstance(passage, AccessDenied):
            self._recorder.deny("contract.refuse", actor, passage.rule, **about(asked))
            ended = step(State.REQUESTED, Party.PROVIDER, Message.TERMINATION)
            return self._store(record.moved(ended, rule=passage.rule, next_step=passage.next_step))
        with self._recorder.release("contract.request", actor, **about(asked)):
            return self._store(record.moved(record.state, **waits(passage)))

    def _decided(self, record: ContractRecord, actor: Identity, *, approved: bool, reason: str) -> ContractRecord:
        if record.state not in {State.REQUESTED, State.AGREED} or record.revoked:
            return record
        if not approved:
            self._recorder.deny("contract.refuse", actor, REFUSED, **about(record.asked))
            ended = step(State(record.state), Party.PROVIDER, Message.TERMINATION)
            return self._store(record.moved(ended, rule=REFUSED, next_step=reason))
        if record.state == State.AGREED:
            return record
        asked = record.asked
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if product.terms.expires and self._papers.clock() >= datetime.fromisoformat(product.terms.expires):
            raise AccessDenied("terms.expired", "offer a new version with new terms", "the product's terms have ended")
        self._require_within(product.id, product.version, record.asked["consumer"])  # the grade may have changed
        passage = self._gate.require(product, asked, self._papers.clock())
        self._require_licence(product)
        data: dict[str, str | int] = {"kind": "hospital", "participant": self._papers.hospital, "level": product.level}
        self._authorizer.decide(actor, DECIDE, data).require()  # at the door the level was not known
        if product.level >= LEVEL_5 or passage.asks:
            record = self._approved(record, actor)
            if len(record.approvals) < TWO_ROLES:
                return record
        agreement = self._sign_agreement(record, product, passage)
        with self._recorder.release("contract.agree", actor, **about(record.asked)):
            said = {"agreement": agreement, "rule": "", "next_step": "the consumer signs"}
            return self._store(record.moved(step(State.REQUESTED, Party.PROVIDER, Message.AGREEMENT), **said))

    def _approved(self, record: ContractRecord, actor: Identity) -> ContractRecord:
        """Return the record with one more approval: two persons of two roles give level 5."""
        if actor.role in record.approvals:
            return record
        with self._recorder.release("study.approve", actor, **about(record.asked)):
            said = {"rule": "approval.second", "next_step": "a person of another role decides too"}
            approvals = sorted({*record.approvals, actor.role})
            return self._store(record.moved(record.state, approvals=approvals, **said))

    def _passage(self, product: DataProduct, asked: dict[str, Any]) -> Passage | AccessDenied:
        """Return what the contract may be, or why there is none."""
        mode = str(asked["delivery_mode"])
        if not product.allows(mode):
            offered = ", ".join(product.delivery_modes)
            return AccessDenied(f"level.{product.level}.no_{mode}", f"ask for delivery mode {offered}")
        if (mode == DeliveryMode.FEDERATED) != (asked["max_rounds"] > 0):
            return AccessDenied("request.rounds", "ask for rounds with federated use, and only there")
        if (mode == DeliveryMode.SEALED_FILE) and order_of(asked).columns:
            return AccessDenied("order.columns", "ask for all columns, or for federated use of some")
        ordered_price(product, order_of(asked))  # raises where the product does not offer it
        decision = self._terms.consider(product, asked)
        if decision.outcome == Outcome.PROHIBITED:
            return AccessDenied(decision.rule, decision.next_step)
        try:
            self._require_within(product.id, product.version, asked["consumer"])
            return self._gate.require(product, asked, self._papers.clock())
        except AccessDenied as refused:
            return refused

    def _require_within(self, product: str, version: str, consumer: str) -> None:
        """Raise AccessDenied where the national grade keeps this version from where the consumer stores things."""
        self._borders.require_recipient(self._products.dataset(product), version, consumer)

    def _require_licence(self, product: DataProduct) -> None:
        """Raise AccessDenied where as many licences stand as the product allows: one that has ended frees its place."""
        if product.max_licences is None:
            return
        now = self._papers.clock()
        standing = sum(one.asked["product"] == product.id and is_standing(one, now) for one in self.all())
        if standing >= product.max_licences:
            raise AccessDenied(
                "product.licences",
                "refuse this request, or wait until a licence ends or is revoked",
                f"{product.max_licences} licence(s) may stand at once, {standing} stand",
            )

    def _finalize(self, record: ContractRecord, envelope: Envelope, paper: bytes, actor: Identity) -> ContractRecord:
        verified = step(State(record.state), Party.CONSUMER, Message.VERIFICATION)
        state = step(verified, Party.PROVIDER, Message.FINALIZE)
        grant_id = hashlib.sha256(b"hdex/grant/v1\n" + paper).hexdigest()[:GRANT_DIGITS]
        with self._recorder.release("grant.issue", actor, **about(record.asked, grant_id)):
            return self._store(record.moved(state, agreement=envelope, grant_id=grant_id, rule="", next_step=""))

    def _sign_agreement(self, record: ContractRecord, product: DataProduct, passage: Passage) -> Envelope:
        asked, now = record.asked, self._papers.clock()
        consumer = self._directory.member(asked["consumer"])
        agreement = Agreement(
            id=f"agreement-{record.contract_id}",
            request_id=record.contract_id,
            product=product.id,
            version=product.version,
            manifest_digest=asked["manifest_digest"],
            provider=self._papers.hospital,
            consumer=consumer.id,
            consumer_keys=ConsumerKeys(consumer.sign_key.hex(), consumer.hpke_key.hex()),
            purpose=asked["access"]["purpose"],
            delivery_modes=(DeliveryMode(asked["delivery_mode"]),),
            expires=ends(product, now, passage.until),
            issued=format_time(now),
            price=ordered_price(product, order_of(asked)),
            columns=order_of(asked).columns,
            quota=product.quota,
            max_rounds=asked["max_rounds"],
            max_deliveries=product.max_deliveries or 1,
            clauses={**clauses_of(product, asked), **(passage.clauses or {})},
        )
        return sign("agreement", agreement.document(), self._papers.hospital, self._papers.sign_key)

    def _spent(self, contract_id: str) -> list[str]:
        try:
            return [str(key) for key in self._documents.get(ROUNDS, contract_id)["rounds"]]
        except NotFound:
            return []

    def _known(self, asked: dict[str, Any]) -> ContractRecord | None:
        """Return the record of this request; raise AccessDenied where its id stands for another one."""
        try:
            record = self._record(asked["contract_id"])
        except NotFound:
            return None
        if digest(record.asked) != digest(asked):
            raise AccessDenied("contract.other", "choose a new contract id", "this id stands for another request")
        return record

    def _record(self, contract_id: str) -> ContractRecord:
        return ContractRecord.from_document(self._documents.get(KIND, contract_id))

    def _store(self, record: ContractRecord) -> ContractRecord:
        self._documents.put(KIND, record.contract_id, record.to_document())
        return record


def is_standing(record: ContractRecord, now: datetime) -> bool:
    """Return whether a licence is agreed and has not ended."""
    if record.agreement is None or record.revoked or record.state == State.TERMINATED:
        return False
    return now < datetime.fromisoformat(record.agreement["document"]["expires"])


def waits(passage: Passage) -> dict[str, str]:
    """Return why a request waits for a person: by the rule about its organisation that asks, if one does."""
    for rule in passage.asks:
        return {"rule": rule.name, "next_step": rule.next.en}
    return {"rule": "approval.pending", "next_step": "the privacy officer decides"}


def ends(product: DataProduct, now: datetime, until: datetime | None = None) -> str:
    """Return when an agreement of today ends: after a year, with the product's terms, or with the use approved."""
    limits = [now + timedelta(days=TERM_DAYS), *([until] if until else [])]
    if product.terms.expires:
        limits.append(datetime.fromisoformat(product.terms.expires))
    return format_time(min(limits))


def round_key(study: str, number: int) -> str:
    """Return how a spent round is named: a study by its digest, for an id may be used again."""
    return f"{study}/{number}"


def about(asked: dict[str, Any], grant_id: str = "") -> Facts:
    """Return what every event of a contract says of it."""
    facts = Facts(
        product=asked["product"],
        version=asked["version"],
        contract=asked["contract_id"],
        purpose=asked["access"]["purpose"],
    )
    if grant_id:
        facts["grant"] = grant_id
    return facts
