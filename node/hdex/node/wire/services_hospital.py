"""A hospital's gRPC services: messages to values, a verb, values to messages. Nothing is decided here."""

from collections.abc import Iterator
from pathlib import Path

import grpc

from hdex.node.hospital.accesses import Question
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.publishing import Offer
from hdex.node.hospital.releases import ReleaseOrder
from hdex.node.wire.interceptors import caller
from hdex.node.wire.messages import dump, progress, read_object, status_message, unpack
from hdex.node.wire.server import Adder
from hdex.proto.v1 import common_pb2, hospital_pb2, hospital_pb2_grpc

Context = grpc.ServicerContext


class HospitalAdminServicer(hospital_pb2_grpc.HospitalAdminServiceServicer):
    """What staff ask of their own node."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital

    def Ingest(self, request: hospital_pb2.IngestRequest, context: Context) -> Iterator[common_pb2.Progress]:
        actor = caller(context)
        return progress(
            lambda say: self._hospital.datasets.ingest(
                request.dataset, Path(request.path), request.view, actor=actor, say=say
            )
        )

    def Classify(self, request: hospital_pb2.ClassifyRequest, context: Context) -> Iterator[common_pb2.Progress]:
        actor = caller(context)
        return progress(lambda say: self._hospital.classifications.classify(request.dataset, actor=actor, say=say))

    def Approve(self, request: hospital_pb2.ApproveRequest, context: Context) -> hospital_pb2.ApproveResponse:
        envelope, actor = unpack(request.envelope), caller(context)
        document = self._hospital.approve(request.kind, request.dataset, envelope, actor=actor)
        return hospital_pb2.ApproveResponse(document=dump(document))

    def Deidentify(self, request: hospital_pb2.DeidentifyRequest, context: Context) -> Iterator[common_pb2.Progress]:
        order = ReleaseOrder(
            dataset=request.dataset,
            preset=request.preset,
            purpose=request.purpose,
            recipient_class=request.recipient_class,
        )
        actor = caller(context)
        return progress(lambda say: self._hospital.releases.deidentify(order, actor=actor, say=say))

    def Assess(self, request: hospital_pb2.AssessRequest, context: Context) -> Iterator[common_pb2.Progress]:
        actor, offer = caller(context), Offer.from_document(read_object(request.terms))
        return progress(
            lambda say: self._hospital.publishing.assess(request.dataset, request.version, offer, actor=actor, say=say)
        )

    def Publish(self, request: hospital_pb2.PublishRequest, context: Context) -> Iterator[common_pb2.Progress]:
        actor, offer = caller(context), Offer.from_document(read_object(request.terms))
        return progress(
            lambda say: self._hospital.publishing.publish(request.dataset, request.version, offer, actor=actor, say=say)
        )

    def ListRequests(
        self, request: hospital_pb2.ListRequestsRequest, context: Context
    ) -> hospital_pb2.ListRequestsResponse:
        records = self._hospital.negotiations.all()
        return hospital_pb2.ListRequestsResponse(requests=[status_message(record) for record in records])

    def DecideRequest(self, request: hospital_pb2.DecideRequestRequest, context: Context) -> common_pb2.ContractStatus:
        record = self._hospital.negotiations.decide(
            request.contract_id, caller(context), approved=request.approve, reason=request.reason
        )
        return status_message(record)

    def Revoke(self, request: hospital_pb2.RevokeRequest, context: Context) -> common_pb2.ContractStatus:
        return status_message(self._hospital.negotiations.revoke(request.contract_id, request.reason, caller(context)))

    def WithdrawConsent(
        self, request: hospital_pb2.WithdrawConsentRequest, context: Context
    ) -> hospital_pb2.WithdrawConsentResponse:
        document = self._hospital.datasets.withdraw_consent(
            request.dataset, Path(request.patient_file), actor=caller(context)
        )
        return hospital_pb2.WithdrawConsentResponse(document=dump(document))

    def Status(self, request: hospital_pb2.StatusRequest, context: Context) -> hospital_pb2.StatusResponse:
        return hospital_pb2.StatusResponse(document=dump(self._hospital.status()))

    def ListRuns(self, request: hospital_pb2.ListRunsRequest, context: Context) -> hospital_pb2.ListRunsResponse:
        return hospital_pb2.ListRunsResponse(runs=map(dump, self._hospital.enclaves.listed(caller(context))))

    def ReadDesk(self, request: hospital_pb2.ReadDeskRequest, context: Context) -> hospital_pb2.ReadDeskResponse:
        document = self._hospital.readings.read(request.part, request.dataset, request.version, actor=caller(context))
        return hospital_pb2.ReadDeskResponse(document=dump(document))

    def ListAccesses(
        self, request: hospital_pb2.ListAccessesRequest, context: Context
    ) -> hospital_pb2.ListAccessesResponse:
        question = Question(
            product=request.product,
            consumer=request.consumer,
            purpose=request.purpose,
            decision=request.decision,
            since=request.since,
            until=request.until,
            action=request.action,
        )
        document = self._hospital.accesses.find(
            question, before=request.before, skip=request.skip, limit=request.page_size
        )
        return hospital_pb2.ListAccessesResponse(document=dump(document))


class HospitalServicer(hospital_pb2_grpc.HospitalServiceServicer):
    """What other participants ask of a hospital."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital

    def ConsiderRequest(
        self, request: hospital_pb2.ConsiderRequestRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(self._hospital.consider(unpack(request.request), caller(context)))

    def WithdrawRequest(
        self, request: hospital_pb2.WithdrawRequestRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(self._hospital.negotiations.withdraw(unpack(request.termination), caller(context)))

    def GetStanding(
        self, request: hospital_pb2.GetStandingRequest, context: Context
    ) -> hospital_pb2.GetStandingResponse:
        document = self._hospital.standings.read(request.contract_id, caller(context))
        return hospital_pb2.GetStandingResponse(document=dump(document))

    def AttestDeletion(
        self, request: hospital_pb2.AttestDeletionRequest, context: Context
    ) -> hospital_pb2.AttestDeletionResponse:
        document = self._hospital.attest(unpack(request.attestation), caller(context))
        return hospital_pb2.AttestDeletionResponse(document=dump(document))

    def ConfirmAgreement(
        self, request: hospital_pb2.ConfirmAgreementRequest, context: Context
    ) -> common_pb2.ContractStatus:
        return status_message(self._hospital.negotiations.confirm(unpack(request.agreement), caller(context)))

    def Deliver(self, request: hospital_pb2.DeliverRequest, context: Context) -> Iterator[hospital_pb2.DeliverResponse]:
        shipment = self._hospital.delivery.range(request.contract_id, request.first_chunk, caller(context))
        yield hospital_pb2.DeliverResponse(header=shipment.header, log_proof=shipment.proof.to_bytes())
        for index, chunk in shipment.chunks:
            yield hospital_pb2.DeliverResponse(index=index, chunk=chunk)

    def AcknowledgeDelivery(
        self, request: hospital_pb2.AcknowledgeDeliveryRequest, context: Context
    ) -> hospital_pb2.AcknowledgeDeliveryResponse:
        document = self._hospital.delivery.acknowledge(unpack(request.receipt), caller(context))
        return hospital_pb2.AcknowledgeDeliveryResponse(document=dump(document))

    def Query(self, request: hospital_pb2.QueryRequest, context: Context) -> hospital_pb2.QueryResponse:
        answered = self._hospital.queries.ask(request.contract_id, read_object(request.question), caller(context))
        return hospital_pb2.QueryResponse(answer=answered.body, log_proof=answered.proof.to_bytes())

    def OpenShare(self, request: hospital_pb2.OpenShareRequest, context: Context) -> hospital_pb2.OpenShareResponse:
        profile = self._hospital.shares.profile(request.contract_id, caller(context))
        return hospital_pb2.OpenShareResponse(profile=dump(profile))

    def SubmitRun(self, request: hospital_pb2.SubmitRunRequest, context: Context) -> hospital_pb2.SubmitRunResponse:
        document = self._hospital.enclaves.submit(request.contract_id, request.script, caller(context))
        return hospital_pb2.SubmitRunResponse(document=dump(document))

    def GetRun(self, request: hospital_pb2.GetRunRequest, context: Context) -> hospital_pb2.GetRunResponse:
        document, outputs = self._hospital.enclaves.fetch(request.contract_id, request.run_id, caller(context))
        return hospital_pb2.GetRunResponse(document=dump(document), outputs=outputs)


def hospital_adders(hospital: Hospital) -> list[Adder]:
    """Return a hospital's services."""
    return [
        lambda server: hospital_pb2_grpc.add_HospitalAdminServiceServicer_to_server(
            HospitalAdminServicer(hospital), server
        ),
        lambda server: hospital_pb2_grpc.add_HospitalServiceServicer_to_server(HospitalServicer(hospital), server),
    ]
