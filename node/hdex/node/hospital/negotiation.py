"""A provider's side of a contract: rules first, then a person, then two signatures, then the grant."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.contract import Agreement, ConsumerKeys, Message, Party, State, agreement_digest, step
from hdex.catalog.documents import from_document
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import AccessRequest, Outcome, decide
from hdex.ledger.event import format_time
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.facts import ChainFacts
from hdex.node.failpoint import failpoint
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, canonical, digest, sign, verify

KIND = "contract"
TERM_DAYS = 365
GRANT_DIGITS = 32


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
        directory: Directory, exchange: Exchange, recorder: Recorder, facts: ChainFacts, meter: Meter,
    ) -> None:  # fmt: skip
        self._papers = papers
        self._documents = documents
        self._products = products
        self._directory = directory
        self._exchange = exchange
        self._recorder = recorder
        self._facts = facts
        self._meter = meter

    def consider(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Return TERMINATED with the rule and the next step, or REQUESTED: then a person decides."""
        consumer = self._directory.require(str(envelope["document"].get("consumer")), "buyer")
        asked = verify("request", envelope, {consumer.id: consumer.sign_key})
        known = self._known(asked["contract_id"])
        if known is not None and digest(known.asked) == digest(asked):
            return known
        record = ContractRecord(asked["contract_id"], step(None, Party.CONSUMER, Message.REQUEST), envelope)
        product = self._products.live(asked["product"], asked["manifest_digest"])
        refusal = self._refusal(product, asked)
        if refusal is not None:
            self._recorder.deny("contract.refuse", actor, refusal.rule, **about(asked))
            ended = step(State.REQUESTED, Party.PROVIDER, Message.TERMINATION)
            return self._store(record.moved(ended, rule=refusal.rule, next_step=refusal.next_step))
        with self._recorder.release("contract.request", actor, **about(asked)):
            return self._store(
                record.moved(record.state, rule="approval.pending", next_step="the privacy officer decides")
            )

    def decide(self, contract_id: str, actor: Identity, *, approved: bool, reason: str = "") -> ContractRecord:
        """Sign the agreement, or refuse: a person of this hospital says which."""
        record = self._record(contract_id)
        if record.state not in {State.REQUESTED, State.AGREED}:
            return record
        if not approved:
            return self._refuse(record, actor, reason)
        agreement = record.agreement or self._sign_agreement(record)
        with self._recorder.release("contract.agree", actor, **about(record.asked)):
            record = self._store(
                record.moved(State.AGREED, agreement=agreement, rule="", next_step="the consumer signs")
            )
        failpoint("hospital.agreement.signed")
        self._meter.add("papers", len(canonical(agreement)))
        self._exchange.submit_agreement(agreement)
        return record

    def confirm(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Finalize an agreement that both have signed and issue its grant."""
        agreement = Agreement.from_document(envelope["document"])
        record = self._record(agreement.request_id)
        verify("agreement", envelope, self._directory.sign_keys(agreement.consumer, agreement.provider))
        if record.agreement is None or digest(record.agreement["document"]) != digest(envelope["document"]):
            raise AccessDenied(
                "agreement.other", "sign the agreement that was sent", "this is not the agreement we signed"
            )
        paper = bytes.fromhex(agreement_digest(envelope["document"]))
        if record.state != State.FINALIZED:
            record = self._finalize(record, envelope, paper, actor)
        failpoint("hospital.grant.issued")
        self._facts.issue_grant(record.grant_id, paper, datetime.fromisoformat(agreement.expires))
        return record

    def revoke(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """End a licence: the next range and the next round are refused."""
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

    def require_live(self, contract_id: str, mode: DeliveryMode, consumer: str) -> tuple[ContractRecord, Agreement]:
        """Return a contract that covers this mode for this consumer now, or raise."""
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
        self._facts.require_not_revoked(record.grant_id, self._papers.clock())
        return record, agreement

    def consumer_of(self, contract_id: str) -> str:
        """Return who holds a contract."""
        return str(self._record(contract_id).asked["consumer"])

    def grant_of(self, contract_id: str) -> str:
        """Return the grant that stands on the chain for a contract; empty before it is issued."""
        return self._record(contract_id).grant_id

    def all(self) -> list[ContractRecord]:
        """Return every record, oldest first."""
        return [ContractRecord.from_document(document) for document in self._documents.all(KIND)]

    def _refusal(self, product: DataProduct, asked: dict[str, object]) -> AccessDenied | None:
        mode = str(asked["delivery_mode"])
        if not product.allows(mode):
            offered = ", ".join(product.delivery_modes)
            return AccessDenied(f"level.{product.level}.no_{mode}", f"ask for delivery mode {offered}")
        decision = decide(product.terms, from_document(AccessRequest, asked["access"]))
        if decision.outcome == Outcome.PROHIBITED:
            return AccessDenied(decision.rule, decision.next_step)
        return None

    def _finalize(self, record: ContractRecord, envelope: Envelope, paper: bytes, actor: Identity) -> ContractRecord:
        verified = step(State(record.state), Party.CONSUMER, Message.VERIFICATION)
        state = step(verified, Party.PROVIDER, Message.FINALIZE)
        grant_id = hashlib.sha256(b"hdex/grant/v1\n" + paper).hexdigest()[:GRANT_DIGITS]
        with self._recorder.release("grant.issue", actor, **about(record.asked, grant_id)):
            return self._store(record.moved(state, agreement=envelope, grant_id=grant_id, rule="", next_step=""))

    def _refuse(self, record: ContractRecord, actor: Identity, reason: str) -> ContractRecord:
        self._recorder.deny("contract.refuse", actor, "person.refused", **about(record.asked))
        ended = step(State(record.state), Party.PROVIDER, Message.TERMINATION)
        record = self._store(record.moved(ended, rule="person.refused", next_step=reason))
        self._exchange.submit_decision(record.contract_id, record.rule, record.next_step)
        return record

    def _sign_agreement(self, record: ContractRecord) -> Envelope:
        asked, now = record.asked, self._papers.clock()
        consumer = self._directory.member(asked["consumer"])
        product = self._products.live(asked["product"], asked["manifest_digest"])
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
            expires=format_time(now + timedelta(days=TERM_DAYS)),
            issued=format_time(now),
            price=product.price,
            max_rounds=int(asked["max_rounds"]),
            clauses={"re_identification": "prohibited", "redistribution": "prohibited", "breach_notice_hours": 24},
        )
        return sign("agreement", agreement.document(), self._papers.hospital, self._papers.sign_key)

    def _known(self, contract_id: str) -> ContractRecord | None:
        try:
            return self._record(contract_id)
        except NotFound:
            return None

    def _record(self, contract_id: str) -> ContractRecord:
        return ContractRecord.from_document(self._documents.get(KIND, contract_id))

    def _store(self, record: ContractRecord) -> ContractRecord:
        self._documents.put(KIND, record.contract_id, record.to_document())
        return record


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
