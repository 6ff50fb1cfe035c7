"""Other participants as this one's verbs use them: each port over one channel, messages turned into values here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from hdex.catalog.product import DataProduct
from hdex.federated.dealing import DealtKey
from hdex.federated.ports import OpenedSum
from hdex.federated.study import Dealt
from hdex.node.auditor_logs import ShownLog
from hdex.node.container import Part
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, PeerUnavailable
from hdex.node.signed import Envelope
from hdex.node.wire.messages import dump, pack, read_object, record_of, unpack
from hdex.proto.v1 import (
    common_pb2,
    exchange_pb2,
    exchange_pb2_grpc,
    hospital_pb2,
    hospital_pb2_grpc,
    keyholder_pb2,
    keyholder_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
)

Channels = Callable[[str], grpc.Channel]  # participant id -> channel
Say = Callable[[str, str], None]
SIZE_TIMEOUT_S = 10.0
DEAL_TIMEOUT_S, PLAN_TIMEOUT_S = 110.0, 115.0  # two safe primes are drawn; a server lets no ordinary call wait 120


class RemoteExchange:
    """The exchange, for hospitals and buyers."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._products = exchange_pb2_grpc.ExchangeServiceStub(channel)
        self._contracts = exchange_pb2_grpc.ContractServiceStub(channel)
        self._studies = exchange_pb2_grpc.StudyServiceStub(channel)

    def publish(self, manifest: Envelope) -> str:
        return str(self._products.Publish(exchange_pb2.PublishProductRequest(manifest=pack(manifest))).digest)

    def withdraw_product(self, notice: Envelope) -> None:
        self._products.Withdraw(exchange_pb2.WithdrawProductRequest(notice=pack(notice)))

    def amend(self, step: Envelope) -> str:
        return str(self._products.Amend(exchange_pb2.AmendProductRequest(step=pack(step))).state)

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]:
        request = exchange_pb2.FindRequest(text=text, lang=lang, delivery_mode=mode, provider=provider, page_size=100)
        return [DataProduct.from_document(read_object(found)) for found in self._products.Find(request).products]

    def show(self, product_id: str) -> Envelope:
        return unpack(self._products.Show(exchange_pb2.ShowRequest(product_id=product_id)).manifest)

    def request(self, request: Envelope) -> ContractRecord:
        return record_of(self._contracts.Request(exchange_pb2.RequestRequest(request=pack(request))))

    def submit_decision(self, contract_id: str, rule: str, next_step: str) -> ContractRecord:
        message = exchange_pb2.SubmitDecisionRequest(contract_id=contract_id, rule=rule, next_step=next_step)
        return record_of(self._contracts.SubmitDecision(message))

    def submit_agreement(self, agreement: Envelope) -> ContractRecord:
        return record_of(
            self._contracts.SubmitAgreement(exchange_pb2.SubmitAgreementRequest(agreement=pack(agreement)))
        )

    def require_offers(self, contract_id: str) -> None:
        raise AccessDenied(
            "offer.over_dsp",
            "refuse with a reason that says what you would agree to",
            "only who negotiates over the Dataspace Protocol can be offered other terms",
        )

    def submit_offer(self, offer: Envelope) -> ContractRecord:
        self.require_offers(str(offer["document"]["contract_id"]))
        raise AssertionError  # the line above has raised

    def verify(self, agreement: Envelope) -> ContractRecord:
        return record_of(self._contracts.Verify(exchange_pb2.VerifyRequest(agreement=pack(agreement))))

    def status(self, contract_id: str) -> ContractRecord:
        return record_of(self._contracts.GetContract(exchange_pb2.GetContractRequest(contract_id=contract_id)))

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        message = exchange_pb2.RevokeContractRequest(contract_id=contract_id, reason=reason)
        return record_of(self._contracts.Revoke(message))

    def withdraw(self, termination: Envelope) -> ContractRecord:
        """End a negotiation as its consumer."""
        message = exchange_pb2.WithdrawContractRequest(termination=pack(termination))
        return record_of(self._contracts.WithdrawContract(message))

    def plan(self, question: Mapping[str, Any]) -> Document:
        request = exchange_pb2.PlanStudyRequest(question=dump(dict(question)))
        answer = self._studies.Plan(request, timeout=PLAN_TIMEOUT_S)
        return read_object(answer.study)

    def start(self, study: Envelope, say: Say) -> Document:
        return followed(self._studies.Start(exchange_pb2.StartStudyRequest(study=pack(study))), say)


class RemoteHospitals:
    """Hospitals, for the exchange and for buyers. A channel is opened at first use."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def consider(self, provider: str, request: Envelope) -> ContractRecord:
        return record_of(
            self._stub(provider).ConsiderRequest(hospital_pb2.ConsiderRequestRequest(request=pack(request)))
        )

    def confirm(self, provider: str, agreement: Envelope) -> ContractRecord:
        message = hospital_pb2.ConfirmAgreementRequest(agreement=pack(agreement))
        return record_of(self._stub(provider).ConfirmAgreement(message))

    def withdraw(self, provider: str, termination: Envelope) -> ContractRecord:
        message = hospital_pb2.WithdrawRequestRequest(termination=pack(termination))
        return record_of(self._stub(provider).WithdrawRequest(message))

    def standing(self, provider: str, contract_id: str) -> Document:
        message = hospital_pb2.GetStandingRequest(contract_id=contract_id)
        return read_object(self._stub(provider).GetStanding(message).document)

    def attest(self, provider: str, attestation: Envelope) -> Document:
        message = hospital_pb2.AttestDeletionRequest(attestation=pack(attestation))
        return read_object(self._stub(provider).AttestDeletion(message).document)

    def deliver(self, provider: str, contract_id: str, first_chunk: int) -> Iterator[Part]:
        message = hospital_pb2.DeliverRequest(contract_id=contract_id, first_chunk=first_chunk)
        for part in self._stub(provider).Deliver(message):
            yield Part(part.header, part.log_proof, part.index, part.chunk)

    def acknowledge(self, provider: str, receipt: Envelope) -> None:
        self._stub(provider).AcknowledgeDelivery(hospital_pb2.AcknowledgeDeliveryRequest(receipt=pack(receipt)))

    def query(self, provider: str, contract_id: str, question: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return (the answer's JSON as it was logged, the log's proof)."""
        message = hospital_pb2.QueryRequest(contract_id=contract_id, question=dump(dict(question)))
        answer = self._stub(provider).Query(message)
        return answer.answer, answer.log_proof

    def open_share(self, provider: str, contract_id: str) -> Document:
        """Return a Delta Sharing profile; it holds a token."""
        message = hospital_pb2.OpenShareRequest(contract_id=contract_id)
        return read_object(self._stub(provider).OpenShare(message).profile)

    def submit_run(self, provider: str, contract_id: str, script: bytes) -> Document:
        message = hospital_pb2.SubmitRunRequest(contract_id=contract_id, script=script)
        return read_object(self._stub(provider).SubmitRun(message).document)

    def get_run(self, provider: str, contract_id: str, run_id: str) -> tuple[Document, dict[str, bytes]]:
        """Return how a run stands, and its outputs once a person has released them."""
        answer = self._stub(provider).GetRun(hospital_pb2.GetRunRequest(contract_id=contract_id, run_id=run_id))
        return read_object(answer.document), dict(answer.outputs)

    def _stub(self, provider: str) -> hospital_pb2_grpc.HospitalServiceStub:
        return hospital_pb2_grpc.HospitalServiceStub(self._channels(provider))


class RemoteDesk:
    """One's own hospital node, for its staff."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = hospital_pb2_grpc.HospitalAdminServiceStub(channel)

    def ingest(self, dataset: str, path: Path, view: str, say: Say) -> Document:
        request = hospital_pb2.IngestRequest(dataset=dataset, path=str(path.resolve()), view=view)
        return followed(self._stub.Ingest(request), say)

    def classify(self, dataset: str, say: Say) -> Document:
        return followed(self._stub.Classify(hospital_pb2.ClassifyRequest(dataset=dataset)), say)

    def approve(self, kind: str, dataset: str, envelope: Envelope) -> Document:
        request = hospital_pb2.ApproveRequest(kind=kind, dataset=dataset, envelope=pack(envelope))
        return read_object(self._stub.Approve(request).document)

    def deidentify(self, dataset: str, order: Mapping[str, str], say: Say) -> Document:
        return followed(self._stub.Deidentify(hospital_pb2.DeidentifyRequest(dataset=dataset, **order)), say)

    def assess(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        request = hospital_pb2.AssessRequest(dataset=dataset, version=version, terms=dump(dict(offer)))
        return followed(self._stub.Assess(request), say)

    def publish(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        request = hospital_pb2.PublishRequest(dataset=dataset, version=version, terms=dump(dict(offer)))
        return followed(self._stub.Publish(request), say)

    def requests(self) -> list[ContractRecord]:
        return [record_of(found) for found in self._stub.ListRequests(hospital_pb2.ListRequestsRequest()).requests]

    def decide(self, contract_id: str, *, approve: bool, reason: str = "") -> ContractRecord:
        request = hospital_pb2.DecideRequestRequest(contract_id=contract_id, approve=approve, reason=reason)
        return record_of(self._stub.DecideRequest(request))

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        return record_of(self._stub.Revoke(hospital_pb2.RevokeRequest(contract_id=contract_id, reason=reason)))

    def withdraw_consent(self, dataset: str, patient_file: Path) -> Document:
        request = hospital_pb2.WithdrawConsentRequest(dataset=dataset, patient_file=str(patient_file.resolve()))
        return read_object(self._stub.WithdrawConsent(request).document)

    def runs(self) -> list[Document]:
        return [read_object(run) for run in self._stub.ListRuns(hospital_pb2.ListRunsRequest()).runs]

    def status(self) -> Document:
        return read_object(self._stub.Status(hospital_pb2.StatusRequest()).document)

    def read(self, part: str, dataset: str = "", version: str = "") -> Document:
        request = hospital_pb2.ReadDeskRequest(part=part, dataset=dataset, version=version)
        return read_object(self._stub.ReadDesk(request).document)

    def accesses(self, question: Mapping[str, str], *, before: int, limit: int) -> Document:
        request = hospital_pb2.ListAccessesRequest(**question, before=before, skip=0, page_size=limit)
        return read_object(self._stub.ListAccesses(request).document)


class RemoteKeyHolder:
    """The key holder, for the exchange."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = keyholder_pb2_grpc.KeyHolderServiceStub(channel)

    def create_key(self, study_id: str) -> str:
        return str(self._stub.CreateKey(keyholder_pb2.CreateKeyRequest(study_id=study_id)).public_key)

    def deal_key(self, study_id: str, parties: Sequence[str], needed: int) -> DealtKey:
        request = keyholder_pb2.CreateKeyRequest(study_id=study_id, parties=parties, needed=needed)
        response = self._stub.CreateKey(request, timeout=DEAL_TIMEOUT_S)
        dealt = response.dealt
        return DealtKey(
            response.public_key, Dealt(dealt.base, tuple(dealt.checks), tuple(dealt.shares), dealt.signature)
        )

    def open_sum(self, study: Envelope, round_number: int, contributions: list[bytes]) -> OpenedSum:
        request = keyholder_pb2.OpenSumRequest(study=pack(study), round=round_number, contributions=contributions)
        response = self._stub.OpenSum(request)
        return OpenedSum(np.array(response.values, dtype=np.float64), response.proof)


class RemoteWitness:
    """Another participant as a witness of our log."""

    def __init__(self, name: str, channels: Channels) -> None:
        self.name = name
        self._channels = channels

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: str, leaf_hashes: Sequence[bytes]
    ) -> tuple[str, int]:
        request = ledger_pb2.AddCheckpointRequest(
            old_size=old_size, proof=proof, checkpoint=checkpoint, leaf_hashes=leaf_hashes
        )
        stub = ledger_pb2_grpc.WitnessServiceStub(self._channels(self.name))
        answer = stub.AddCheckpoint(request, timeout=SIZE_TIMEOUT_S)
        return answer.cosignature, answer.size


class RemoteLogs:
    """Every participant's log and mirrors, for the auditor."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        """Return the log of a year; its entries come as they are read."""
        request = ledger_pb2.ReadLogRequest(year=year, start=start, end=end)
        call: Any = ledger_pb2_grpc.LogServiceStub(self._channels(node)).ReadLog(request)
        checkpoints, years, first = list[str](), list[int](), list[bytes]()
        for part in call:
            years.extend(part.years)
            checkpoints.extend([part.checkpoint] if part.checkpoint else [])
            if part.entries:
                first = list(part.entries)
                break
        return ShownLog(tuple(checkpoints), tuple(years), streamed(first, call))

    def mirror(self, witness: str, origin: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
        """Return (what the witness last cosigned of a log, the leaf hashes it kept)."""
        stub = ledger_pb2_grpc.WitnessServiceStub(self._channels(witness))
        answer = stub.GetMirror(ledger_pb2.GetMirrorRequest(origin=origin, head_only=head_only))
        return answer.checkpoint, list(answer.leaf_hashes)


def streamed(first: list[bytes], call: Any) -> Iterator[bytes]:
    """Yield the entries of the messages so far and to come; who reads no further ends the call."""
    try:
        yield from first
        for part in call:
            yield from part.entries
    finally:
        call.cancel()


def followed(stream: Iterator[common_pb2.Progress], say: Say) -> Document:
    """Say each step of long work and return its document."""
    for message in stream:
        if message.step == "done":
            return read_object(message.document)
        say(message.step, message.text)
    raise PeerUnavailable("the work ended without a result")
