"""A participant's log and witness over HTTP: C2SP tlog-witness `add-checkpoint`, tlog-tiles checkpoint and hash tiles.

Callers are not known here: a submission is believed by the log's signature, a tile by the checkpoint. Entries are not
served over HTTP (they say who gets what from whom); auditors read them over mutual TLS.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hdex.ledger.errors import CheckpointConflict, LedgerError, OldSizeWrong
from hdex.ledger.hash_tile import hash_tile, parse_tile_path
from hdex.ledger.submission import MAX_BODY_BYTES, Submission, parse_submission
from hdex.ledger.witness import Witness
from hdex.node.wire.http_limits import Rate, RateLimit, read_body

logger = logging.getLogger(__name__)
SIZE_TYPE = "text/x.tlog.size"
BODY_TIMEOUT_S = 10.0
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
BRIEFLY = {"Cache-Control": "no-cache"}
READS, SUBMISSIONS = Rate(per_s=50, burst=400), Rate(per_s=5, burst=40)


class TiledLog(Protocol):
    """A log as far as HTTP shows it."""

    @property
    def size(self) -> int:
        """How many entries are durable."""
        ...

    def leaf_hashes(self, start: int, stop: int) -> Sequence[bytes]:
        """Return the leaf hashes with start <= index < stop."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What is served: one's own log, the checkpoint to show of it, and one's witness of the others' logs."""

    log: TiledLog
    checkpoint: Callable[[], str]  # newest, with the cosignatures it has
    witness: Witness
    reads: Rate = READS
    submissions: Rate = SUBMISSIONS
    clock: Callable[[], float] = field(default=time.monotonic)


def ledger_app(offer: Offer) -> Starlette:
    """Return the application: POST /add-checkpoint, GET /checkpoint, GET /tile/<L>/<N>[.p/<W>]; nothing else."""
    reads, submissions = RateLimit(offer.reads, offer.clock), RateLimit(offer.submissions, offer.clock)

    async def add_checkpoint(request: Request) -> Response:
        if not submissions.admit(client_of(request)):
            return too_many()
        try:
            body = await asyncio.wait_for(read_body(request, MAX_BODY_BYTES), BODY_TIMEOUT_S)
        except (TimeoutError, ClientDisconnect):
            return told(408, "the body did not come in time")
        if body is None:
            return told(413, f"at most {MAX_BODY_BYTES} bytes are read")
        return await run_in_threadpool(answer_submission, offer.witness, body)

    async def checkpoint(request: Request) -> Response:
        if not reads.admit(client_of(request)):
            return too_many()
        return PlainTextResponse(await run_in_threadpool(offer.checkpoint), headers=BRIEFLY)

    async def tile(request: Request) -> Response:
        if not reads.admit(client_of(request)):
            return too_many()
        return await run_in_threadpool(answer_tile, offer.log, str(request.path_params["name"]))

    routes = [
        Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
        Route("/checkpoint", checkpoint, methods=["GET"]),
        Route("/tile/{name:path}", tile, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


def answer_submission(witness: Witness, body: bytes) -> Response:
    """Return the cosignature line, or the status that tlog-witness names for the refusal."""
    try:
        submission = parse_submission(body)
        line = witness.add_checkpoint(submission.old_size, submission.proof, submission.checkpoint)
    except OldSizeWrong as error:
        return stands_at(error.size)
    except CheckpointConflict as error:
        return conflicting(witness, submission, error)
    except LedgerError as error:
        status = getattr(error, "status", None)
        if status is None:  # the witness's own store failed: nothing was cosigned
            logger.error("the witness cannot answer", extra={"reason": type(error).__name__})
            return told(503, "the witness cannot answer")
        return told(status, str(error))
    return PlainTextResponse(line)


def conflicting(witness: Witness, submission: Submission, error: CheckpointConflict) -> Response:
    """Return the 409 of a second root; where the old size is wrong as well, its form comes first."""
    size = error.size
    return stands_at(size) if submission.old_size != size else told(409, str(error))


def answer_tile(log: TiledLog, path: str) -> Response:
    """Return one hash tile; what the log does not hold yet is not found and not cached."""
    name = parse_tile_path(path)
    if name is None:
        return told(404, "there are hash tiles only: <level>/<index>, with .p/<width> when partial")
    data = hash_tile(name, log.size, log.leaf_hashes)
    if data is None:
        return told(404, "the log does not hold this tile")
    return Response(data, media_type="application/octet-stream", headers=FOR_EVER)


def stands_at(size: int) -> Response:
    """Return the 409 that says where the witness stands."""
    # Starlette adds a charset to text types that it is told of by media_type; the protocol names the bare type
    return Response(f"{size}\n", 409, headers={"Content-Type": SIZE_TYPE})


def told(status: int, why: str) -> Response:
    """Return a refusal in one line."""
    return PlainTextResponse(why + "\n", status, headers={"Cache-Control": "no-store"})


def too_many() -> Response:
    """Return the refusal of a client that asks too often."""
    return PlainTextResponse("too many requests\n", 429, headers={"Retry-After": "1"})


def client_of(request: Request) -> str:
    """Return whose bucket a request takes from."""
    return request.client.host if request.client else ""
