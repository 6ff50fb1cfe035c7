"""A hospital's gRPC services about money: messages to values, a verb, values to messages. Nothing is decided here."""

from collections.abc import Iterator

import grpc

from hdex.node.hospital.billing import Credit
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.invoice_shelf import KeptInvoice
from hdex.node.hospital.settlement import Matched
from hdex.node.wire.interceptors import caller
from hdex.node.wire.messages import dump, pack, unpack
from hdex.node.wire.page_tokens import asked_of, page_of
from hdex.node.wire.server import Adder
from hdex.proto.v1 import settlement_pb2, settlement_pb2_grpc

Context = grpc.ServicerContext


class BillingServicer(settlement_pb2_grpc.BillingServiceServicer):
    """What staff ask of their own node about money."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital

    def IssueInvoice(
        self, request: settlement_pb2.IssueInvoiceRequest, context: Context
    ) -> settlement_pb2.IssueInvoiceResponse:
        billing, actor = self._hospital.settlement.billing, caller(context)
        if request.month:
            kept = billing.issue(request.contract_id, request.month, actor)
        else:
            kept = billing.issue_to_date(request.contract_id, actor)
        return settlement_pb2.IssueInvoiceResponse(invoice=record_message(self._hospital, kept))

    def CreditInvoice(
        self, request: settlement_pb2.CreditInvoiceRequest, context: Context
    ) -> settlement_pb2.CreditInvoiceResponse:
        wanted = Credit(request.amount_cents, request.currency, request.reason)
        note = self._hospital.settlement.credit(request.number, wanted, caller(context))
        return settlement_pb2.CreditInvoiceResponse(credit_note=record_message(self._hospital, note))

    def ListIssued(
        self, request: settlement_pb2.ListIssuedRequest, context: Context
    ) -> Iterator[settlement_pb2.ListIssuedResponse]:
        for kept in self._hospital.settlement.billing.all():
            yield settlement_pb2.ListIssuedResponse(invoice=record_message(self._hospital, kept))

    def GetStatement(
        self, request: settlement_pb2.GetStatementRequest, context: Context
    ) -> settlement_pb2.GetStatementResponse:
        return settlement_pb2.GetStatementResponse(document=dump(self._hospital.statements.month(request.month)))

    def ImportPayments(
        self, request: settlement_pb2.ImportPaymentsRequest, context: Context
    ) -> settlement_pb2.ImportPaymentsResponse:
        found = self._hospital.settlement.read(request.statement, caller(context))
        return settlement_pb2.ImportPaymentsResponse(document=dump({"entries": [told(matched) for matched in found]}))

    def ListDue(self, request: settlement_pb2.ListDueRequest, context: Context) -> settlement_pb2.ListDueResponse:
        return settlement_pb2.ListDueResponse(document=dump(self._hospital.settlement.billing.due(request.month)))

    def GetAccount(
        self, request: settlement_pb2.GetAccountRequest, context: Context
    ) -> settlement_pb2.GetAccountResponse:
        return settlement_pb2.GetAccountResponse(document=dump(self._hospital.settlement.account(request.number)))

    def PreviewPayments(
        self, request: settlement_pb2.PreviewPaymentsRequest, context: Context
    ) -> settlement_pb2.PreviewPaymentsResponse:
        found = self._hospital.settlement.preview(request.statement)
        return settlement_pb2.PreviewPaymentsResponse(document=dump({"entries": [told(matched) for matched in found]}))

    def AnswerDispute(
        self, request: settlement_pb2.AnswerDisputeRequest, context: Context
    ) -> settlement_pb2.AnswerDisputeResponse:
        kept = self._hospital.settlement.billing.answer(
            request.number, request.reason, caller(context), dispute=request.dispute_digest
        )
        return settlement_pb2.AnswerDisputeResponse(invoice=record_message(self._hospital, kept))


class InvoiceServicer(settlement_pb2_grpc.InvoiceServiceServicer):
    """What buyers ask of a hospital about money."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital

    def ListInvoices(
        self, request: settlement_pb2.ListInvoicesRequest, context: Context
    ) -> Iterator[settlement_pb2.ListInvoicesResponse]:
        for kept in self._hospital.settlement.billing.of_consumer(caller(context)):
            yield settlement_pb2.ListInvoicesResponse(invoice=record_message(self._hospital, kept))

    def ListInvoicePage(
        self, request: settlement_pb2.ListInvoicePageRequest, context: Context
    ) -> settlement_pb2.ListInvoicePageResponse:
        actor = caller(context)
        asked = asked_of(request, actor.participant)
        papers = self._hospital.settlement.billing.of_consumer(actor)
        page, token = page_of(papers, lambda kept: (kept.number,), asked)
        found = [record_message(self._hospital, kept) for kept in page]
        return settlement_pb2.ListInvoicePageResponse(invoices=found, next_page_token=token)

    def DisputeInvoice(
        self, request: settlement_pb2.DisputeInvoiceRequest, context: Context
    ) -> settlement_pb2.DisputeInvoiceResponse:
        kept = self._hospital.settlement.billing.dispute(unpack(request.dispute), caller(context))
        return settlement_pb2.DisputeInvoiceResponse(invoice=record_message(self._hospital, kept))


def record_message(hospital: Hospital, kept: KeptInvoice) -> settlement_pb2.InvoiceRecord:
    """Return a paper with its proof as its message."""
    billing = hospital.settlement.billing
    paid, credited = billing.money(kept)
    return settlement_pb2.InvoiceRecord(
        invoice=pack(kept.envelope),
        log_proof=billing.proof(kept).to_bytes(),
        state=kept.state.value,
        paid_cents=paid,
        credited_cents=credited,
        said=[pack(one) for one in kept.said],
    )


def told(matched: Matched) -> dict[str, str | int]:
    """Return what became of an entry; who paid stays on the bank's own paper."""
    entry = matched.entry
    return {
        "line": entry.line,
        "id": entry.id,
        "booked": entry.booked,
        "amount_cents": entry.amount_cents,
        "currency": entry.currency,
        "outcome": matched.outcome.value,
        "invoice": matched.number,
    }


def settlement_adders(hospital: Hospital) -> list[Adder]:
    """Return a hospital's services about money."""
    return [
        lambda server: settlement_pb2_grpc.add_BillingServiceServicer_to_server(BillingServicer(hospital), server),
        lambda server: settlement_pb2_grpc.add_InvoiceServiceServicer_to_server(InvoiceServicer(hospital), server),
    ]
