from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("step", "text", "seconds", "document")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    step: str
    text: str
    seconds: float
    document: bytes
    def __init__(self, step: _Optional[str] = ..., text: _Optional[str] = ..., seconds: _Optional[float] = ..., document: _Optional[bytes] = ...) -> None: ...

class Words(_message.Message):
    __slots__ = ("en", "zh")
    EN_FIELD_NUMBER: _ClassVar[int]
    ZH_FIELD_NUMBER: _ClassVar[int]
    en: str
    zh: str
    def __init__(self, en: _Optional[str] = ..., zh: _Optional[str] = ...) -> None: ...

class ContractStatus(_message.Message):
    __slots__ = ("contract_id", "state", "rule", "next_step", "request", "agreement", "grant_id", "revoked")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    state: str
    rule: str
    next_step: str
    request: bytes
    agreement: bytes
    grant_id: str
    revoked: bool
    def __init__(self, contract_id: _Optional[str] = ..., state: _Optional[str] = ..., rule: _Optional[str] = ..., next_step: _Optional[str] = ..., request: _Optional[bytes] = ..., agreement: _Optional[bytes] = ..., grant_id: _Optional[str] = ..., revoked: _Optional[bool] = ...) -> None: ...
