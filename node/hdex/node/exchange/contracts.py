"""The papers of every negotiation, in Dataspace Protocol words. The exchange keeps them and decides nothing."""

import threading

from hdex.catalog.contract import Agreement, Message, Party, State, step
from hdex.node.contract_record import (
    LONGEST_RULE,
    LONGEST_TEXT,
    ContractRecord,
    named,
    read_request,
    reason_of,
    require_as_asked,
)
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound, RemoteRefused, SignatureInvalid
from hdex.node.exchange.contract_index import ContractIndex
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.ports import Providers
from hdex.node.failpoint import failpoint
from hdex.node.identity import Identity
from hdex.node.looks import Looks
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, verify

KIND = "contract"
STRIPES = 64
UNSAID = "provider.refused"  # the rule where a provider names none
ENDS: dict[str, Message] = {State.FINALIZED: Message.FINALIZE, State.TERMINATED: Message.TERMINATION}


class Contracts:
    """Every step is idempotent: the same paper again returns the record as it stands."""

    def __init__(
        self,
        listings: Listings,
        documents: Documents,
        *,
        directory: Directory,
        providers: Providers,
        recorder: Recorder,
    ) -> None:
        self._listings = listings
        self._documents = documents
        self._directory = directory
        self._providers = providers
        self._recorder = recorder
        self._looks = Looks()
        self._index = ContractIndex(self.all)
        self._locks = [threading.Lock() for _ in range(STRIPES)]  # of the contracts whose names fall to each

    def request(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep a consumer's request and return what the provider's rules say of it."""
        with self._recorder.refusals("contract.request", actor, contract=named(envelope, "contract_id")):
            consumer = self._directory.require(actor.participant, "buyer")
            asked = read_request(verify("request", envelope, {consumer.id: consumer.sign_key}))
            if asked["consumer"] != consumer.id:
                raise AccessDenied("request.foreign", "sign your own request", "the request names another consumer")
            record = self._requested(envelope, asked, actor)
            if is_answered(record):
                return record
            failpoint("exchange.request.kept")
            return self._considered(self._providers.consider(asked["provider"], envelope), asked, actor)

    def decided(self, contract_id: str, rule: str, next_step: str, actor: Identity) -> ContractRecord:
        """Keep the provider's refusal."""
        with self._recorder.refusals("contract.refuse", actor, contract=contract_id), self._changing(contract_id):
            record = self._of_provider(contract_id, actor)
            if record.state == State.TERMINATED:
                return record
            ended = step(State(record.state), Party.PROVIDER, Message.TERMINATION)
            said = {"rule": rule[:LONGEST_RULE] or UNSAID, "next_step": next_step[:LONGEST_TEXT]}
            self._recorder.deny("contract.refuse", actor, said["rule"], contract=contract_id)
            return self._store(record.moved(ended, **said))

    def agreed(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep the agreement that the provider has signed, when it states what was asked."""
        contract_id = named(envelope, "request_id")
        with self._recorder.refusals("contract.agree", actor, contract=contract_id), self._changing(contract_id):
            provider = self._directory.require(actor.participant, "hospital")
            agreement = Agreement.from_document(verify("agreement", envelope, {provider.id: provider.sign_key}))
            record = self._of_provider(agreement.request_id, actor)
            if record.agreement is not None:
                return self._same(record, envelope)
            require_as_asked(record.asked, envelope["document"])
            state = step(State(record.state), Party.PROVIDER, Message.AGREEMENT)
            with self._recorder.release(
                "contract.agree", actor, product=agreement.product, contract=record.contract_id
            ):
                return self._store(record.moved(state, agreement=envelope, rule="", next_step="sign the agreement"))

    def verified(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep the consumer's signature below the same agreement and let the provider finalize."""
        with self._recorder.refusals("contract.verify", actor, contract=named(envelope, "request_id")):
            record = self._countersigned(envelope, actor)
            failpoint("exchange.agreement.verified")
            if record.state != State.VERIFIED:
                return record
            answer = self._providers.confirm(self._provider(record), envelope)
            return self._confirmed(record.contract_id, answer)

    def revoked(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """Keep the provider's word that the licence has ended."""
        with self._recorder.refusals("grant.revoke", actor, contract=contract_id), self._changing(contract_id):
            record = self._of_provider(contract_id, actor)
            if record.revoked:
                return record
            facts = Facts(contract=contract_id, **({"grant": record.grant_id} if record.grant_id else {}))
            with self._recorder.release("grant.revoke", actor, **facts):
                said = {"rule": "contract.revoked", "next_step": reason[:LONGEST_TEXT] or "ask the provider"}
                return self._store(record.moved(record.state, revoked=True, **said))

    def withdrawn(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """End a negotiation by its consumer's paper {contract_id, reason, at}: the provider first, then here."""
        with self._recorder.refusals("contract.terminate", actor, contract=named(envelope, "contract_id")):
            consumer = self._directory.require(actor.participant, "buyer")
            reason = reason_of(verify("termination", envelope, {consumer.id: consumer.sign_key}))
            record = self._record(named(envelope, "contract_id"))
            if record.asked["consumer"] != consumer.id:
                raise AccessDenied("contract.foreign", "", "the contract is between others")
            if record.state == State.TERMINATED:
                return record
            step(State(record.state), Party.CONSUMER, Message.TERMINATION)
            self._tell_withdrawn(record, envelope)
            with self._changing(record.contract_id):
                record = self._record(record.contract_id)
                ended = step(State(record.state), Party.CONSUMER, Message.TERMINATION)
                with self._recorder.release("contract.terminate", actor, contract=record.contract_id):
                    said = {"rule": "consumer.withdrew", "next_step": reason}
                    return self._store(record.moved(ended, **said))

    def status(self, contract_id: str, actor: Identity) -> ContractRecord:
        """Return the record to the two that negotiate, and to nobody else; the same again soon is no second event."""
        with self._recorder.refusals("contract.read", actor, contract=contract_id):
            record = self._record(contract_id)
            if actor.participant not in {record.asked["consumer"], self._provider(record)}:
                raise AccessDenied("contract.foreign", "", "the contract is between others")
            told = record.to_document()
            self._looks.once(
                actor, contract_id, told, lambda: self._recorder.allow("contract.read", actor, contract=contract_id)
            )
            return record

    def mine(
        self, actor: Identity, *, state: str = "", product: str = "", after: str = "", size: int | None = None
    ) -> list[ContractRecord]:
        """Return the contracts of the caller's organisation, as consumer or provider, in the order of their ids.

        after: the id behind which they begin. size: of a page; one more is returned where there are more, and no
        others are read.
        """
        most = None if size is None else size + 1
        names = self._index.of(actor.participant, state=state, product=product, after=after, most=most)
        self._recorder.allow("contract.read", actor, rows=len(names[:size]))
        return [self._record(name) for name in names]

    def level(self, record: ContractRecord) -> int:
        """Return the level of the product that a contract is about. Raises NotListed when it is no longer listed."""
        return self._listings.live(record.asked["product"], record.asked["manifest_digest"]).product.level

    def known(self, contract_id: str) -> ContractRecord | None:
        """Return a record as this exchange's own parts ask for it; None where there is none."""
        try:
            return self._record(contract_id)
        except NotFound:
            return None

    def all(self) -> list[ContractRecord]:
        """Return every record, oldest first."""
        return [ContractRecord.from_document(document) for document in self._documents.all(KIND)]

    def _changing(self, contract_id: str) -> threading.Lock:
        """Return what is held while a record is read and replaced in one step; not while a peer is asked."""
        return self._locks[hash(contract_id) % STRIPES]

    def _tell_withdrawn(self, record: ContractRecord, envelope: Envelope) -> None:
        """Tell the provider, unless a stop came before it was ever asked."""
        try:
            self._providers.withdraw(self._provider(record), envelope)
        except NotFound:
            return
        except RemoteRefused as refused:
            if refused.status != "NOT_FOUND":
                raise

    def _requested(self, envelope: Envelope, asked: Document, actor: Identity) -> ContractRecord:
        """Return the record of a request; a new one is remembered and kept first."""
        with self._changing(asked["contract_id"]):
            record = self._begun(asked["contract_id"], envelope)
            if is_answered(record):
                return record
            product = self._listings.live(asked["product"], asked["manifest_digest"]).product
            if (product.provider.id, product.version) != (asked["provider"], asked["version"]):
                raise AccessDenied("request.product", "ask for what is listed", "the provider or version is another")
            with self._recorder.release(
                "contract.request", actor, product=product.id, version=product.version, contract=record.contract_id
            ):
                return self._store(record)

    def _begun(self, contract_id: str, envelope: Envelope) -> ContractRecord:
        try:
            record = self._record(contract_id)
        except NotFound:
            return ContractRecord(contract_id, step(None, Party.CONSUMER, Message.REQUEST), envelope)
        if digest(record.asked) != digest(envelope["document"]):
            raise AccessDenied(
                "contract.other", "choose a new contract id", "this contract id stands for another request"
            )
        return record

    def _considered(self, answer: ContractRecord, asked: Document, actor: Identity) -> ContractRecord:
        """Keep what the provider's rules say, unless its person was faster and has decided meanwhile."""
        with self._changing(asked["contract_id"]):
            record = self._record(asked["contract_id"])
            if is_answered(record):
                return record
            if answer.state != State.TERMINATED:
                said = {"rule": answer.rule or "approval.pending", "next_step": answer.next_step}
                return self._store(record.moved(State.REQUESTED, **said))
            ended = step(State(record.state), Party.PROVIDER, Message.TERMINATION)
            rule = answer.rule or UNSAID
            self._recorder.deny("contract.refuse", actor, rule, product=asked["product"], contract=record.contract_id)
            return self._store(record.moved(ended, rule=rule, next_step=answer.next_step))

    def _countersigned(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        agreement = Agreement.from_document(envelope["document"])
        if agreement.consumer != actor.participant:
            raise AccessDenied("agreement.foreign", "sign your own agreement", "the agreement names another consumer")
        verify("agreement", envelope, self._directory.sign_keys(agreement.consumer, agreement.provider))
        with self._changing(agreement.request_id):
            record = self._same(self._record(agreement.request_id), envelope)
            if record.revoked:
                raise AccessDenied("contract.revoked", record.next_step, "the provider has ended it")
            if record.state != State.AGREED:
                return record
            state = step(State.AGREED, Party.CONSUMER, Message.VERIFICATION)
            self._recorder.allow("contract.verify", actor, product=agreement.product, contract=record.contract_id)
            return self._store(record.moved(state, agreement=envelope, next_step="the provider finalizes"))

    def _confirmed(self, contract_id: str, answer: ContractRecord) -> ContractRecord:
        """Keep the provider's last word on a verified agreement: final, or ended."""
        with self._changing(contract_id):
            record = self._record(contract_id)
            if record.state != State.VERIFIED or answer.state not in ENDS:
                return record
            state = step(State.VERIFIED, Party.PROVIDER, ENDS[answer.state])
            said = {"rule": answer.rule, "next_step": answer.next_step, "grant_id": answer.grant_id}
            return self._store(record.moved(state, **said))

    def _same(self, record: ContractRecord, envelope: Envelope) -> ContractRecord:
        if record.agreement is None or digest(record.agreement["document"]) != digest(envelope["document"]):
            raise SignatureInvalid("this is not the agreement that the provider has signed")
        return record

    def _of_provider(self, contract_id: str, actor: Identity) -> ContractRecord:
        record = self._record(contract_id)
        if self._provider(record) != actor.participant:
            raise AccessDenied("contract.foreign", "", "the contract has another provider")
        return record

    def _provider(self, record: ContractRecord) -> str:
        return str(record.asked["provider"])

    def _record(self, contract_id: str) -> ContractRecord:
        return ContractRecord.from_document(self._documents.get(KIND, contract_id))

    def _store(self, record: ContractRecord) -> ContractRecord:
        self._documents.put(KIND, record.contract_id, record.to_document())
        self._index.take(record)
        return record


def is_answered(record: ContractRecord) -> bool:
    """Return whether the provider has said anything to a request."""
    return record.state != State.REQUESTED or bool(record.rule)
