"""Vetting and access requests over gRPC: messages to values, a verb, values to messages. Nothing is decided here."""

from collections.abc import Callable
from datetime import datetime

import grpc

from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.hospital.access_views import LINE, request_view
from hdex.node.vetting import Vettings
from hdex.node.vetting_record import VettingRecord
from hdex.node.vetting_views import vetting_view
from hdex.node.wire.interceptors import caller
from hdex.node.wire.messages import dump, pack, unpack
from hdex.node.wire.page_tokens import asked_of, page_of
from hdex.node.wire.server import Adder
from hdex.proto.v1 import access_pb2, access_pb2_grpc

Context = grpc.ServicerContext


class VettingServicer(access_pb2_grpc.VettingServiceServicer):
    """The office of a hospital or of the exchange."""

    def __init__(self, vettings: Vettings) -> None:
        self._vettings = vettings

    def ApplyVetting(
        self, request: access_pb2.ApplyVettingRequest, context: Context
    ) -> access_pb2.ApplyVettingResponse:
        record = self._vettings.apply(unpack(request.application), caller(context))
        return access_pb2.ApplyVettingResponse(vetting=self._view(record))

    def GetVetting(self, request: access_pb2.GetVettingRequest, context: Context) -> access_pb2.GetVettingResponse:
        actor = caller(context)
        found = self._vettings.read(request.participant or actor.participant, actor)
        return access_pb2.GetVettingResponse(vettings=[self._view(record) for record in found])

    def GetVettingCertificate(
        self, request: access_pb2.GetVettingCertificateRequest, context: Context
    ) -> access_pb2.GetVettingCertificateResponse:
        certificate = self._vettings.certificate(request.participant, caller(context))
        if certificate is None:
            return access_pb2.GetVettingCertificateResponse()
        return access_pb2.GetVettingCertificateResponse(certificate=pack(certificate))

    def ListVettings(
        self, request: access_pb2.ListVettingsRequest, context: Context
    ) -> access_pb2.ListVettingsResponse:
        actor = caller(context)
        asked = asked_of(request, actor.participant)
        page, token = page_of(self._vettings.visible(actor), lambda one: (begun(one), one.digest), asked)
        return access_pb2.ListVettingsResponse(vettings=map(self._view, page), next_page_token=token)

    def DecideVetting(
        self, request: access_pb2.DecideVettingRequest, context: Context
    ) -> access_pb2.DecideVettingResponse:
        record = self._vettings.decide(unpack(request.decision), caller(context))
        return access_pb2.DecideVettingResponse(vetting=self._view(record))

    def _view(self, record: VettingRecord) -> bytes:
        return dump(vetting_view(record, self._vettings))


class AccessRequestServicer(access_pb2_grpc.AccessRequestServiceServicer):
    """Requests at a hospital."""

    def __init__(self, requests: AccessRequests, clock: Callable[[], datetime]) -> None:
        self._requests = requests
        self._clock = clock

    def SubmitAccessRequest(
        self, request: access_pb2.SubmitAccessRequestRequest, context: Context
    ) -> access_pb2.SubmitAccessRequestResponse:
        record = self._requests.submit(unpack(request.form), request.document, caller(context))
        return access_pb2.SubmitAccessRequestResponse(request=self._view(record))

    def GetAccessRequest(
        self, request: access_pb2.GetAccessRequestRequest, context: Context
    ) -> access_pb2.GetAccessRequestResponse:
        record = self._requests.read(request.request_id, caller(context))
        return access_pb2.GetAccessRequestResponse(request=self._view(record))

    def GetAccessDocument(
        self, request: access_pb2.GetAccessDocumentRequest, context: Context
    ) -> access_pb2.GetAccessDocumentResponse:
        document = self._requests.read_document(request.request_id, caller(context))
        return access_pb2.GetAccessDocumentResponse(document=document)

    def ListAccessRequests(
        self, request: access_pb2.ListAccessRequestsRequest, context: Context
    ) -> access_pb2.ListAccessRequestsResponse:
        actor = caller(context)
        asked = asked_of(request, actor.participant)
        page, token = page_of(self._requests.visible(actor), lambda one: (begun(one), one.id), asked)
        lines = [request_view(record, self._requests, self._clock()) for record in page]
        rows = [dump({name: line[name] for name in LINE}) for line in lines]
        return access_pb2.ListAccessRequestsResponse(requests=rows, next_page_token=token)

    def DecideAccessRequest(
        self, request: access_pb2.DecideAccessRequestRequest, context: Context
    ) -> access_pb2.DecideAccessRequestResponse:
        record = self._requests.decide(unpack(request.decision), caller(context))
        return access_pb2.DecideAccessRequestResponse(request=self._view(record))

    def SendAccessMessage(
        self, request: access_pb2.SendAccessMessageRequest, context: Context
    ) -> access_pb2.SendAccessMessageResponse:
        record = self._requests.message(unpack(request.message), caller(context))
        return access_pb2.SendAccessMessageResponse(request=self._view(record))

    def WithdrawAccessRequest(
        self, request: access_pb2.WithdrawAccessRequestRequest, context: Context
    ) -> access_pb2.WithdrawAccessRequestResponse:
        record = self._requests.withdraw(unpack(request.withdrawal), caller(context))
        return access_pb2.WithdrawAccessRequestResponse(request=self._view(record))

    def _view(self, record: AccessRecord) -> bytes:
        return dump(request_view(record, self._requests, self._clock()))


def begun(record: VettingRecord | AccessRecord) -> str:
    """Return when the first step was made, by our own clock: it never changes, so pages in its order stay."""
    return str(record.history[0]["step"]["document"]["at"]) if record.history else ""


def vetting_adder(vettings: Vettings) -> Adder:
    """Return the service of an office that vets."""
    return lambda server: access_pb2_grpc.add_VettingServiceServicer_to_server(VettingServicer(vettings), server)


def access_adder(requests: AccessRequests, clock: Callable[[], datetime]) -> Adder:
    """Return the service of a hospital that reviews requests."""
    servicer = AccessRequestServicer(requests, clock)
    return lambda server: access_pb2_grpc.add_AccessRequestServiceServicer_to_server(servicer, server)
