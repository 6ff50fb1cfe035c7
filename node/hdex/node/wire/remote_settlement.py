"""Hospitals about money, as their own staff and their buyers call them: each port over one channel."""

from collections.abc import Callable
from typing import Any

import grpc

from hdex.node.access_proof import AccessProof
from hdex.node.documents import Document
from hdex.node.invoice_file import InvoiceFile
from hdex.node.signed import Envelope
from hdex.node.wire.messages import pack, read_object, unpack
from hdex.proto.v1 import settlement_pb2, settlement_pb2_grpc

Channels = Callable[[str], grpc.Channel]  # participant id -> channel


class RemoteBilling:
    """One's own hospital node about money, for its staff."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = settlement_pb2_grpc.BillingServiceStub(channel)

    def issue(self, contract_id: str, month: str) -> InvoiceFile:
        request = settlement_pb2.IssueInvoiceRequest(contract_id=contract_id, month=month)
        return file_of(self._stub.IssueInvoice(request).invoice)

    def credit(self, number: str, amount_cents: int, reason: str, currency: str = "") -> InvoiceFile:
        request = settlement_pb2.CreditInvoiceRequest(
            number=number, amount_cents=amount_cents, reason=reason, currency=currency
        )
        return file_of(self._stub.CreditInvoice(request).credit_note)

    def issued(self) -> list[InvoiceFile]:
        return [file_of(found.invoice) for found in self._stub.ListIssued(settlement_pb2.ListIssuedRequest())]

    def statement(self, month: str) -> Document:
        return read_object(self._stub.GetStatement(settlement_pb2.GetStatementRequest(month=month)).document)

    def import_payments(self, statement: bytes) -> Document:
        request = settlement_pb2.ImportPaymentsRequest(statement=statement)
        return read_object(self._stub.ImportPayments(request).document)

    def preview_payments(self, statement: bytes) -> Document:
        request = settlement_pb2.PreviewPaymentsRequest(statement=statement)
        return read_object(self._stub.PreviewPayments(request).document)

    def due(self, month: str) -> Document:
        return read_object(self._stub.ListDue(settlement_pb2.ListDueRequest(month=month)).document)

    def account(self, number: str) -> Document:
        return read_object(self._stub.GetAccount(settlement_pb2.GetAccountRequest(number=number)).document)

    def answer(self, number: str, reason: str, dispute: str) -> InvoiceFile:
        request = settlement_pb2.AnswerDisputeRequest(number=number, reason=reason, dispute_digest=dispute)
        return file_of(self._stub.AnswerDispute(request).invoice)


class RemoteInvoices:
    """Hospitals about money, for buyers."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def invoices(self, provider: str) -> list[InvoiceFile]:
        stub = self._stub(provider)
        return [file_of(found.invoice) for found in stub.ListInvoices(settlement_pb2.ListInvoicesRequest())]

    def dispute(self, provider: str, paper: Envelope) -> InvoiceFile:
        request = settlement_pb2.DisputeInvoiceRequest(dispute=pack(paper))
        return file_of(self._stub(provider).DisputeInvoice(request).invoice)

    def _stub(self, provider: str) -> settlement_pb2_grpc.InvoiceServiceStub:
        return settlement_pb2_grpc.InvoiceServiceStub(self._channels(provider))


def file_of(message: Any) -> InvoiceFile:
    """Return the paper of a message, unverified."""
    return InvoiceFile(
        unpack(message.invoice),
        AccessProof.from_bytes(message.log_proof),
        state=message.state,
        paid_cents=message.paid_cents,
        credited_cents=message.credited_cents,
        said=tuple(unpack(one) for one in message.said),
    )
