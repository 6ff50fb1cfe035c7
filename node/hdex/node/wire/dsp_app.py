"""The protocol's HTTPS binding: paths in, answers and error bodies out. Who asks is known before anything is read.

GET /.well-known/dspace-version is for everybody whom TLS admits; everything else for members of the consortium.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hdex.catalog.errors import CatalogError
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import TAKES, error, shown, versions
from hdex.node.dsp.process import Document, Kind
from hdex.node.errors import IdentityRefused, NodeError, describe
from hdex.node.identity import Identity
from hdex.node.wire.dsp_messages import MAX_BODY_BYTES, read_catalog_request, read_message, read_object
from hdex.node.wire.http_limits import RateLimit, read_body

logger = logging.getLogger(__name__)
BODY_TIMEOUT_S = 10.0
ERRORS = {"catalog": "CatalogError", "negotiations": "ContractNegotiationError", "transfers": "TransferError"}
STATUS = {
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
}  # everything else is the asker's to mend: 400
NO_STORE = {"Cache-Control": "no-store"}
PREFIX = re.compile(r"^/+(dsp/+|conformance/+)?")
Work = Callable[[Identity, bytes], Response]


class Door(Protocol):
    """Says who asks, from the certificate of the connection."""

    def enter(self, certificate: bytes) -> Identity:
        """Return who asks; remember a refusal and raise IdentityRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """What the paths lead to."""

    connector: Connector
    shop: Shop
    door: Door
    rate: RateLimit


class Answerer:
    """Runs what a path leads to in a thread, after the caller is known and the body is read, and words its refusals."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    async def __call__(self, request: Request, kind: str, work: Work) -> Response:
        raw = b""
        try:
            caller = self._binding.door.enter(request.scope["state"]["certificate"])
            if not self._binding.rate.admit(caller.participant):
                return told(kind, 429, "too-many", "too many requests; wait a second")
            if request.method == "POST":
                found = await asyncio.wait_for(read_body(request, MAX_BODY_BYTES), BODY_TIMEOUT_S)
                if found is None:
                    return told(kind, 413, "too-long", f"at most {MAX_BODY_BYTES} bytes are read")
                raw = found
            return await run_in_threadpool(work, caller, raw)
        except (TimeoutError, ClientDisconnect):
            return told(kind, 408, "too-slow", "the body did not come in time")
        except (NodeError, CatalogError) as failure:
            return refusal(kind, failure, request.path_params.get("pid", ""), raw)
        except Exception as failure:  # the edge: nothing inside leaks to a peer
            logger.error("a request could not be answered", exc_info=failure)
            return refusal(kind, failure, request.path_params.get("pid", ""), raw)


def dsp_app(binding: Binding, more: list[Route] | None = None) -> ASGIApp:
    """Return the application; `more` are paths beside the protocol's."""
    answer = Answerer(binding)
    wellknown = Route("/.well-known/dspace-version", version, methods=["GET"])
    routes = [wellknown, *catalog_routes(binding, answer), *process_routes(binding, answer), *(more or [])]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return PlainPaths(app)


async def version(request: Request) -> Response:
    """Say which versions stand where."""
    return JSONResponse(versions())


def catalog_routes(binding: Binding, answer: Answerer) -> list[Route]:
    """Return the catalogue's paths."""
    shop = binding.shop

    def page(caller: Identity, token: str) -> Response:
        document, following = shop.page(caller, after_of(token))
        headers = dict(NO_STORE)
        if following:
            link = f"{binding.connector.me.address}/catalog/request?continuationToken={token_of(following)}"
            headers["Link"] = f'<{link}>; rel="next"'
        return JSONResponse(document, headers=headers)

    async def catalog(request: Request) -> Response:
        def work(caller: Identity, raw: bytes) -> Response:
            if request.method == "POST":
                read_catalog_request(raw)
            return page(caller, request.query_params.get("continuationToken", ""))

        return await answer(request, "catalog", work)

    async def dataset(request: Request) -> Response:
        name = str(request.path_params["dataset"])
        return await answer(request, "catalog", lambda caller, _: JSONResponse(shop.dataset(caller, name)))

    return [
        Route("/dsp/catalog/request", catalog, methods=["POST", "GET"]),
        Route("/dsp/catalog/datasets/{dataset:path}", dataset, methods=["GET"]),
    ]


def process_routes(binding: Binding, answer: Answerer) -> list[Route]:
    """Return the paths of negotiations and transfers."""
    first, shown_at, moved = first_of(binding, answer), read_of(binding, answer), message_to(binding, answer)
    negotiations, transfers = Kind.NEGOTIATION, Kind.TRANSFER
    return [
        Route("/dsp/negotiations/request", first(negotiations, "ContractRequestMessage"), methods=["POST"]),
        Route("/dsp/negotiations/offers", first(negotiations, "ContractOfferMessage"), methods=["POST"]),
        Route("/dsp/negotiations/{pid}", shown_at(negotiations), methods=["GET"]),
        Route("/dsp/negotiations/{pid}/{verb:path}", moved(negotiations), methods=["POST"]),
        Route("/dsp/transfers/request", first(transfers, "TransferRequestMessage"), methods=["POST"]),
        Route("/dsp/transfers/{pid}", shown_at(transfers), methods=["GET"]),
        Route("/dsp/transfers/{pid}/{verb:path}", moved(transfers), methods=["POST"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


def first_of(binding: Binding, answer: Answerer) -> Callable[[Kind, str], Endpoint]:
    """Return what makes the endpoints of first messages: 201 for a new process, 200 for one that is known."""

    def made(kind: Kind, type_name: str) -> Endpoint:
        def work(caller: Identity, raw: bytes) -> Response:
            said = read_message(raw, frozenset({type_name}))
            if not said.callback:
                return told(
                    folder(kind), 400, "request-invalid", "callbackAddress: a first message carries it", raw=raw
                )
            process, fresh = binding.connector.opened(said, caller)
            return JSONResponse(shown(process), 201 if fresh else 200, headers=NO_STORE)

        async def endpoint(request: Request) -> Response:
            return await answer(request, folder(kind), work)

        return endpoint

    return made


def read_of(binding: Binding, answer: Answerer) -> Callable[[Kind], Endpoint]:
    """Return what makes the endpoints that show a process."""

    def made(kind: Kind) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            pid = str(request.path_params["pid"])

            def work(caller: Identity, _: bytes) -> Response:
                return JSONResponse(shown(binding.connector.show(kind, pid, caller)), headers=NO_STORE)

            return await answer(request, folder(kind), work)

        return endpoint

    return made


def message_to(binding: Binding, answer: Answerer) -> Callable[[Kind], Endpoint]:
    """Return what makes the endpoints of messages inside a process."""

    def made(kind: Kind) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            pid, verb = str(request.path_params["pid"]), str(request.path_params["verb"])

            def work(caller: Identity, raw: bytes) -> Response:
                if verb not in TAKES[kind]:
                    known = ", ".join(sorted(TAKES[kind]))
                    return told(
                        folder(kind), 404, "not-found", f"there is no such path; there are {known}", raw=raw, pid=pid
                    )
                said = read_message(raw, TAKES[kind][verb])
                return JSONResponse(shown(binding.connector.receive(pid, said, caller)), headers=NO_STORE)

            return await answer(request, folder(kind), work)

        return endpoint

    return made


def folder(kind: Kind) -> str:
    """Return the first part of the paths of a kind of process."""
    return "negotiations" if kind is Kind.NEGOTIATION else "transfers"


def refusal(kind: str, failure: Exception, pid: str, raw: bytes) -> Response:
    """Return the protocol's error body for what went wrong."""
    problem = describe(failure)
    status = 401 if isinstance(failure, IdentityRefused) else STATUS.get(problem.status, 400)
    next_step = f" Next step: {problem.next_step}" if problem.next_step else ""
    return told(kind, status, problem.rule, problem.message + next_step, raw=raw, pid=pid)


def told(kind: str, status: int, code: str, reason: str, *, raw: bytes = b"", pid: str = "") -> Response:
    """Return an error body; of a process it names both ids as the asker named them."""
    ids = {} if kind == "catalog" else named_pids(raw, pid)
    return JSONResponse(error(ERRORS[kind], code, reason, ids), status, headers=NO_STORE)


def named_pids(raw: bytes, pid: str) -> Mapping[str, str]:
    """Return both ids as a message names them; the schema asks for both, so what is unknown is the path's, or empty."""
    document: Document = {}
    with contextlib.suppress(NodeError):
        document = read_object(raw) if raw else {}
    found = {name: document.get(name) for name in ("providerPid", "consumerPid")}
    return {name: value[:512] if isinstance(value, str) else pid for name, value in found.items()}


def token_of(after: str) -> str:
    """Return the id after which the next page begins, as it stands in a link."""
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def after_of(token: str) -> str:
    """Return the id that a link names; one that we did not write begins at the start."""
    try:
        return base64.urlsafe_b64decode(token[:1024] + "=" * (-len(token[:1024]) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


class PlainPaths:
    """Reads /dsp//a/b/ as /dsp/a/b: peers join addresses with and without a slash at the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": plain_path(scope["path"])}
        await self._app(scope, receive, send)


def plain_path(path: str) -> str:
    """Return a path without doubled slashes at its start, or one at its end; a data set's id stays as it is."""
    begun = PREFIX.sub(lambda found: "/" + (found[1] or "").rstrip("/") + ("/" if found[1] else ""), path)
    return begun if begun.startswith("/dsp/catalog/datasets/") else begun.rstrip("/") or "/"
