"""Offices and hospitals as applicants and reviewers use them: messages turned into values."""

from collections.abc import Callable

import grpc

from hdex.node.documents import Document
from hdex.node.signed import Envelope
from hdex.node.wire.messages import pack, read_object, unpack
from hdex.proto.v1 import access_pb2, access_pb2_grpc

Channels = Callable[[str], grpc.Channel]  # participant id -> channel
PAGE = 100


class RemoteOffices:
    """The offices that vet: hospitals and the exchange."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def apply_vetting(self, office: str, application: Envelope) -> Document:
        request = access_pb2.ApplyVettingRequest(application=pack(application))
        return read_object(self._stub(office).ApplyVetting(request).vetting)

    def vettings_of(self, office: str, participant: str = "") -> list[Document]:
        answer = self._stub(office).GetVetting(access_pb2.GetVettingRequest(participant=participant))
        return [read_object(found) for found in answer.vettings]

    def certificate(self, office: str, participant: str) -> Envelope | None:
        request = access_pb2.GetVettingCertificateRequest(participant=participant)
        answer = self._stub(office).GetVettingCertificate(request)
        return unpack(answer.certificate) if answer.HasField("certificate") else None

    def list_vettings(self, office: str) -> list[Document]:
        found, token = list[Document](), ""
        while True:
            request = access_pb2.ListVettingsRequest(page_size=PAGE, page_token=token)
            answer = self._stub(office).ListVettings(request)
            found += [read_object(one) for one in answer.vettings]
            if not (token := answer.next_page_token):
                return found

    def decide_vetting(self, office: str, decision: Envelope) -> Document:
        request = access_pb2.DecideVettingRequest(decision=pack(decision))
        return read_object(self._stub(office).DecideVetting(request).vetting)

    def _stub(self, office: str) -> access_pb2_grpc.VettingServiceStub:
        return access_pb2_grpc.VettingServiceStub(self._channels(office))


class RemoteReviews:
    """The hospitals that review access requests."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def submit_request(self, hospital: str, form: Envelope, document: bytes) -> Document:
        request = access_pb2.SubmitAccessRequestRequest(form=pack(form), document=document)
        return read_object(self._stub(hospital).SubmitAccessRequest(request).request)

    def request(self, hospital: str, name: str) -> Document:
        request = access_pb2.GetAccessRequestRequest(request_id=name)
        return read_object(self._stub(hospital).GetAccessRequest(request).request)

    def request_document(self, hospital: str, name: str) -> bytes:
        request = access_pb2.GetAccessDocumentRequest(request_id=name)
        return bytes(self._stub(hospital).GetAccessDocument(request).document)

    def list_requests(self, hospital: str) -> list[Document]:
        found, token = list[Document](), ""
        while True:
            request = access_pb2.ListAccessRequestsRequest(page_size=PAGE, page_token=token)
            answer = self._stub(hospital).ListAccessRequests(request)
            found += [read_object(one) for one in answer.requests]
            if not (token := answer.next_page_token):
                return found

    def decide_request(self, hospital: str, decision: Envelope) -> Document:
        request = access_pb2.DecideAccessRequestRequest(decision=pack(decision))
        return read_object(self._stub(hospital).DecideAccessRequest(request).request)

    def send_message(self, hospital: str, message: Envelope) -> Document:
        request = access_pb2.SendAccessMessageRequest(message=pack(message))
        return read_object(self._stub(hospital).SendAccessMessage(request).request)

    def withdraw_request(self, hospital: str, withdrawal: Envelope) -> Document:
        request = access_pb2.WithdrawAccessRequestRequest(withdrawal=pack(withdrawal))
        return read_object(self._stub(hospital).WithdrawAccessRequest(request).request)

    def _stub(self, hospital: str) -> access_pb2_grpc.AccessRequestServiceStub:
        return access_pb2_grpc.AccessRequestServiceStub(self._channels(hospital))
