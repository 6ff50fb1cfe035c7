"""Two paths beside the protocol's, by which an outside kit makes this connector a consumer. Only under the profile."""

from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hdex.node.dsp.conformance import offer_of
from hdex.node.identity import Identity
from hdex.node.wire.dsp_app import Answerer, Binding
from hdex.node.wire.dsp_messages import Address, Part, Pid, checked, read_object


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


def conformance_routes(binding: Binding) -> list[Route]:
    """Return both paths; whoever asks is the other side of the process that begins."""
    connector, answer = binding.connector, Answerer(binding)

    def negotiation(caller: Identity, raw: bytes) -> Response:
        asked = checked(NegotiationStart, read_object(raw))
        offer = offer_of(asked.offer_id) | {"target": asked.dataset_id}
        process = connector.request(caller.participant, asked.address, offer=offer)
        return JSONResponse({"consumerPid": process.pid})

    def transfer(caller: Identity, raw: bytes) -> Response:
        asked = checked(TransferBegin, read_object(raw))
        process = connector.request_transfer(
            caller.participant, asked.address, agreement_id=asked.agreement_id, format=asked.format
        )
        return JSONResponse({"consumerPid": process.pid})

    async def negotiations(request: Request) -> Response:
        return await answer(request, "negotiations", negotiation)

    async def transfers(request: Request) -> Response:
        return await answer(request, "transfers", transfer)

    return [
        Route("/conformance/negotiations", negotiations, methods=["POST"]),
        Route("/conformance/transfers", transfers, methods=["POST"]),
    ]
