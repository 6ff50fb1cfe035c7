from google.protobuf import field_mask_pb2 as _field_mask_pb2
from hdex.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvoiceRecord(_message.Message):
    __slots__ = ("invoice", "log_proof", "state", "paid_cents", "credited_cents", "said")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    LOG_PROOF_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAID_CENTS_FIELD_NUMBER: _ClassVar[int]
    CREDITED_CENTS_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    invoice: _common_pb2.Envelope
    log_proof: bytes
    state: str
    paid_cents: int
    credited_cents: int
    said: _containers.RepeatedCompositeFieldContainer[_common_pb2.Envelope]
    def __init__(self, invoice: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ..., log_proof: _Optional[bytes] = ..., state: _Optional[str] = ..., paid_cents: _Optional[int] = ..., credited_cents: _Optional[int] = ..., said: _Optional[_Iterable[_Union[_common_pb2.Envelope, _Mapping]]] = ...) -> None: ...

class IssueInvoiceRequest(_message.Message):
    __slots__ = ("contract_id", "month")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    month: str
    def __init__(self, contract_id: _Optional[str] = ..., month: _Optional[str] = ...) -> None: ...

class IssueInvoiceResponse(_message.Message):
    __slots__ = ("invoice",)
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    invoice: InvoiceRecord
    def __init__(self, invoice: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...

class CreditInvoiceRequest(_message.Message):
    __slots__ = ("number", "amount_cents", "reason", "currency")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_CENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    number: str
    amount_cents: int
    reason: str
    currency: str
    def __init__(self, number: _Optional[str] = ..., amount_cents: _Optional[int] = ..., reason: _Optional[str] = ..., currency: _Optional[str] = ...) -> None: ...

class CreditInvoiceResponse(_message.Message):
    __slots__ = ("credit_note",)
    CREDIT_NOTE_FIELD_NUMBER: _ClassVar[int]
    credit_note: InvoiceRecord
    def __init__(self, credit_note: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...

class ListIssuedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListIssuedResponse(_message.Message):
    __slots__ = ("invoice",)
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    invoice: InvoiceRecord
    def __init__(self, invoice: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...

class GetStatementRequest(_message.Message):
    __slots__ = ("month",)
    MONTH_FIELD_NUMBER: _ClassVar[int]
    month: str
    def __init__(self, month: _Optional[str] = ...) -> None: ...

class GetStatementResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ImportPaymentsRequest(_message.Message):
    __slots__ = ("statement",)
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    statement: bytes
    def __init__(self, statement: _Optional[bytes] = ...) -> None: ...

class ImportPaymentsResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ListDueRequest(_message.Message):
    __slots__ = ("month",)
    MONTH_FIELD_NUMBER: _ClassVar[int]
    month: str
    def __init__(self, month: _Optional[str] = ...) -> None: ...

class ListDueResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: str
    def __init__(self, number: _Optional[str] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class PreviewPaymentsRequest(_message.Message):
    __slots__ = ("statement",)
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    statement: bytes
    def __init__(self, statement: _Optional[bytes] = ...) -> None: ...

class PreviewPaymentsResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class AnswerDisputeRequest(_message.Message):
    __slots__ = ("number", "reason", "dispute_digest")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    number: str
    reason: str
    dispute_digest: str
    def __init__(self, number: _Optional[str] = ..., reason: _Optional[str] = ..., dispute_digest: _Optional[str] = ...) -> None: ...

class AnswerDisputeResponse(_message.Message):
    __slots__ = ("invoice",)
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    invoice: InvoiceRecord
    def __init__(self, invoice: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...

class ListInvoicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListInvoicesResponse(_message.Message):
    __slots__ = ("invoice",)
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    invoice: InvoiceRecord
    def __init__(self, invoice: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...

class ListInvoicePageRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "fields")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListInvoicePageResponse(_message.Message):
    __slots__ = ("invoices", "next_page_token")
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    invoices: _containers.RepeatedCompositeFieldContainer[InvoiceRecord]
    next_page_token: str
    def __init__(self, invoices: _Optional[_Iterable[_Union[InvoiceRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DisputeInvoiceRequest(_message.Message):
    __slots__ = ("dispute",)
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    dispute: _common_pb2.Envelope
    def __init__(self, dispute: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class DisputeInvoiceResponse(_message.Message):
    __slots__ = ("invoice",)
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    invoice: InvoiceRecord
    def __init__(self, invoice: _Optional[_Union[InvoiceRecord, _Mapping]] = ...) -> None: ...
