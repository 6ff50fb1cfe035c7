"""The Delta Sharing protocol over HTTPS, read only: shares, schemas, tables, version, metadata, query, files.

Source: the protocol text of delta-io/delta-sharing (PROTOCOL.md), reader version 1, response format parquet. A bearer
token is all that is known of a caller; what it opens is decided by `hospital.shares`.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hdex.node.errors import describe
from hdex.node.hospital.shares import SCHEMA, WHOLE, RangeOutside, Shares, Table, Wanted
from hdex.node.wire.http_limits import Rate, RateLimit, read_body

logger = logging.getLogger(__name__)
NDJSON, OCTETS = "application/x-ndjson; charset=utf-8", "application/octet-stream"
RANGES = {"Accept-Ranges": "bytes"}
RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
VERSION = {"Delta-Table-Version": "0", "delta-sharing-capabilities": "responseformat=parquet"}
MOST_BODY, BODY_TIMEOUT_S = 64 * 1024, 10.0
REQUESTS = Rate(per_s=20, burst=100)
STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "FAILED_PRECONDITION": 403, "NOT_FOUND": 404}
CODES = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_NOT_FOUND",
         429: "RESOURCE_EXHAUSTED"}  # fmt: skip
Answer = Callable[[Shares, Request, str], Response]


def sharing_routes(shares: Shares, clock: Callable[[], float]) -> list[Route]:
    """Return the routes of the protocol, to stand beside others of the node."""
    limit = RateLimit(REQUESTS, clock)

    def to(answer: Answer) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if not limit.admit(request.client.host if request.client else ""):
                return refused(429, "too many requests")
            if request.method == "POST" and (why := await unread(request)):
                return refused(400, why)
            return await run_in_threadpool(guarded, answer, shares, request)

        return endpoint

    table = "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}"
    return [
        Route("/delta-sharing/shares", to(list_shares), methods=["GET"]),
        Route("/delta-sharing/shares/{share}", to(get_share), methods=["GET"]),
        Route("/delta-sharing/shares/{share}/schemas", to(list_schemas), methods=["GET"]),
        Route("/delta-sharing/shares/{share}/schemas/{schema}/tables", to(list_tables), methods=["GET"]),
        Route("/delta-sharing/shares/{share}/all-tables", to(list_tables), methods=["GET"]),
        Route(f"{table}/version", to(version), methods=["GET"]),
        Route(f"{table}/metadata", to(metadata), methods=["GET"]),
        Route(f"{table}/query", to(query), methods=["POST"]),
        Route("/delta-sharing/files/{contract}", to(file), methods=["GET"]),
    ]


async def unread(request: Request) -> str:
    """Read a body, of which nothing is heeded; return why it was not read to its end, empty where it was."""
    try:
        body = await asyncio.wait_for(read_body(request, MOST_BODY), BODY_TIMEOUT_S)
    except (TimeoutError, ClientDisconnect):
        return "the body did not come in time"
    return f"at most {MOST_BODY} bytes are read" if body is None else ""


def guarded(answer: Answer, shares: Shares, request: Request) -> Response:
    """Return an answer, or the refusal that an error is; nothing inside leaks."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return answer(shares, request, token if scheme.lower() == "bearer" else "")
    except Exception as error:
        problem = describe(error)
        if problem.status == "INTERNAL":
            logger.exception("a share cannot be served")
        return refused(STATUS.get(problem.status, 400 if problem.exit_code == 2 else 500), problem.message)


def refused(status: int, message: str) -> Response:
    """Return a refusal as the protocol writes it."""
    return JSONResponse({"errorCode": CODES.get(status, "INTERNAL_ERROR"), "message": message}, status)


def list_shares(shares: Shares, request: Request, token: str) -> Response:
    table = shares.listed(token)
    return JSONResponse({"items": [{"name": table.share, "id": table.share}]})


def get_share(shares: Shares, request: Request, token: str) -> Response:
    table = asked(shares.listed(token), request)
    return absent() if table is None else JSONResponse({"share": {"name": table.share, "id": table.share}})


def list_schemas(shares: Shares, request: Request, token: str) -> Response:
    table = asked(shares.listed(token), request)
    return absent() if table is None else JSONResponse({"items": [{"name": SCHEMA, "share": table.share}]})


def list_tables(shares: Shares, request: Request, token: str) -> Response:
    table = asked(shares.listed(token), request)
    if table is None:
        return absent()
    item = {"name": table.name, "schema": SCHEMA, "share": table.share, "shareId": table.share, "id": table.id}
    return JSONResponse({"items": [item]})


def version(shares: Shares, request: Request, token: str) -> Response:
    return absent() if asked(shares.table(token), request) is None else Response(headers=VERSION)


def metadata(shares: Shares, request: Request, token: str) -> Response:
    table = asked(shares.table(token), request)
    return absent() if table is None else lines(head(table))


def query(shares: Shares, request: Request, token: str) -> Response:
    """Answer with the one file; hints of predicates and limits may be left unheeded, says the protocol."""
    table = asked(shares.table(token), request)
    if table is None:
        return absent()
    path, until = shares.address(table, shares.contract_of(token))
    one = {
        "url": f"{request.url.scheme}://{request.url.netloc}{path}",
        "id": table.id,
        "partitionValues": {},
        "size": table.bytes,
        "stats": json.dumps({"numRecords": table.rows}),
        "expirationTimestamp": int(until.timestamp() * 1000),
    }
    return lines([*head(table), {"file": one}])


def file(shares: Shares, request: Request, token: str) -> Response:
    """Stream the file of a signed address, or a range of it; the address is the licence: no token is asked."""
    given, contract = request.query_params, request.path_params["contract"]
    until, signature = given.get("until", ""), given.get("signature", "")
    if not until.isascii() or not until.isdigit() or len(until) > 15:
        return refused(400, "the address has no end")
    if request.method == "HEAD":
        return Response(headers=RANGES | {"Content-Length": str(shares.size(contract, until, signature))})
    wanted = wanted_of(request.headers.get("range", ""))
    try:
        reading = shares.read(contract, until, signature, wanted=wanted or WHOLE)
    except RangeOutside as error:
        return Response(status_code=416, headers=RANGES | {"Content-Range": f"bytes */{error.size}"})
    # where the licence ends on the way the connection breaks, and the reader sees that the file is short
    headers = RANGES | {"Content-Length": str(reading.stop - reading.start)}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {reading.start}-{reading.stop - 1}/{reading.size}"
    return StreamingResponse(reading.pieces, 206 if wanted else 200, headers, OCTETS)


def wanted_of(header: str) -> Wanted | None:
    """Return the one range that a Range header asks for; None where it asks for none, several, or cannot be read."""
    match = RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return Wanted(-int(match[2])) if int(match[2]) else None
    return Wanted(int(match[1]), int(match[2]) if match[2] else None)


def asked(table: Table, request: Request) -> Table | None:
    """Return the table where the path names it, None where it names another."""
    names = {"share": table.share, "schema": SCHEMA, "table": table.name}
    return table if all(names[key] == value for key, value in request.path_params.items()) else None


def absent() -> Response:
    """Return that the token opens nothing of this name."""
    return refused(404, "the token opens no share, schema or table of this name")


def head(table: Table) -> list[dict[str, Any]]:
    """Return the lines of protocol and metadata."""
    described = {
        "id": table.id,
        "format": {"provider": "parquet"},
        "schemaString": table.schema,
        "partitionColumns": [],
        "numFiles": 1,
        "size": table.bytes,
    }
    return [{"protocol": {"minReaderVersion": 1}}, {"metaData": described}]


def lines(documents: list[dict[str, Any]]) -> Response:
    """Return JSON, one document a line."""
    body = "".join(json.dumps(one) + "\n" for one in documents)
    return Response(body, headers={**VERSION, "Content-Type": NDJSON})
