"""The papers of every negotiation, in Dataspace Protocol words. The exchange keeps them and decides nothing."""

from hdex.catalog.contract import Agreement, Message, Party, State, step
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound, SignatureInvalid
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.ports import Providers
from hdex.node.failpoint import failpoint
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, verify

KIND = "contract"


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

    def request(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep a consumer's request and return what the provider's rules say of it."""
        consumer = self._directory.require(actor.participant, "buyer")
        asked = verify("request", envelope, {consumer.id: consumer.sign_key})
        if asked["consumer"] != consumer.id:
            raise AccessDenied("request.foreign", "sign your own request", "the request names another consumer")
        record = self._begun(asked["contract_id"], envelope)
        if record.state != State.REQUESTED or record.rule:
            return record
        listing = self._listings.live(asked["product"], asked["manifest_digest"])
        with self._recorder.release(
            "contract.request", actor, product=asked["product"], version=asked["version"], contract=record.contract_id
        ):
            self._store(record)
        failpoint("exchange.request.kept")
        return self._keep_answer(record, self._providers.consider(listing.product.provider.id, envelope))

    def decided(self, contract_id: str, rule: str, next_step: str, actor: Identity) -> ContractRecord:
        """Keep the provider's refusal."""
        record = self._of_provider(contract_id, actor)
        if record.state == State.TERMINATED:
            return record
        ended = record.moved(
            step(State(record.state), Party.PROVIDER, Message.TERMINATION), rule=rule, next_step=next_step
        )
        self._recorder.deny("contract.refuse", actor, rule, contract=contract_id)
        return self._store(ended)

    def agreed(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep the agreement that the provider has signed."""
        provider = self._directory.require(actor.participant, "hospital")
        agreement = Agreement.from_document(verify("agreement", envelope, {provider.id: provider.sign_key}))
        record = self._of_provider(agreement.request_id, actor)
        if record.agreement is not None:
            return self._same(record, envelope)
        state = step(State(record.state), Party.PROVIDER, Message.AGREEMENT)
        with self._recorder.release("contract.agree", actor, product=agreement.product, contract=record.contract_id):
            return self._store(record.moved(state, agreement=envelope, rule="", next_step="sign the agreement"))

    def verified(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Keep the consumer's signature below the same agreement and let the provider finalize."""
        document = envelope["document"]
        consumer, provider = document["consumer"], document["provider"]
        if consumer != actor.participant:
            raise AccessDenied("agreement.foreign", "sign your own agreement", "the agreement names another consumer")
        verify("agreement", envelope, self._directory.sign_keys(consumer, provider))
        record = self._same(self._record(document["request_id"]), envelope)
        if record.state == State.AGREED:
            state = step(State.AGREED, Party.CONSUMER, Message.VERIFICATION)
            self._recorder.allow("contract.verify", actor, product=document["product"], contract=record.contract_id)
            record = self._store(record.moved(state, agreement=envelope, next_step="the provider finalizes"))
        failpoint("exchange.agreement.verified")
        if record.state == State.VERIFIED:
            record = self._keep_answer(record, self._providers.confirm(provider, envelope))
        return record

    def revoked(self, contract_id: str, reason: str, actor: Identity) -> ContractRecord:
        """Keep the provider's word that the licence has ended."""
        record = self._of_provider(contract_id, actor)
        with self._recorder.release("grant.revoke", actor, contract=contract_id, grant=record.grant_id):
            return self._store(
                record.moved(
                    record.state, revoked=True, rule="contract.revoked", next_step=reason or "ask the provider"
                )
            )

    def status(self, contract_id: str, actor: Identity) -> ContractRecord:
        """Return the record to the two that negotiate, and to nobody else."""
        record = self._record(contract_id)
        if actor.participant not in {record.asked["consumer"], self._provider(record)}:
            raise AccessDenied("contract.foreign", "", "the contract is between others")
        self._recorder.allow("contract.read", actor, contract=contract_id)
        return record

    def all(self) -> list[ContractRecord]:
        """Return every record, oldest first."""
        return [ContractRecord.from_document(document) for document in self._documents.all(KIND)]

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

    def _keep_answer(self, record: ContractRecord, answer: ContractRecord) -> ContractRecord:
        kept = record.moved(
            answer.state, rule=answer.rule, next_step=answer.next_step, grant_id=answer.grant_id or record.grant_id
        )
        return self._store(kept)

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
        return record
