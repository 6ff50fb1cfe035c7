from hdex.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("dataset", "path", "view")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    path: str
    view: str
    def __init__(self, dataset: _Optional[str] = ..., path: _Optional[str] = ..., view: _Optional[str] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    def __init__(self, dataset: _Optional[str] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("kind", "dataset", "envelope")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    dataset: str
    envelope: _common_pb2.Envelope
    def __init__(self, kind: _Optional[str] = ..., dataset: _Optional[str] = ..., envelope: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class ApproveResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class DeidentifyRequest(_message.Message):
    __slots__ = ("dataset", "preset", "recipient_class", "purpose")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    preset: str
    recipient_class: str
    purpose: str
    def __init__(self, dataset: _Optional[str] = ..., preset: _Optional[str] = ..., recipient_class: _Optional[str] = ..., purpose: _Optional[str] = ...) -> None: ...

class AssessRequest(_message.Message):
    __slots__ = ("dataset", "version", "terms")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    version: str
    terms: bytes
    def __init__(self, dataset: _Optional[str] = ..., version: _Optional[str] = ..., terms: _Optional[bytes] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("dataset", "version", "terms")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    version: str
    terms: bytes
    def __init__(self, dataset: _Optional[str] = ..., version: _Optional[str] = ..., terms: _Optional[bytes] = ...) -> None: ...

class ListRequestsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRequestsResponse(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[_common_pb2.ContractStatus]
    def __init__(self, requests: _Optional[_Iterable[_Union[_common_pb2.ContractStatus, _Mapping]]] = ...) -> None: ...

class DecideRequestRequest(_message.Message):
    __slots__ = ("contract_id", "approve", "reason")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    approve: bool
    reason: str
    def __init__(self, contract_id: _Optional[str] = ..., approve: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("contract_id", "reason")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    reason: str
    def __init__(self, contract_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawConsentRequest(_message.Message):
    __slots__ = ("dataset", "patient_file")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FILE_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    patient_file: str
    def __init__(self, dataset: _Optional[str] = ..., patient_file: _Optional[str] = ...) -> None: ...

class WithdrawConsentResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ReadDeskRequest(_message.Message):
    __slots__ = ("part", "dataset", "version")
    PART_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    part: str
    dataset: str
    version: str
    def __init__(self, part: _Optional[str] = ..., dataset: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ReadDeskResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ListAccessesRequest(_message.Message):
    __slots__ = ("product", "consumer", "purpose", "decision", "since", "until", "skip", "page_size", "before", "action")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    product: str
    consumer: str
    purpose: str
    decision: str
    since: str
    until: str
    skip: int
    page_size: int
    before: int
    action: str
    def __init__(self, product: _Optional[str] = ..., consumer: _Optional[str] = ..., purpose: _Optional[str] = ..., decision: _Optional[str] = ..., since: _Optional[str] = ..., until: _Optional[str] = ..., skip: _Optional[int] = ..., page_size: _Optional[int] = ..., before: _Optional[int] = ..., action: _Optional[str] = ...) -> None: ...

class ListAccessesResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class ConsiderRequestRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _common_pb2.Envelope
    def __init__(self, request: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class ConfirmAgreementRequest(_message.Message):
    __slots__ = ("agreement",)
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    agreement: _common_pb2.Envelope
    def __init__(self, agreement: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class DeliverRequest(_message.Message):
    __slots__ = ("contract_id", "first_chunk")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHUNK_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    first_chunk: int
    def __init__(self, contract_id: _Optional[str] = ..., first_chunk: _Optional[int] = ...) -> None: ...

class DeliverResponse(_message.Message):
    __slots__ = ("header", "index", "chunk", "log_proof")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    LOG_PROOF_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    index: int
    chunk: bytes
    log_proof: bytes
    def __init__(self, header: _Optional[bytes] = ..., index: _Optional[int] = ..., chunk: _Optional[bytes] = ..., log_proof: _Optional[bytes] = ...) -> None: ...

class AcknowledgeDeliveryRequest(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _common_pb2.Envelope
    def __init__(self, receipt: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class AcknowledgeDeliveryResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class WithdrawRequestRequest(_message.Message):
    __slots__ = ("termination",)
    TERMINATION_FIELD_NUMBER: _ClassVar[int]
    termination: _common_pb2.Envelope
    def __init__(self, termination: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class GetStandingRequest(_message.Message):
    __slots__ = ("contract_id",)
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    def __init__(self, contract_id: _Optional[str] = ...) -> None: ...

class GetStandingResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class AttestDeletionRequest(_message.Message):
    __slots__ = ("attestation",)
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    attestation: _common_pb2.Envelope
    def __init__(self, attestation: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class AttestDeletionResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("contract_id", "question")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    question: bytes
    def __init__(self, contract_id: _Optional[str] = ..., question: _Optional[bytes] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("answer", "log_proof")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    LOG_PROOF_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    log_proof: bytes
    def __init__(self, answer: _Optional[bytes] = ..., log_proof: _Optional[bytes] = ...) -> None: ...

class OpenShareRequest(_message.Message):
    __slots__ = ("contract_id",)
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    def __init__(self, contract_id: _Optional[str] = ...) -> None: ...

class OpenShareResponse(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: bytes
    def __init__(self, profile: _Optional[bytes] = ...) -> None: ...

class SubmitRunRequest(_message.Message):
    __slots__ = ("contract_id", "script")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    script: bytes
    def __init__(self, contract_id: _Optional[str] = ..., script: _Optional[bytes] = ...) -> None: ...

class SubmitRunResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("contract_id", "run_id")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    run_id: str
    def __init__(self, contract_id: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("document", "outputs")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    outputs: _containers.ScalarMap[str, bytes]
    def __init__(self, document: _Optional[bytes] = ..., outputs: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, runs: _Optional[_Iterable[bytes]] = ...) -> None: ...
