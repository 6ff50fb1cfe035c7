"""The OpenAPI 3.1 document of the REST door, made from its table and the protocol's descriptors."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from hdex.node.wire.api_json import ENVELOPE, HEX_FIELDS, JSON_FIELDS, bounds, query_fields
from hdex.node.wire.api_routes import PREFIX, ROUTES, WHOLE, Route
from hdex.node.wire.masks import MASK, Field, is_repeated
from hdex.node.wire.problems import PROBLEM_TYPE

Json = dict[str, Any]
VERSION = "1.0.0"
KEY_HEADER = "Idempotency-Key"
SIGNED: Json = {
    "type": "object",
    "description": "A signed JSON document: signatures over its RFC 8785 form.",
    "required": ["document", "signatures"],
    "properties": {
        "document": {"type": "object"},
        "signatures": {"type": "array", "items": {"type": "object"}},
    },
}
PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. `rule` says what decided, `next_step` what can be done, `reason` is gRPC's ErrorInfo.",
    "required": ["type", "title", "status", "detail", "reason", "rule", "next_step"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "rule": {"type": "string"},
        "next_step": {"type": "string"},
    },
}
TEXTS = {
    "page_size": "Items of a page; 0 or absent is the default, more than the largest page is the largest page.",
    "page_token": "`next_page_token` of the page before, of the same query.",
    MASK: "Paths of the answer, with commas between: nothing else is told.",
}


def openapi(kind: str) -> Json:
    """Return the document of a kind of participant."""
    routes = ROUTES[kind]
    messages: dict[str, Descriptor] = {}
    paths: Json = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
        _collect(route.described().output_type, messages)
    schemas = {_name(found): _answer_schema(found) for found in sorted(messages.values(), key=_name)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"hdex {kind}",
            "version": VERSION,
            "description": "The same calls as over gRPC, decided and logged in the same place. See docs/api.md.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "paths": paths,
        "components": {
            "schemas": {"SignedDocument": SIGNED, "Problem": PROBLEM} | schemas,
            "securitySchemes": {
                "certificate": {"type": "mutualTLS", "description": "The certificate that the consortium has issued."}
            },
        },
    }


def _operation(route: Route) -> Json:
    described = route.described()
    operation: Json = {
        "operationId": route.call.replace("/", "_"),
        "tags": [route.call.partition("/")[0]],
        "summary": route.summary,
        "security": [*([{}] if route.public else []), {"certificate": []}],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {"200": _answered(route), "default": _problem()},
    }
    if route.body:
        schema = _body_schema(route, described.input_type)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _path_parameters(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.path_fields
    ]


def _query_parameters(route: Route) -> list[Json]:
    if not route.reads:
        return []
    fields = route.described().input_type.fields_by_name
    names = [name for name in query_fields(route.request()) if name not in route.path_fields]
    return [
        {"name": name, "in": "query"}
        | ({"description": TEXTS[name]} if name in TEXTS else {})
        | {"schema": _field_schema(fields[name]) if name != MASK else {"type": "string", "minLength": 1}}
        for name in names
    ]


def _header_parameters(route: Route) -> list[Json]:
    if route.reads or route.public:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
    told = "The same key and body again are given the first answer; with another body they are refused."
    return [{"name": KEY_HEADER, "in": "header", "description": told, "schema": schema}]


def _body_schema(route: Route, request: Descriptor) -> Json:
    if route.body != WHOLE:
        return _field_schema(request.fields_by_name[route.body])
    return _object_schema(field for field in request.fields if field.name not in route.path_fields)


def _answered(route: Route) -> Json:
    if route.raw is not None:
        text = {"schema": {"type": "string"}}
        forms: Json = {form: {} for form in ("application/ld+json", "application/json")}
        return {"description": "In the form that was asked", "content": forms | {"text/html": text}}
    schema = {"$ref": f"#/components/schemas/{_name(route.described().output_type)}"}
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _problem() -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": "Refused or failed", "content": {PROBLEM_TYPE: {"schema": schema}}}


def _collect(message: Descriptor, found: dict[str, Descriptor]) -> None:
    """Add a message and what it holds."""
    if message.full_name == ENVELOPE or message.GetOptions().map_entry or message.full_name in found:
        return
    found[message.full_name] = message
    for field in message.fields:
        if field.message_type is not None:
            _collect(field.message_type, found)


def _name(message: Descriptor) -> str:
    return str(message.name)


def _answer_schema(message: Descriptor) -> Json:
    """Return the schema of an answer. A mask may leave out any field, so none is required."""
    return _object_schema(message.fields, answer=True)


def _object_schema(fields: Iterable[Field], *, answer: bool = False) -> Json:
    properties = {field.name: _field_schema(field, answer=answer) for field in fields if not _is_mask(field)}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _is_mask(field: Field) -> bool:
    return field.message_type is not None and field.message_type.full_name == FieldMask.DESCRIPTOR.full_name


def _field_schema(field: Field, *, answer: bool = False) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}}
    schema = _value_schema(field, answer=answer)
    if is_repeated(field):
        return {"type": "array", "items": schema}
    nullable = answer and (field.message_type is not None or field.full_name in JSON_FIELDS)
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def _value_schema(field: Field, *, answer: bool) -> Json:
    if field.message_type is not None:
        if field.message_type.full_name == ENVELOPE:
            return {"$ref": "#/components/schemas/SignedDocument"}
        return (
            {"$ref": f"#/components/schemas/{field.message_type.name}"}
            if answer
            else _object_schema(field.message_type.fields)
        )
    if field.full_name in JSON_FIELDS:
        return {"type": "object"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string"} | (
            {"pattern": "^[0-9a-f]*$"} if field.full_name in HEX_FIELDS else {"format": "byte"}
        )
    limits = bounds(field)
    if limits is not None:
        return {"type": "integer", "minimum": limits[0], "maximum": limits[1]}
    return {"type": "boolean" if field.type == FieldDescriptor.TYPE_BOOL else "string"}
