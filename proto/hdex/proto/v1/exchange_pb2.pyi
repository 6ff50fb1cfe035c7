from google.protobuf import field_mask_pb2 as _field_mask_pb2
from hdex.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PublishProductRequest(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: _common_pb2.Envelope
    def __init__(self, manifest: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class PublishProductResponse(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class WithdrawProductRequest(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: _common_pb2.Envelope
    def __init__(self, notice: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class WithdrawProductResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AmendProductRequest(_message.Message):
    __slots__ = ("step",)
    STEP_FIELD_NUMBER: _ClassVar[int]
    step: _common_pb2.Envelope
    def __init__(self, step: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class AmendProductResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: str
    def __init__(self, state: _Optional[str] = ...) -> None: ...

class FindRequest(_message.Message):
    __slots__ = ("text", "lang", "level", "provider", "delivery_mode", "page_size", "page_token", "category", "purpose", "price_basis", "price_plan", "quality_grade", "fields")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LANG_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_MODE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PRICE_BASIS_FIELD_NUMBER: _ClassVar[int]
    PRICE_PLAN_FIELD_NUMBER: _ClassVar[int]
    QUALITY_GRADE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    lang: str
    level: int
    provider: str
    delivery_mode: str
    page_size: int
    page_token: str
    category: str
    purpose: str
    price_basis: str
    price_plan: str
    quality_grade: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, text: _Optional[str] = ..., lang: _Optional[str] = ..., level: _Optional[int] = ..., provider: _Optional[str] = ..., delivery_mode: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., category: _Optional[str] = ..., purpose: _Optional[str] = ..., price_basis: _Optional[str] = ..., price_plan: _Optional[str] = ..., quality_grade: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class FindResponse(_message.Message):
    __slots__ = ("products", "total", "next_page_token", "meant")
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MEANT_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedScalarFieldContainer[bytes]
    total: int
    next_page_token: str
    meant: str
    def __init__(self, products: _Optional[_Iterable[bytes]] = ..., total: _Optional[int] = ..., next_page_token: _Optional[str] = ..., meant: _Optional[str] = ...) -> None: ...

class SaveSearchRequest(_message.Message):
    __slots__ = ("query", "name", "webhook")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    query: FindRequest
    name: str
    webhook: str
    def __init__(self, query: _Optional[_Union[FindRequest, _Mapping]] = ..., name: _Optional[str] = ..., webhook: _Optional[str] = ...) -> None: ...

class SavedSearch(_message.Message):
    __slots__ = ("id", "name", "query", "webhook", "feed", "matches", "waiting", "given_up")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    query: str
    webhook: str
    feed: str
    matches: int
    waiting: int
    given_up: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., query: _Optional[str] = ..., webhook: _Optional[str] = ..., feed: _Optional[str] = ..., matches: _Optional[int] = ..., waiting: _Optional[int] = ..., given_up: _Optional[int] = ...) -> None: ...

class SaveSearchResponse(_message.Message):
    __slots__ = ("search", "webhook_secret")
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_SECRET_FIELD_NUMBER: _ClassVar[int]
    search: SavedSearch
    webhook_secret: str
    def __init__(self, search: _Optional[_Union[SavedSearch, _Mapping]] = ..., webhook_secret: _Optional[str] = ...) -> None: ...

class ListSearchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "fields")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListSearchesResponse(_message.Message):
    __slots__ = ("searches", "next_page_token")
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    searches: _containers.RepeatedCompositeFieldContainer[SavedSearch]
    next_page_token: str
    def __init__(self, searches: _Optional[_Iterable[_Union[SavedSearch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RemoveSearchRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RemoveSearchResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ("product_id", "fields")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, product_id: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("manifest", "digest", "state")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    manifest: _common_pb2.Envelope
    digest: str
    state: str
    def __init__(self, manifest: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ..., digest: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class RenderRequest(_message.Message):
    __slots__ = ("product_id", "form", "lang")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    LANG_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    form: str
    lang: str
    def __init__(self, product_id: _Optional[str] = ..., form: _Optional[str] = ..., lang: _Optional[str] = ...) -> None: ...

class RenderResponse(_message.Message):
    __slots__ = ("body", "media_type")
    BODY_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    media_type: str
    def __init__(self, body: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...

class PrecheckRequest(_message.Message):
    __slots__ = ("product_id", "access")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    access: bytes
    def __init__(self, product_id: _Optional[str] = ..., access: _Optional[bytes] = ...) -> None: ...

class PrecheckResponse(_message.Message):
    __slots__ = ("advice", "rule", "why", "next")
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    advice: str
    rule: str
    why: _common_pb2.Words
    next: _common_pb2.Words
    def __init__(self, advice: _Optional[str] = ..., rule: _Optional[str] = ..., why: _Optional[_Union[_common_pb2.Words, _Mapping]] = ..., next: _Optional[_Union[_common_pb2.Words, _Mapping]] = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("product_id", "plan", "columns", "quantity", "rows", "months")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    plan: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    quantity: int
    rows: int
    months: int
    def __init__(self, product_id: _Optional[str] = ..., plan: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., quantity: _Optional[int] = ..., rows: _Optional[int] = ..., months: _Optional[int] = ...) -> None: ...

class QuoteResponse(_message.Message):
    __slots__ = ("quote",)
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    quote: bytes
    def __init__(self, quote: _Optional[bytes] = ...) -> None: ...

class CohortRequest(_message.Message):
    __slots__ = ("product_id", "where")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    where: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_id: _Optional[str] = ..., where: _Optional[_Iterable[str]] = ...) -> None: ...

class CohortResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    def __init__(self, answer: _Optional[bytes] = ...) -> None: ...

class RequestRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _common_pb2.Envelope
    def __init__(self, request: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class SubmitDecisionRequest(_message.Message):
    __slots__ = ("contract_id", "rule", "next_step")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    rule: str
    next_step: str
    def __init__(self, contract_id: _Optional[str] = ..., rule: _Optional[str] = ..., next_step: _Optional[str] = ...) -> None: ...

class SubmitAgreementRequest(_message.Message):
    __slots__ = ("agreement",)
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    agreement: _common_pb2.Envelope
    def __init__(self, agreement: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("agreement",)
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    agreement: _common_pb2.Envelope
    def __init__(self, agreement: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class GetContractRequest(_message.Message):
    __slots__ = ("contract_id", "fields")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, contract_id: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListContractsRequest(_message.Message):
    __slots__ = ("state", "product_id", "page_size", "page_token", "fields")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    state: str
    product_id: str
    page_size: int
    page_token: str
    fields: _field_mask_pb2.FieldMask
    def __init__(self, state: _Optional[str] = ..., product_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListContractsResponse(_message.Message):
    __slots__ = ("contracts", "next_page_token")
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contracts: _containers.RepeatedCompositeFieldContainer[_common_pb2.ContractStatus]
    next_page_token: str
    def __init__(self, contracts: _Optional[_Iterable[_Union[_common_pb2.ContractStatus, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevokeContractRequest(_message.Message):
    __slots__ = ("contract_id", "reason")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    reason: str
    def __init__(self, contract_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawContractRequest(_message.Message):
    __slots__ = ("termination",)
    TERMINATION_FIELD_NUMBER: _ClassVar[int]
    termination: _common_pb2.Envelope
    def __init__(self, termination: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class PlanStudyRequest(_message.Message):
    __slots__ = ("question",)
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    question: bytes
    def __init__(self, question: _Optional[bytes] = ...) -> None: ...

class PlanStudyResponse(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: bytes
    def __init__(self, study: _Optional[bytes] = ...) -> None: ...

class StartStudyRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: _common_pb2.Envelope
    def __init__(self, study: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("study_id", "payload")
    STUDY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    study_id: str
    payload: bytes
    def __init__(self, study_id: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...
