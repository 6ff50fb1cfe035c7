"""Two paths beside the protocol's, by which an outside kit makes this connector a consumer. Only under the profile."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hdex.catalog.errors import CatalogError
from hdex.node.dsp.conformance import offer_of
from hdex.node.dsp.connector import Connector
from hdex.node.errors import NodeError
from hdex.node.wire.dsp_app import BODY_TIMEOUT_S, refusal
from hdex.node.wire.dsp_messages import MAX_BODY_BYTES, Address, Part, Pid, checked, read_object
from hdex.node.wire.http_limits import read_body

Start = Callable[[bytes], Response]


class NegotiationStart(Part):
    """Which offer to ask for, and where. Other members, such as providerId, are read over."""

    dataset_id: Pid = Field(alias="datasetId")
    offer_id: Pid = Field(alias="offerId")
    address: Address = Field(alias="connectorAddress")


class TransferBegin(Part):
    """Which agreement's data to ask for, and where."""

    agreement_id: Pid = Field(alias="agreementId")
    format: Annotated[str, Field(min_length=1, max_length=256)]
    address: Address = Field(alias="connectorAddress")


def conformance_routes(connector: Connector, peer: str) -> list[Route]:
    """Return both paths; `peer` is how the kit is called in the processes it starts."""

    async def negotiations(request: Request) -> Response:
        def start(raw: bytes) -> Response:
            asked = checked(NegotiationStart, read_object(raw))
            offer = offer_of(asked.offer_id) | {"target": asked.dataset_id}
            process = connector.request(peer, asked.address, offer=offer)
            return JSONResponse({"consumerPid": process.pid})

        return await started(request, "negotiations", start)

    async def transfers(request: Request) -> Response:
        def start(raw: bytes) -> Response:
            asked = checked(TransferBegin, read_object(raw))
            process = connector.request_transfer(
                peer, asked.address, agreement_id=asked.agreement_id, format=asked.format
            )
            return JSONResponse({"consumerPid": process.pid})

        return await started(request, "transfers", start)

    return [
        Route("/conformance/negotiations", negotiations, methods=["POST"]),
        Route("/conformance/transfers", transfers, methods=["POST"]),
    ]


async def started(request: Request, kind: str, start: Start) -> Response:
    """Return what `start` answers to the body, or the refusal."""
    try:
        raw = await asyncio.wait_for(read_body(request, MAX_BODY_BYTES), BODY_TIMEOUT_S)
        return await run_in_threadpool(start, raw or b"")
    except (NodeError, CatalogError, TimeoutError) as failure:
        return refusal(kind, failure, "", b"")
