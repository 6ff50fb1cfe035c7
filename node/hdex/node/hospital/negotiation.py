"""A provider's side of a contract: rules first, then a person, then two signatures, then the grant."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hdex.catalog.contract import Agreement, Message, Party, State, agreement_digest, step
from hdex.catalog.contract_life import LifeState
from hdex.catalog.licence import Access, limits_of
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.quote import ordered_price
from hdex.catalog.terms import Outcome
from hdex.ledger.event import format_time
from hdex.node.answer_rules import AnswerRule, rule_of
from hdex.node.authz import Authorizer
from hdex.node.contract_record import (
    RENEWS,
    UNTIL,
    ContractRecord,
    bargained,
    named,
    order_of,
    read_request,
    reason_of,
    require_active,
    require_read,
)
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.contract_draft import draft, ends, is_standing, require_renewable
from hdex.node.hospital.contract_gate import ContractGate, Passage, require_nobody, waits
from hdex.node.hospital.contract_lives import ContractLives
from hdex.node.hospital.contract_shelf import about
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.terms_gate import TermsGate
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, canonical, digest, sign, verify

GRANT_DIGITS = 32
LEVEL_5 = 5
DECIDE = "HospitalAdminService.DecideRequest"  # action of the policies
TWO_ROLES = 2  # give level 5 together: the policies name them
DECIDED = (State.REQUESTED, State.OFFERED, State.ACCEPTED, State.AGREED)  # by a person, who may still say no
REFUSED, WITHDRAWN = "person.refused", "consumer.withdrew"
TERMINATION = "termination"  # a paper by which a consumer ends a negotiation
Takes = Mapping[str, int | float]


class Negotiations:
    """The provider's records of its contracts. Every verb may be called again with the same paper."""

    def __init__(
        self, signer: Signatory, documents: Documents, products: Products, *,
        directory: Directory, exchange: Exchange, authorizer: Authorizer, recorder: Recorder, facts: ChainFacts,
        meter: Meter, gate: ContractGate, lives: ContractLives,
    ) -> None:  # fmt: skip
        self._signer = signer
        self._products = products
        self._directory = directory
        self._exchange = self.exchange = exchange
        self._authorizer = authorizer
        self._recorder = recorder
        self._facts = facts
        self._meter = meter
        self._gate = gate
        self._borders = Borders(signer.hospital, documents, directory)
        self._terms = TermsGate(signer.hospital, authorizer, signer.clock)
        self.lives = lives
        self._shelf = lives.shelf

    def consider(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Return TERMINATED with the rule and the next step, or REQUESTED: then a person decides."""
        with self._recorder.refusals("contract.request", actor, contract=named(envelope, "contract_id")):
            consumer = self._directory.require(named(envelope, "consumer"), "buyer")
            asked = read_request(verify("request", envelope, {consumer.id: consumer.sign_key}))
            self._gate.refresh(consumer.id)
            self.lives.sweep()
            with self._shelf.changing:
                return self._known(asked) or self._considered(envelope, asked, actor)

    def decide(
        self, contract_id: str, actor: Identity, *, approved: bool, reason: str = "", rule: AnswerRule | None = None,
        read: str = "",
    ) -> ContractRecord:  # fmt: skip
        """Sign the agreement, or refuse: a person of this hospital says which; of level 5 two persons do.

        rule: by which the hospital agrees without one. read: the digest of the request that was read, where known;
        another one is not decided.
        """
        with self._recorder.refusals("contract.agree" if approved else "contract.refuse", actor, contract=contract_id):
            self._gate.refresh(str(self._record(contract_id).asked["consumer"]))
            with self._shelf.changing:
                require_read(self._record(contract_id), read)
                record = self._decided(self._record(contract_id), actor, approved=approved, reason=reason, rule=rule)
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
            with self._shelf.changing:
                record = self._record(agreement.request_id)
                if record.agreement is None or digest(record.agreement["document"]) != digest(envelope["document"]):
                    raise AccessDenied(
                        "agreement.other", "sign the agreement that was sent", "this is not the agreement we signed"
                    )
                if record.revoked:
                    raise AccessDenied("contract.revoked", record.next_step, "the contract was revoked")
                held = self._products.serving(agreement.product, agreement.manifest_digest, self._signer.clock())
                if record.state != State.FINALIZED:
                    self._require_still(held.product, record)
                    record = self._finalize(record, envelope, paper, actor)
            failpoint("hospital.grant.issued")
            self._facts.issue_grant(record.grant_id, paper, datetime.fromisoformat(agreement.expires))
            if RENEWS in record.asked:
                self.lives.renewed(record.asked[RENEWS], record.contract_id, actor)
            return record

    def withdraw(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """End a negotiation by its consumer's paper {contract_id, reason, at}, whoever carries it."""
        with self._recorder.refusals("contract.terminate", actor, contract=named(envelope, "contract_id")):
            record = self._record(named(envelope, "contract_id"))
            paper = verify(TERMINATION, envelope, self._directory.sign_keys(str(record.asked["consumer"])))
            return self.withdrawn(record.contract_id, reason_of(paper), actor)

    def withdrawn(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """Keep that the consumer has ended a negotiation; again changes nothing. Raises TransitionForbidden."""
        with self._shelf.changing:
            record = self._record(contract_id)
            if record.state == State.TERMINATED:
                return record
            ended = step(State(record.state), Party.CONSUMER, Message.TERMINATION)
            with self._recorder.release("contract.terminate", actor, **about(record.asked)):
                return self._store(record.moved(ended, rule=WITHDRAWN, next_step=reason))

    def revoke(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """End a licence: the next range and the next round are refused."""
        with self._recorder.refusals("grant.revoke", actor, contract=contract_id), self._shelf.changing:
            record = self._record(contract_id)
            if not record.revoked and record.lives is not None:
                record = self.lives.revoke(record, reason, actor)
            elif not record.revoked:
                with self._recorder.release("grant.revoke", actor, **about(record.asked, record.grant_id)):
                    record = self._store(
                        record.moved(record.state, revoked=True, rule="contract.revoked", next_step=reason)
                    )
        if record.grant_id:
            self._facts.revoke_grant(record.grant_id)  # again after a crash: a fact that stands is success
        self._exchange.revoke(contract_id, reason)
        return record

    def require_live(
        self, contract_id: str, mode: DeliveryMode, consumer: str, takes: Takes | None = None
    ) -> tuple[ContractRecord, Agreement]:
        """Return a contract that covers this access of this consumer now, or raise.

        takes: how much the access takes of each limit, by its name; what was used before is counted from the log.
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
        agreement.require(mode, purpose=record.asked["access"]["purpose"], at=self._signer.clock())
        require_active(record)
        held = self._products.serving(agreement.product, agreement.manifest_digest, self._signer.clock())
        self._within(record, agreement, held.product, Access(mode.value, takes=takes or {}))
        self._require_within(agreement.product, agreement.version, consumer)
        self._gate.require_not_revoked(consumer)
        self._facts.require_not_revoked(record.grant_id, self._signer.clock())
        return record, agreement

    def require_takes(self, record: ContractRecord, agreement: Agreement, mode: DeliveryMode, takes: Takes) -> None:
        """Raise AccessDenied where an access of a live contract, whose size is known only now, passes a limit."""
        if set(takes) & set(limits_of(agreement)):
            held = self._products.serving(agreement.product, agreement.manifest_digest, self._signer.clock())
            self._within(record, agreement, held.product, Access(mode.value, takes=takes))

    def require_round(self, contract_id: str, agreement: Agreement, name: str) -> None:
        """Raise AccessDenied unless the round of this name was joined already, or the contract has one left.

        The contract's rounds are those of all studies together: else a new study id would buy as many again.
        """
        if name not in self.lives.book.rounds(contract_id):
            self.require_takes(self._record(contract_id), agreement, DeliveryMode.FEDERATED, {"rounds": 1})

    def _within(self, record: ContractRecord, agreement: Agreement, product: DataProduct, access: Access) -> None:
        """Hold one access against terms and agreement, with what the log says was used before."""
        used = self.lives.book.spent(record.contract_id)
        self._terms.require(product, agreement, record.asked, replace(access, used=used))

    @property
    def hospital(self) -> str:
        """Who signs here."""
        return self._signer.hospital

    def get(self, contract_id: str) -> ContractRecord:
        """Return one record. Raises NotFound."""
        return self._record(contract_id)

    def product_of(self, contract_id: str) -> DataProduct:
        """Return the version that a contract is about, while it serves."""
        asked = self._record(contract_id).asked
        return self._products.serving(asked["product"], asked["manifest_digest"], self._signer.clock()).product

    def consumer_of(self, contract_id: str) -> str:
        """Return who holds a contract."""
        return str(self._record(contract_id).asked["consumer"])

    def grant_of(self, contract_id: str) -> str:
        """Return the grant that stands on the chain for a contract; empty before it is issued."""
        return self._record(contract_id).grant_id

    def all(self) -> list[ContractRecord]:
        """Return every record, oldest first."""
        return self._shelf.all()

    def _considered(self, envelope: Envelope, asked: dict[str, Any], actor: Identity) -> ContractRecord:
        record = ContractRecord(asked["contract_id"], step(None, Party.CONSUMER, Message.REQUEST), envelope)
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if (product.provider.id, product.version) != (asked["provider"], asked["version"]):
            raise AccessDenied("request.product", "ask for what is listed", "the provider or version is another")
        passage = self.passage(product, asked)
        if isinstance(passage, AccessDenied):
            self._recorder.deny("contract.refuse", actor, passage.rule, **about(asked))
            ended = step(State.REQUESTED, Party.PROVIDER, Message.TERMINATION)
            return self._store(record.moved(ended, rule=passage.rule, next_step=passage.next_step))
        with self._recorder.release("contract.request", actor, **about(asked)):
            return self._store(record.moved(record.state, **waits(passage)))

    def _decided(
        self, record: ContractRecord, actor: Identity, *, approved: bool, reason: str, rule: AnswerRule | None
    ) -> ContractRecord:
        if record.state not in DECIDED or record.revoked:
            return record
        if not approved:
            self._recorder.deny("contract.refuse", actor, REFUSED, **about(record.asked))
            ended = step(State(record.state), Party.PROVIDER, Message.TERMINATION)
            return self._store(record.moved(ended, rule=REFUSED, next_step=reason))
        if record.state == State.AGREED:
            return record
        step(State(record.state), Party.PROVIDER, Message.AGREEMENT)  # not while an offer waits for its answer
        asked = record.asked
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if product.terms.expires and self._signer.clock() >= datetime.fromisoformat(product.terms.expires):
            raise AccessDenied("terms.expired", "offer a new version with new terms", "the product's terms have ended")
        self._require_within(product.id, product.version, record.asked["consumer"])  # the grade may have changed
        self.lives.require_attested(record.asked["consumer"])
        passage = self._gate.require(product, asked, self._signer.clock())
        self._require_licence(product, asked)
        self._require_renewable(product, asked, passage)
        self._require_may(actor, product.level)  # at the door the level was not known
        if rule is not None:
            require_nobody(product.level, self._terms.consider(product, asked).outcome, passage)
        if product.level >= LEVEL_5 or passage.asks:
            record = self._approved(record, actor)
            if len(record.approvals) < TWO_ROLES:
                return record
        agreement = self._sign_agreement(record, product, passage)
        facts = about(record.asked) | (Facts(policy_digest=rule.digest()) if rule else Facts())
        with self._recorder.release("contract.agree", actor, rule=rule_of(actor), **facts):
            said = {"agreement": agreement, "rule": "", "next_step": "the consumer signs"}
            if rule is not None:
                record = record.moved(record.state, bargain=self._by_rule(record, rule))
            return self._store(record.moved(step(State(record.state), Party.PROVIDER, Message.AGREEMENT), **said))

    def require_nobody(self, record: ContractRecord, actor: Identity) -> None:
        """Raise AccessDenied where a request is left to people, or passes the rules no more."""
        asked = record.asked
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if isinstance(passage := self.passage(product, asked), AccessDenied):
            raise passage
        require_nobody(product.level, self._terms.consider(product, asked).outcome, passage)
        self._require_may(actor, product.level)

    def _require_may(self, actor: Identity, level: int) -> None:
        data: dict[str, str | int] = {"kind": "hospital", "participant": self._signer.hospital, "level": level}
        self._authorizer.decide(actor, DECIDE, data).require()

    def _by_rule(self, record: ContractRecord, rule: AnswerRule) -> tuple[Document, ...]:
        return bargained(record, "agree", self._signer.clock(), by=rule.by, policy=rule.digest())

    def _approved(self, record: ContractRecord, actor: Identity) -> ContractRecord:
        """Return the record with one more approval: two persons of two roles give level 5."""
        if actor.role in record.approvals:
            return record
        with self._recorder.release("study.approve", actor, **about(record.asked)):
            said = {"rule": "approval.second", "next_step": "a person of another role decides too"}
            approvals = sorted({*record.approvals, actor.role})
            return self._store(record.moved(record.state, approvals=approvals, **said))

    def passage(self, product: DataProduct, asked: dict[str, Any]) -> Passage | AccessDenied:
        """Return what the contract may be where it may wait for a person, or why the rules refuse it."""
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
            self.lives.require_attested(asked["consumer"])
            passage = self._gate.require(product, asked, self._signer.clock())
            self._require_renewable(product, asked, passage)
        except AccessDenied as refused:
            return refused
        return passage

    def _require_within(self, product: str, version: str, consumer: str) -> None:
        """Raise AccessDenied where the national grade keeps this version from where the consumer stores things."""
        self._borders.require_recipient(self._products.dataset(product), version, consumer)

    def _require_still(self, product: DataProduct, record: ContractRecord) -> None:
        """Raise AccessDenied where what stood when the agreement was signed stands no more: vetting, attestations."""
        self.lives.require_attested(record.asked["consumer"])
        self._require_renewable(product, record.asked, self._gate.require(product, record.asked, self._signer.clock()))

    def _require_renewable(self, product: DataProduct, asked: dict[str, Any], passage: Passage) -> None:
        """Raise AccessDenied where a request is a renewal that may not be."""
        if RENEWS in asked:
            expires = ends(product, self._signer.clock(), passage.until, asked.get(UNTIL))
            require_renewable(self._shelf.find(asked[RENEWS]), asked, expires)

    def _require_licence(self, product: DataProduct, asked: dict[str, Any]) -> None:
        """Raise AccessDenied where as many licences stand as the product allows: one that has ended frees its place.

        So does the one that this request renews.
        """
        if product.max_licences is None:
            return
        now, renews = self._signer.clock(), asked.get(RENEWS)
        others = [one for one in self.all() if one.asked["product"] == product.id and one.contract_id != renews]
        standing = sum(is_standing(one, now) for one in others)
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
            said = {
                "rule": "",
                "next_step": "",
                "life": LifeState.ACTIVE.value,
                "since": format_time(self._signer.clock()),
            }
            return self._store(record.moved(state, agreement=envelope, grant_id=grant_id, **said))

    def _sign_agreement(self, record: ContractRecord, product: DataProduct, passage: Passage) -> Envelope:
        consumer = self._directory.member(record.asked["consumer"])
        agreement = draft(record, product, passage, consumer=consumer, now=self._signer.clock())
        return sign("agreement", agreement.document(), self._signer.hospital, self._signer.sign_key)

    def _known(self, asked: dict[str, Any]) -> ContractRecord | None:
        """Return the record of this request; raise AccessDenied where its id stands for another one."""
        record = self._shelf.find(asked["contract_id"])
        if record is not None and digest(record.asked) != digest(asked):
            raise AccessDenied("contract.other", "choose a new contract id", "this id stands for another request")
        return record

    def _record(self, contract_id: str) -> ContractRecord:
        return self._shelf.get(contract_id)

    def _store(self, record: ContractRecord) -> ContractRecord:
        return self._shelf.store(record)
