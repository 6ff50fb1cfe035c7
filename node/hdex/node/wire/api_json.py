"""Messages of the protocol <-> JSON of the REST door, strictly: unknown and mistyped fields are refused by their path.

Names are those of the .proto files. Bytes that hold JSON are that JSON, hashes are hexadecimal, other bytes base64.
"""

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from hdex.ledger.document import load
from hdex.node.errors import RequestInvalid
from hdex.node.wire.masks import MASK, Field, Tree, is_repeated
from hdex.node.wire.messages import MAX_DEPTH, dump

PACKAGE = "hdex.proto.v1."
ENVELOPE = f"{PACKAGE}Envelope"
_JSON = """
ContractStatus.request ContractStatus.agreement FindResponse.products QuoteResponse.quote CohortResponse.answer
PrecheckRequest.access
PlanStudyRequest.question PlanStudyResponse.study Progress.document ApplyVettingResponse.vetting
GetVettingResponse.vettings ListVettingsResponse.vettings DecideVettingResponse.vetting
SubmitAccessRequestResponse.request GetAccessRequestResponse.request ListAccessRequestsResponse.requests
DecideAccessRequestResponse.request SendAccessMessageResponse.request WithdrawAccessRequestResponse.request
GetStandingResponse.document AttestDeletionResponse.document
AcknowledgeDeliveryResponse.document QueryRequest.question QueryResponse.answer QueryResponse.log_proof
OpenShareResponse.profile SubmitRunResponse.document GetRunResponse.document InvoiceRecord.log_proof
"""
JSON_FIELDS = frozenset(PACKAGE + name for name in _JSON.split())
HEX_FIELDS = frozenset(
    f"{PACKAGE}{name}"
    for name in (
        *("GetInclusionProofResponse.leaf_hash", "GetInclusionProofResponse.hashes"),
        "GetConsistencyProofResponse.hashes",
    )
)
INTEGER = re.compile(r"-?[0-9]{1,20}")
_INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**53 - 1),  # what a JSON number carries exactly everywhere
    FieldDescriptor.TYPE_INT64: (-(2**53) + 1, 2**53 - 1),
}


def bounds(field: Field) -> tuple[int, int] | None:
    """Return the least and the largest value of a field of whole numbers, None for another field."""
    return _INTEGERS.get(field.type)


def to_json(message: Message, tree: Tree | None = None) -> Any:
    """Return a message as JSON values: every field, or those that a mask's tree keeps; what is absent is null."""
    if message.DESCRIPTOR.full_name == ENVELOPE:
        return _document(getattr(message, "json"))  # noqa: B009  # a field of any message
    kept = [field for field in message.DESCRIPTOR.fields if not tree or field.name in tree]
    return {field.name: _shown(message, field, (tree or {}).get(field.name)) for field in kept}


def _shown(message: Message, field: Field, tree: Tree | None) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {name: base64.b64encode(held).decode() for name, held in value.items()}
    if is_repeated(field):
        return [_one(field, item, tree) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _one(field, value, tree)


def _one(field: Field, value: Any, tree: Tree | None) -> Any:
    if field.message_type is not None:
        return to_json(value, tree)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return value
    if field.full_name in JSON_FIELDS:
        return _document(value)
    return value.hex() if field.full_name in HEX_FIELDS else base64.b64encode(value).decode()


def _document(raw: bytes) -> Any:
    return load(raw, max_depth=MAX_DEPTH) if raw else None


def read_body(raw: bytes) -> Any:
    """Return the JSON value of a body. Raises RequestInvalid: no JSON, nested too deep, not finite, not encodable."""
    try:
        value = load(raw, max_depth=MAX_DEPTH)
        _require_plain(value)
    except (ValueError, RecursionError) as error:
        raise RequestInvalid("the body is no JSON that can be read here") from error
    return value


def _require_plain(value: object) -> None:
    """Raise ValueError for numbers that are none and texts that UTF-8 cannot carry."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a number")
    if isinstance(value, str):
        value.encode()
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _require_plain(part)


def fill(message: Message, values: object, where: str = "") -> None:
    """Set the fields of a message to JSON values. Raises RequestInvalid naming the path."""
    if not isinstance(values, Mapping):
        raise RequestInvalid(f"{where or 'the body'} is a JSON object with named fields")
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        path = f"{where}.{name}" if where else str(name)
        if field is None:
            known = ", ".join(message.DESCRIPTOR.fields_by_name)
            raise RequestInvalid(f"{path[:200]!r} is no field here; there are {known}")
        put(message, field, value, path)


def put(message: Message, field: Field, value: object, path: str) -> None:
    """Set one field to a JSON value. Raises RequestInvalid naming the path."""
    if is_repeated(field):
        if not isinstance(value, list):
            raise RequestInvalid(f"{path} is a list")
        getattr(message, field.name).extend(_scalar(field, item, path) for item in value)
    elif field.message_type is None:
        setattr(message, field.name, _scalar(field, value, path))
    elif field.message_type.full_name == ENVELOPE:
        getattr(message, field.name).json = dump(_object(value, path))
    elif field.message_type.full_name == FieldMask.DESCRIPTOR.full_name:
        raise RequestInvalid(f"{path} is given in the address, not in the body")
    else:
        getattr(message, field.name).SetInParent()
        fill(getattr(message, field.name), value, path)


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestInvalid(f"{path} is a JSON object")
    return value


def _scalar(field: Field, value: object, path: str) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING and isinstance(value, str):
        return value
    if field.type == FieldDescriptor.TYPE_BOOL and isinstance(value, bool):
        return value
    limits = bounds(field)
    if limits is not None and type(value) is int:
        if limits[0] <= value <= limits[1]:
            return value
        raise RequestInvalid(f"{path} is {limits[0]} to {limits[1]}")
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(field, value, path)
    raise RequestInvalid(f"{path} is {word(field)}")


def _bytes(field: Field, value: object, path: str) -> bytes:
    if field.full_name in JSON_FIELDS:
        return dump(_object(value, path))
    try:
        return base64.b64decode(str(value).encode("ascii") if isinstance(value, str) else b"?", validate=True)
    except (ValueError, binascii.Error) as error:
        raise RequestInvalid(f"{path} is base64") from error


def word(field: Field) -> str:
    """Return what a field holds, for a person."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true or false"
    return "a whole number" if bounds(field) is not None else "a text"


def fill_from_query(message: Message, pairs: Sequence[tuple[str, str]]) -> None:
    """Set the fields of a message from an address. Raises RequestInvalid; only a list may be named more than once."""
    seen: set[str] = set()
    for name, text in pairs:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None or (field.message_type is not None and name != MASK):
            known = ", ".join(query_fields(message))
            raise RequestInvalid(f"{name[:80]!r} is nothing that can be asked here; there are {known or 'none'}")
        if name in seen and not is_repeated(field):
            raise RequestInvalid(f"{name} is given twice")
        seen.add(name)
        if name == MASK and field.message_type is not None:
            getattr(message, MASK).paths.extend(part.strip() for part in text.split(","))
        elif is_repeated(field):
            getattr(message, name).append(text)
        else:
            setattr(message, name, _scalar(field, _typed(field, text, name), name))


def _typed(field: Field, text: str, name: str) -> object:
    if bounds(field) is None:
        return text
    if not INTEGER.fullmatch(text):
        raise RequestInvalid(f"{name} is a whole number")
    return int(text)


def query_fields(message: Message) -> list[str]:
    """Return what an address can ask of a message."""
    return [one.name for one in message.DESCRIPTOR.fields if one.message_type is None or one.name == MASK]
