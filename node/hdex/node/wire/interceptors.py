"""The gate before every gRPC handler: bounds, identity, permission, durable audit; and errors on their way out.

Order, for every call: 1 deadline and size, 2 who calls (certificate looked at anew), 3 may they, 4 the message is read,
5 the access is remembered durably, 6 the handler runs. A handler that raises is answered from the one error table.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

import grpc

from hdex.node.errors import LimitExceeded, RequestInvalid, describe
from hdex.node.wire.admission import Access, Admission, Doorkeeper, caller, visitor
from hdex.node.wire.admission import admitted as admitted_context
from hdex.node.wire.conduct import conduct, require_no_key
from hdex.node.wire.problems import details_trailer

logger = logging.getLogger(__name__)
RULE_KEY, NEXT_STEP_KEY = "hdex-rule", "hdex-next-step"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = grpc.ServicerContext
IDEMPOTENCY_KEY = "idempotency-key"
__all__ = ["Access", "Doorkeeper", "Gate", "caller", "visitor"]  # of the gate, whichever file they stand in


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
        # A unary answer leaves `_Call` as bytes already.
        serializer = handler.response_serializer if handler.response_streaming else None
        made: Handler = make(wrapped, request_deserializer=None, response_serializer=serializer)
        return made


class _Call:
    """One method of one server behind the gate."""

    def __init__(self, door: Doorkeeper, method: str, handler: Handler) -> None:
        self._door = door
        self._method = method
        self._admission = Admission(door, method)
        self._handler = handler

    def unary(self, raw: Any, context: Context) -> bytes:
        """Answer with one message, serialised: under an idempotency key it may be an earlier one."""
        try:
            request = self._admit(raw, context)
            key = metadata_of(context, IDEMPOTENCY_KEY)
            answer = conduct(self._door.keys, self._admission.action, self._handler, key=key)(request, context)
        except Exception as error:  # the edge: every error becomes a status
            self._fail(context, error)
        logger.info("call answered", extra={"method": self._method})
        return answer

    def streaming(self, raw: Any, context: Context) -> Iterator[object]:
        """Answer with a stream of messages; who receives it must stay identified."""
        try:
            request = self._admit(raw, context)
            require_no_key(metadata_of(context, IDEMPOTENCY_KEY))
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
        identity, decision = self._admission.decide(lambda: certificate_of(context), digest)  # 2 and 3
        request = self._messages(raw, context) if streams else self._parse(raw)  # 4
        self._admission.remember(identity, decision, digest)  # 5
        admitted_context(context, identity)
        return request

    def _identify(self, context: Context) -> None:
        self._admission.identify(certificate_of(context))

    def _require_bounds(self, raw: bytes, context: Context) -> None:
        limits = self._door.limits
        streams = self._handler.request_streaming or self._handler.response_streaming
        longest = limits.stream_deadline_s if streams else limits.unary_deadline_s
        left = context.time_remaining()
        if left is None or left > longest + 1:
            raise LimitExceeded(f"a call must have a deadline of at most {longest:g} s")
        if len(raw) > limits.control_bytes:
            raise LimitExceeded(f"a request has at most {limits.control_bytes} bytes, this one {len(raw)}")

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
        told = ((RULE_KEY, _ascii(problem.rule)), (NEXT_STEP_KEY, _ascii(problem.next_step)))
        context.set_trailing_metadata((*told, details_trailer(problem)))
        context.abort(grpc.StatusCode[problem.status], problem.message)


def certificate_of(context: Context) -> bytes | None:
    """Return the PEM certificate of the peer, None where it showed none."""
    pem: list[Any] = list(context.auth_context().get("x509_pem_cert", []))
    return pem[0] if len(pem) == 1 else None


def metadata_of(context: Context, name: str) -> str:
    """Return the value of a metadata key, empty where the caller sent none. Raises RequestInvalid for several."""
    found = [value for key, value in context.invocation_metadata() or () if key == name]
    if len(found) > 1:
        raise RequestInvalid(f"{name} is given {len(found)} times, once is asked")
    return str(found[0]) if found else ""


def _ascii(text: str) -> str:
    """Return text as metadata may carry it: ASCII, percent-encoded where it is not."""
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")


def _where(error: Exception) -> str:
    """Return file and line of an error; its message may hold what must not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
