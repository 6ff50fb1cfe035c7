"""The REST door: /api/v1 over the handlers that gRPC serves. Addresses in, the same calls, problems as RFC 9457.

Who asks is known, and may, before a body is parsed; what is public is answered to visitors without a certificate, as
the pages are. Nothing is decided here.
"""

import asyncio
import hashlib
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from hdex.node.errors import LimitExceeded, NodeError, Problem, RequestInvalid, describe
from hdex.node.wire.admission import Admission, Doorkeeper, admitted
from hdex.node.wire.api_json import fill, fill_from_query, put, read_body, to_json
from hdex.node.wire.api_routes import PREFIX, ROUTES, WHOLE, Route
from hdex.node.wire.conduct import conduct
from hdex.node.wire.http_limits import Rate, RateLimit
from hdex.node.wire.http_limits import read_body as read_bytes
from hdex.node.wire.masks import tree_of
from hdex.node.wire.openapi import openapi
from hdex.node.wire.problems import PROBLEM_TYPE, http_status, problem_document

logger = logging.getLogger(__name__)
BODY_TIMEOUT_S = 10.0
VISITOR_BYTES = 64 * 1024  # largest body of a caller without a certificate
MEMBERS, VISITORS = Rate(per_s=100, burst=1000), Rate(per_s=20, burst=200)
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
KEY_HEADER = "idempotency-key"
JSON_TYPE = "application/json"
RETRY_AFTER_S = "1"


class HttpCall:
    """What a handler is given where gRPC gives a context."""

    def is_active(self) -> bool:
        """Say that the caller is there: an answer of one message is always finished."""
        return True


class Collected:
    """Takes services where a gRPC server takes them, and keeps their methods by full name."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """Take no notice: generated code registers the same methods by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Keep the methods of one service."""
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


def collected(adders: Sequence[Callable[[Any], None]]) -> dict[str, Any]:
    """Return the methods that services have, by full gRPC name."""
    server = Collected()
    for add in adders:
        add(server)
    return server.methods


@dataclass(frozen=True, slots=True)
class Api:
    """What the door stands on: the gate's rules and the handlers behind them. clock: seconds that never go back."""

    door: Doorkeeper
    methods: Mapping[str, Any]
    is_serving: Callable[[], bool]
    clock: Callable[[], float]
    members: Rate = MEMBERS
    visitors: Rate = VISITORS


def api_app(api: Api) -> Starlette:
    """Return the application of one participant."""
    answer = Answerer(api)
    document = openapi(api.door.kind)

    async def described(_: Request) -> Response:
        return JSONResponse(document, headers=HEADERS)

    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES[api.door.kind]:
        by_path.setdefault(PREFIX + route.path, {})[route.method] = route
    routes = [
        health_route(api.is_serving),
        HttpRoute("/api/v1/openapi.json", described, methods=["GET"]),
        *(HttpRoute(path, answer.at(found), methods=[*found]) for path, found in by_path.items()),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: refused})
    app.router.redirect_slashes = False
    return app


def health_route(is_serving: Callable[[], bool]) -> HttpRoute:
    """Return /healthz: 200 while calls are answered, 503 otherwise."""

    async def health(_: Request) -> Response:
        up = is_serving()
        return JSONResponse({"status": "SERVING" if up else "NOT_SERVING"}, 200 if up else 503, headers=HEADERS)

    return HttpRoute("/healthz", health, methods=["GET"])


class Answerer:
    """Runs what an address leads to in a thread, and words its refusals."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._members = RateLimit(api.members, api.clock)
        self._visitors = RateLimit(api.visitors, api.clock)

    def at(self, routes: Mapping[str, Route]) -> Any:
        """Return the endpoint of one path."""

        async def endpoint(request: Request) -> Response:
            route = routes.get(request.method) or routes["GET"]  # HEAD is asked where GET is
            try:
                self._require_pace(request)
                raw = await self._body(request, route)
                return await run_in_threadpool(self._answer, route, request, raw)
            except (TimeoutError, ClientDisconnect):
                return told(Problem("DEADLINE_EXCEEDED", 3, "too-slow", "the body did not come in time"), 408)
            except Exception as error:  # the edge: every error becomes a problem
                return self._failed(route, error)

        return endpoint

    def _require_pace(self, request: Request) -> None:
        """Raise LimitExceeded for a client that asks too often, known by its certificate or else by its address."""
        certificate = certificate_of(request)
        known = hashlib.sha256(certificate).hexdigest() if certificate else ""
        where = request.client.host if request.client else ""
        if not (self._members.admit(known) if known else self._visitors.admit(where)):
            raise LimitExceeded("too many requests; wait a second")

    async def _body(self, request: Request, route: Route) -> bytes:
        known = bool(certificate_of(request))
        if not known and not route.public:
            return b""  # refused before a byte of it is read
        most = self._api.door.limits.control_bytes if known else VISITOR_BYTES
        found = await asyncio.wait_for(read_bytes(request, most), BODY_TIMEOUT_S)
        if found is None:
            error = LimitExceeded(f"a body has at most {most} bytes")
            error.rule = "too-long"
            raise error
        if found and not route.body:
            raise RequestInvalid("no body is asked here")
        return found

    def _answer(self, route: Route, request: Request, raw: bytes) -> Response:
        """Answer one call: 1 who calls and may they, 2 the message is read, 3 remembered, 4 the handler runs."""
        call, context = self._admit(route, request, raw)
        handler = self._api.methods[route.full_name]
        key = one_key(request)
        run = conduct(self._api.door.keys, route.call.replace("/", "."), handler, key=key)
        answer = route.answer()
        answer.MergeFromString(run(call, context))
        logger.info("request answered", extra={"method": route.full_name})
        if route.raw is not None:
            body, media_type = (getattr(answer, name) for name in route.raw)
            return Response(body, headers=HEADERS | {"Content-Type": media_type})
        return JSONResponse(to_json(answer, tree_of(call, route.full_name)), headers=HEADERS)

    def _admit(self, route: Route, request: Request, raw: bytes) -> tuple[Any, HttpCall]:
        """Return the call's message and context once the caller may make it, or raise."""
        context, certificate = HttpCall(), certificate_of(request)
        asked = f"{route.full_name}\n{request.url.path}?{request.url.query}\n".encode() + raw
        digest = hashlib.sha256(asked).hexdigest()
        if route.public and not certificate:
            message = message_of(route, request, raw)
            admitted(context, None)
            return message, context
        admission = Admission(self._api.door, route.full_name)
        pem = ssl.DER_cert_to_PEM_cert(certificate).encode() if certificate else None
        identity, decision = admission.decide(lambda: pem, digest)
        message = message_of(route, request, raw)
        admission.remember(identity, decision, digest)
        admitted(context, identity)
        return message, context

    def _failed(self, route: Route, error: Exception) -> Response:
        problem = describe(error)
        if problem.status == "INTERNAL":
            logger.error("request failed inside", extra={"method": route.full_name, "error": type(error).__name__})
        return told(problem, http_status(problem))


def certificate_of(request: Request) -> bytes:
    """Return the client's certificate, DER; empty where it showed none."""
    found: bytes = request.scope.get("state", {}).get("certificate", b"")
    return found


def one_key(request: Request) -> str:
    """Return the idempotency key of a request, empty where it has none. Raises RequestInvalid for several."""
    found = request.headers.getlist(KEY_HEADER)
    if len(found) > 1:
        raise RequestInvalid(f"Idempotency-Key is given {len(found)} times, once is asked")
    if found and not found[0]:
        raise RequestInvalid("an idempotency key is 1 to 128 visible ASCII characters, without spaces")
    return found[0] if found else ""


def message_of(route: Route, request: Request, raw: bytes) -> Any:
    """Return the call's message from path, query and body. Raises RequestInvalid."""
    message = route.request()
    try:
        fields = message.DESCRIPTOR.fields_by_name
        if route.body:
            require_json(request)
            body = read_body(raw)
            taken = set(route.path_fields)
            if route.body != WHOLE:
                put(message, fields[route.body], body, route.body)
            elif isinstance(body, dict) and taken & set(body):
                raise RequestInvalid(f"{', '.join(sorted(taken & set(body)))} stands in the address, not in the body")
            else:
                fill(message, body)
        pairs = request.query_params.multi_items()
        taken = {name for name, _ in pairs} & set(route.path_fields)
        if taken or (pairs and not route.reads):
            raise RequestInvalid(f"{next(iter(taken), pairs[0][0])[:80]!r} is nothing that the query can ask here")
        fill_from_query(message, pairs)
        for name in route.path_fields:
            put(message, fields[name], request.path_params[name], name)
    except (ValueError, TypeError) as error:  # a text that UTF-8 cannot carry
        if isinstance(error, NodeError):
            raise
        raise RequestInvalid("the request holds what a message cannot carry") from error
    return message


def require_json(request: Request) -> None:
    """Raise HTTPException unless the body is said to be JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        raise RequestInvalid(f"the body is {JSON_TYPE}; say so in Content-Type")


async def refused(request: Request, error: Exception) -> Response:
    """Return the problem of an address or method that is not there."""
    assert isinstance(error, HTTPException)
    rule, text = {
        404: ("not-found", f"there is no such address; {PREFIX}/openapi.json lists them"),
        405: ("method-not-allowed", "this address is not asked in this way"),
    }.get(error.status_code, ("refused", "the request cannot be answered"))
    answer = told(Problem("NOT_FOUND", 2, rule, text), error.status_code)
    answer.headers.update(error.headers or {})
    return answer


def told(problem: Problem, status: int) -> Response:
    """Return a problem as an HTTP answer."""
    headers = dict(HEADERS)
    if status in (429, 503) or problem.rule == "idempotency.in_flight":
        headers["Retry-After"] = RETRY_AFTER_S
    body = json.dumps(problem_document(problem, status), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, headers=headers | {"Content-Type": PROBLEM_TYPE})
