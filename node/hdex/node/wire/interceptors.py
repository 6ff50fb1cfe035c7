"""The gate before every handler: bounds, identity, permission, durable audit; and errors on their way out.

Order, for every call: 1 deadline and size, 2 who calls (certificate looked at anew), 3 may they, 4 the message is read,
5 the access is remembered durably, 6 the handler runs. A handler that raises is answered from the one error table.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote
from weakref import WeakKeyDictionary

import grpc

from hdex.node.authz import METHODS, Authorizer, Decision
from hdex.node.config import Limits
from hdex.node.errors import (
    AccessDenied,
    ConfigInvalid,
    IdentityRefused,
    LimitExceeded,
    RequestInvalid,
    describe,
)
from hdex.node.identity import Identity, check_peer

logger = logging.getLogger(__name__)
RULE_KEY, NEXT_STEP_KEY = "hdex-rule", "hdex-next-step"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.ServicerContext
_callers: WeakKeyDictionary[Context, Identity] = WeakKeyDictionary()  # gone with their calls


@dataclass(frozen=True, slots=True)
class Access:
    """One attempt to call, as it is remembered before anything happens."""

    method: str
    action: str
    caller: Identity | None  # None: the certificate did not identify anyone
    allow: bool
    rule: str
    request_sha256: str  # of the serialised request; empty for a stream of requests
    time: datetime


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What the gate needs to decide. `audit` returns only when the access is durable; what it raises is the answer."""

    kind: str  # of the participant that serves
    participant: str
    trust_domain: str
    authorizer: Authorizer
    audit: Callable[[Access], None]
    denied: Callable[[], frozenset[int]]
    clock: Callable[[], datetime]
    limits: Limits


def caller(context: Context) -> Identity:
    """Return who calls, inside a handler. Raises IdentityRefused for a call that did not pass the gate."""
    try:
        return _callers[context]
    except KeyError:
        raise IdentityRefused("this call did not pass the gate") from None


class Gate(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """The one interceptor of a server."""

    def __init__(self, door: Doorkeeper) -> None:
        self._door = door

    def intercept_service(
        self, continuation: "Callable[[grpc.HandlerCallDetails], Handler | None]", details: grpc.HandlerCallDetails
    ) -> "Handler | None":
        handler = continuation(details)
        if handler is None:
            logger.warning("unknown method called", extra={"method": details.method[:200]})
            return None
        call = _Call(self._door, details.method, handler)
        wrapped = call.streaming if handler.response_streaming else call.unary
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[(handler.request_streaming, handler.response_streaming)]
        # Without a deserialiser the gate sees the raw bytes: nobody's message is parsed before he is let in.
        made: Handler = make(wrapped, request_deserializer=None, response_serializer=handler.response_serializer)
        return made


class _Call:
    """One method of one server behind the gate."""

    def __init__(self, door: Doorkeeper, method: str, handler: Handler) -> None:
        self._door = door
        self._method = method
        self._action = METHODS.get(method, method)
        self._handler = handler

    def unary(self, raw: Any, context: Context) -> object:
        """Answer with one message."""
        try:
            request = self._admit(raw, context)
            answer = self._behaviour()(request, context)
        except Exception as error:  # the edge: every error becomes a status
            self._fail(context, error)
        logger.info("call answered", extra={"method": self._method})
        return answer

    def streaming(self, raw: Any, context: Context) -> Iterator[object]:
        """Answer with a stream of messages; who receives it must stay identified."""
        try:
            request = self._admit(raw, context)
            for answer in self._behaviour()(request, context):
                self._identify(context)
                yield answer
        except Exception as error:  # the edge: every error becomes a status
            self._fail(context, error)
        logger.info("stream answered", extra={"method": self._method})

    def _admit(self, raw: Any, context: Context) -> object:
        """Return the request once the caller may make it, or raise."""
        streams = self._handler.request_streaming
        self._require_bounds(b"" if streams else raw, context)  # 1
        digest = "" if streams else hashlib.sha256(raw).hexdigest()
        identity = self._identify_or_remember(context, digest)  # 2
        decision = self._decide(identity)  # 3
        if not decision.allow:
            self._remember(identity, decision, digest)
            raise AccessDenied(decision.rule, decision.next_step)
        request = self._messages(raw, context) if streams else self._parse(raw)  # 4
        self._remember(identity, decision, digest)  # 5
        _callers[context] = identity
        return request

    def _require_bounds(self, raw: bytes, context: Context) -> None:
        limits = self._door.limits
        streams = self._handler.request_streaming or self._handler.response_streaming
        longest = limits.stream_deadline_s if streams else limits.unary_deadline_s
        left = context.time_remaining()
        if left is None or left > longest + 1:
            raise LimitExceeded(f"a call must have a deadline of at most {longest:g} s")
        if len(raw) > limits.control_bytes:
            raise LimitExceeded(f"a request has at most {limits.control_bytes} bytes, this one {len(raw)}")

    def _identify(self, context: Context) -> Identity:
        pem: list[Any] = list(context.auth_context().get("x509_pem_cert", []))
        if len(pem) != 1:
            raise IdentityRefused("the peer showed no certificate")
        try:
            denied = self._door.denied()
        except ConfigInvalid as error:
            raise IdentityRefused("the deny list cannot be read, so nobody is let in") from error
        return check_peer(pem[0], trust_domain=self._door.trust_domain, now=self._door.clock(), denied=denied)

    def _identify_or_remember(self, context: Context, digest: str) -> Identity:
        try:
            return self._identify(context)
        except IdentityRefused as error:
            # The server says why: the peer itself may only see a closed connection.
            logger.warning("peer refused", extra={"method": self._method, "reason": str(error)})
            self._remember(None, Decision(False, "identity-refused"), digest)
            raise

    def _decide(self, identity: Identity) -> Decision:
        resource = {"kind": self._door.kind, "participant": self._door.participant}
        return self._door.authorizer.decide(identity, self._action, resource)

    def _remember(self, identity: Identity | None, decision: Decision, digest: str) -> None:
        if not decision.allow:
            logger.warning("call refused", extra={"method": self._method, "rule": decision.rule})
        now = self._door.clock()
        self._door.audit(Access(self._method, self._action, identity, decision.allow, decision.rule, digest, now))

    def _parse(self, raw: bytes) -> object:
        if self._handler.request_deserializer is None:
            return raw
        try:
            return self._handler.request_deserializer(raw)
        except Exception as error:  # whatever a parser raises on rubbish
            raise RequestInvalid("the request cannot be read") from error

    def _messages(self, raw: Iterator[bytes], context: Context) -> Iterator[object]:
        """Yield the messages of a stream; each from someone who is still identified."""
        for message in raw:
            self._identify(context)
            if len(message) > self._door.limits.data_bytes:
                raise LimitExceeded(f"a message has at most {self._door.limits.data_bytes} bytes")
            yield self._parse(message)

    def _behaviour(self) -> Any:
        handler = self._handler
        kinds: tuple[Any, ...] = (
            handler.unary_unary,
            handler.unary_stream,
            handler.stream_unary,
            handler.stream_stream,
        )
        return next(kind for kind in kinds if kind is not None)

    def _fail(self, context: Context, error: Exception) -> NoReturn:
        """End the call with the status, rule and next step of an error."""
        if getattr(context, "code", lambda: None)() is not None:  # the handler has aborted on its own
            raise error
        problem = describe(error)
        if problem.status == "INTERNAL":
            extra = {"method": self._method, "error": type(error).__name__, "where": _where(error)}
            logger.error("call failed inside", extra=extra)
        metadata = ((RULE_KEY, _ascii(problem.rule)), (NEXT_STEP_KEY, _ascii(problem.next_step)))
        context.set_trailing_metadata(metadata)
        context.abort(grpc.StatusCode[problem.status], problem.message)


def _ascii(text: str) -> str:
    """Return text as metadata may carry it: ASCII, percent-encoded where it is not."""
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")


def _where(error: Exception) -> str:
    """Return file and line of an error; its message may hold what must not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
