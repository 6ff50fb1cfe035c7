from google.protobuf import field_mask_pb2 as _field_mask_pb2
from hdex.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplyVettingRequest(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: _common_pb2.Envelope
    def __init__(self, application: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class ApplyVettingResponse(_message.Message):
    __slots__ = ("vetting",)
    VETTING_FIELD_NUMBER: _ClassVar[int]
    vetting: bytes
    def __init__(self, vetting: _Optional[bytes] = ...) -> None: ...

class GetVettingRequest(_message.Message):
    __slots__ = ("participant", "fields")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    participant: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, participant: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetVettingResponse(_message.Message):
    __slots__ = ("vettings",)
    VETTINGS_FIELD_NUMBER: _ClassVar[int]
    vettings: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, vettings: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetVettingCertificateRequest(_message.Message):
    __slots__ = ("participant",)
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    participant: str
    def __init__(self, participant: _Optional[str] = ...) -> None: ...

class GetVettingCertificateResponse(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: _common_pb2.Envelope
    def __init__(self, certificate: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class ListVettingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "fields")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListVettingsResponse(_message.Message):
    __slots__ = ("vettings", "next_page_token")
    VETTINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vettings: _containers.RepeatedScalarFieldContainer[bytes]
    next_page_token: str
    def __init__(self, vettings: _Optional[_Iterable[bytes]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DecideVettingRequest(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _common_pb2.Envelope
    def __init__(self, decision: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class DecideVettingResponse(_message.Message):
    __slots__ = ("vetting",)
    VETTING_FIELD_NUMBER: _ClassVar[int]
    vetting: bytes
    def __init__(self, vetting: _Optional[bytes] = ...) -> None: ...

class SubmitAccessRequestRequest(_message.Message):
    __slots__ = ("form", "document")
    FORM_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    form: _common_pb2.Envelope
    document: bytes
    def __init__(self, form: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ..., document: _Optional[bytes] = ...) -> None: ...

class SubmitAccessRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class GetAccessRequestRequest(_message.Message):
    __slots__ = ("request_id", "fields")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, request_id: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetAccessRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class GetAccessDocumentRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class GetAccessDocumentResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ListAccessRequestsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "fields")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListAccessRequestsResponse(_message.Message):
    __slots__ = ("requests", "next_page_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedScalarFieldContainer[bytes]
    next_page_token: str
    def __init__(self, requests: _Optional[_Iterable[bytes]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DecideAccessRequestRequest(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _common_pb2.Envelope
    def __init__(self, decision: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class DecideAccessRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class SendAccessMessageRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _common_pb2.Envelope
    def __init__(self, message: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class SendAccessMessageResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class WithdrawAccessRequestRequest(_message.Message):
    __slots__ = ("withdrawal",)
    WITHDRAWAL_FIELD_NUMBER: _ClassVar[int]
    withdrawal: _common_pb2.Envelope
    def __init__(self, withdrawal: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class WithdrawAccessRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...
