"""The key holder's gRPC service."""

from dataclasses import asdict

import grpc

from hdex.node.keyholder import SumDesk
from hdex.node.wire.interceptors import caller
from hdex.node.wire.messages import unpack
from hdex.node.wire.server import Adder
from hdex.proto.v1 import keyholder_pb2, keyholder_pb2_grpc

Context = grpc.ServicerContext


class KeyHolderServicer(keyholder_pb2_grpc.KeyHolderServiceServicer):
    """Keys and sums of studies."""

    def __init__(self, desk: SumDesk) -> None:
        self._desk = desk

    def CreateKey(self, request: keyholder_pb2.CreateKeyRequest, context: Context) -> keyholder_pb2.CreateKeyResponse:
        if not request.parties:
            return keyholder_pb2.CreateKeyResponse(public_key=self._desk.create_key(request.study_id, caller(context)))
        key = self._desk.deal_key(request.study_id, list(request.parties), request.needed, caller(context))
        return keyholder_pb2.CreateKeyResponse(
            public_key=key.public_key, dealt=keyholder_pb2.DealtKey(**asdict(key.dealt))
        )

    def OpenSum(self, request: keyholder_pb2.OpenSumRequest, context: Context) -> keyholder_pb2.OpenSumResponse:
        total = self._desk.open_sum(unpack(request.study), request.round, list(request.contributions), caller(context))
        return keyholder_pb2.OpenSumResponse(values=total.values.tolist(), proof=total.proof)


def keyholder_adders(desk: SumDesk) -> list[Adder]:
    """Return the key holder's services."""
    return [lambda server: keyholder_pb2_grpc.add_KeyHolderServiceServicer_to_server(KeyHolderServicer(desk), server)]
