"""One problem, two forms: RFC 9457 for HTTP, google.rpc.Status with ErrorInfo for gRPC. Both name the same reason."""

import re
from http import HTTPStatus
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from hdex.node.errors import Problem

DOMAIN = "hdex"
DETAILS = "grpc-status-details-bin"
PROBLEM_TYPE = "application/problem+json"
# Of the gRPC statuses, as google.rpc.Code maps them.
HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# A product that does not stand here is a precondition to a command, and simply not found to a reader of addresses.
HTTP_OF_RULE = {"not-listed": 404, "product-withdrawn": 410, "too-long": 413}


def reason_of(rule: str) -> str:
    """Return a rule as ErrorInfo writes reasons: contract.foreign -> CONTRACT_FOREIGN."""
    return re.sub(r"[^A-Z0-9]+", "_", rule.upper()).strip("_")[:63]


def details_trailer(problem: Problem) -> tuple[str, bytes]:
    """Return the trailer that carries google.rpc.Status."""
    info = ErrorInfo(reason=reason_of(problem.rule), domain=DOMAIN)
    info.metadata.update({"rule": problem.rule, "next_step": problem.next_step})
    packed = AnyMessage()
    packed.Pack(info)
    code: int = grpc.StatusCode[problem.status].value[0]
    return DETAILS, Status(code=code, message=problem.message, details=[packed]).SerializeToString()


def http_status(problem: Problem) -> int:
    """Return the HTTP status of a problem."""
    return HTTP_OF_RULE.get(problem.rule, HTTP[problem.status])


def problem_document(problem: Problem, status: int) -> dict[str, Any]:
    """Return the RFC 9457 document of a problem."""
    return {
        "type": f"urn:hdex:rule:{problem.rule}",
        "title": HTTPStatus(status).phrase if status != 499 else "Client Closed Request",
        "status": status,
        "detail": problem.message,
        "reason": reason_of(problem.rule),
        "rule": problem.rule,
        "next_step": problem.next_step,
    }
