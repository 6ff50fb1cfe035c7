from hdex.proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateKeyRequest(_message.Message):
    __slots__ = ("study_id", "parties", "needed")
    STUDY_ID_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    study_id: str
    parties: _containers.RepeatedScalarFieldContainer[str]
    needed: int
    def __init__(self, study_id: _Optional[str] = ..., parties: _Optional[_Iterable[str]] = ..., needed: _Optional[int] = ...) -> None: ...

class CreateKeyResponse(_message.Message):
    __slots__ = ("public_key", "dealt")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    DEALT_FIELD_NUMBER: _ClassVar[int]
    public_key: str
    dealt: DealtKey
    def __init__(self, public_key: _Optional[str] = ..., dealt: _Optional[_Union[DealtKey, _Mapping]] = ...) -> None: ...

class DealtKey(_message.Message):
    __slots__ = ("base", "checks", "shares", "signature")
    BASE_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    base: str
    checks: _containers.RepeatedScalarFieldContainer[str]
    shares: _containers.RepeatedScalarFieldContainer[str]
    signature: str
    def __init__(self, base: _Optional[str] = ..., checks: _Optional[_Iterable[str]] = ..., shares: _Optional[_Iterable[str]] = ..., signature: _Optional[str] = ...) -> None: ...

class OpenSumRequest(_message.Message):
    __slots__ = ("study", "round", "contributions")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    study: _common_pb2.Envelope
    round: int
    contributions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, study: _Optional[_Union[_common_pb2.Envelope, _Mapping]] = ..., round: _Optional[int] = ..., contributions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class OpenSumResponse(_message.Message):
    __slots__ = ("values", "proof")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    proof: bytes
    def __init__(self, values: _Optional[_Iterable[float]] = ..., proof: _Optional[bytes] = ...) -> None: ...
