"""A channel to exactly one participant: mutual TLS, a deadline on every call, errors as ours.

The server must show a certificate with the DNS name <participant>.<trust-domain>, which only the consortium's CA
gives, and only to that participant's process: whoever else answers on the port is refused.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import grpc

from hdex.node.config import Limits
from hdex.node.egress import require_allowed
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused, kebab
from hdex.node.identity import server_name
from hdex.node.wire.interceptors import NEXT_STEP_KEY, RULE_KEY
from hdex.node.wire.keepalive import keepalive_options
from hdex.node.wire.repeats import Details, repeated
from hdex.node.wire.tls import Tls

TIMEOUT_S = 30.0
STREAM_TIMEOUT_S = 600.0
AWAY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})


def channel(
    endpoint: str,
    *,
    tls: Tls,
    server: str,
    trust_domain: str,
    limits: Limits | None = None,
    timeout_s: float = TIMEOUT_S,
    stream_timeout_s: float = STREAM_TIMEOUT_S,
) -> grpc.Channel:
    """Return a channel to the participant `server`. Calls raise PeerUnavailable or RemoteRefused, never RpcError.

    A call without a timeout gets `timeout_s`, a stream `stream_timeout_s`. Close the channel after use.
    """
    require_allowed(endpoint)
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.private_key, tls.certificate)
    options = client_options(limits or Limits(), server_name(server, trust_domain))
    bare = grpc.secure_channel(endpoint, credentials, options=options)
    return grpc.intercept_channel(bare, _Edge(server, timeout_s, stream_timeout_s))


def client_options(limits: Limits, expected_name: str) -> list[tuple[str, int | str]]:
    """Return the channel arguments of a client."""
    return [
        ("grpc.ssl_target_name_override", expected_name),
        ("grpc.max_receive_message_length", limits.data_bytes),
        ("grpc.max_send_message_length", limits.data_bytes),
        *keepalive_options(),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.enable_http_proxy", 0),  # an environment variable must not redirect us
        ("grpc.use_local_subchannel_pool", 1),  # channels of one process do not share a connection or its identity
    ]


def translate(error: grpc.RpcError, server: str) -> NodeError:
    """Return a failed call as our error, with the rule and the next step that the server gave."""
    failed: Any = error  # the stubs leave the call's methods out of the exception
    code, details, trailers = failed.code(), failed.details() or "", failed.trailing_metadata() or ()
    told = {key: unquote(value) for key, value in trailers if isinstance(value, str)}
    rule, next_step = told.get(RULE_KEY, ""), told.get(NEXT_STEP_KEY, "")
    if code.name in AWAY:
        away = PeerUnavailable(f"{server} did not answer ({code.name.lower()}): {details[:300]}")
        away.rule, away.next_step = rule, next_step
        return away
    return RemoteRefused(rule or kebab(code.name).replace("_", "-"), next_step, details[:2000], status=code.name)


class _Stream:
    """A response stream whose errors are ours."""

    def __init__(self, call: Any, server: str) -> None:
        self._call = call
        self._server = server

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise translate(error, self._server) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _Edge(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in its stubs only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]  # generic in its stubs only
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in its stubs only
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]  # generic in its stubs only
):
    """Gives every call a deadline and every failure a name; repeats what is safe to repeat."""

    def __init__(self, server: str, timeout_s: float, stream_timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._stream_timeout_s = stream_timeout_s

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        sent = _with_deadline(details, self._timeout_s)
        return repeated(sent, lambda again: self._answer(continuation(again, request)))

    def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return self._answer(continuation(_with_deadline(details, self._stream_timeout_s), requests))

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return _Stream(continuation(_with_deadline(details, self._stream_timeout_s), request), self._server)

    def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return _Stream(continuation(_with_deadline(details, self._stream_timeout_s), requests), self._server)

    def _answer(self, call: Any) -> Any:
        error = call.exception()  # waits for the answer
        if isinstance(error, grpc.RpcError):
            raise translate(error, self._server) from error
        return call


def _with_deadline(details: Any, timeout_s: float) -> Details:
    return Details(
        details.method,
        timeout_s if details.timeout is None else details.timeout,
        details.metadata,
        details.credentials,
        getattr(details, "wait_for_ready", None),
        getattr(details, "compression", None),
    )
