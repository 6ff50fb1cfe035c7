"""The ledger's gRPC services: witness other logs, and let an auditor read one's own."""

from collections.abc import Iterator
from itertools import islice

import grpc

from hdex.ledger.errors import OldSizeWrong
from hdex.ledger.witness import Witness
from hdex.node.logbook import Logbook
from hdex.node.wire.interceptors import caller
from hdex.node.wire.server import Adder
from hdex.proto.v1 import ledger_pb2, ledger_pb2_grpc

Context = grpc.ServicerContext
ENTRIES_A_MESSAGE = 500


class WitnessServicer(ledger_pb2_grpc.WitnessServiceServicer):
    """Cosigns other participants' checkpoints."""

    def __init__(self, witness: Witness, logbook: Logbook) -> None:
        self._witness = witness
        self._logbook = logbook

    def AddCheckpoint(
        self, request: ledger_pb2.AddCheckpointRequest, context: Context
    ) -> ledger_pb2.AddCheckpointResponse:
        self._logbook.require_own_origin(request.checkpoint, caller(context))
        try:
            line = self._witness.add_checkpoint(
                request.old_size, list(request.proof), request.checkpoint, list(request.leaf_hashes)
            )
        except OldSizeWrong as error:
            return ledger_pb2.AddCheckpointResponse(size=error.size)
        return ledger_pb2.AddCheckpointResponse(cosignature=line, size=request.old_size + len(request.leaf_hashes))

    def GetMirror(self, request: ledger_pb2.GetMirrorRequest, context: Context) -> ledger_pb2.GetMirrorResponse:
        self._logbook.remember_audit(caller(context))
        return ledger_pb2.GetMirrorResponse(
            checkpoint=self._witness.latest(request.origin) or "",
            leaf_hashes=[] if request.head_only else self._witness.mirror(request.origin),
        )


class LogServicer(ledger_pb2_grpc.LogServiceServicer):
    """Hands the log to an auditor: the read is in it."""

    def __init__(self, logbook: Logbook) -> None:
        self._logbook = logbook

    def ReadLog(self, request: ledger_pb2.ReadLogRequest, context: Context) -> Iterator[ledger_pb2.ReadLogResponse]:
        shown = self._logbook.read_for_audit(caller(context), year=request.year, start=request.start, end=request.end)
        yield ledger_pb2.ReadLogResponse(years=shown.years)
        for checkpoint in shown.checkpoints:
            yield ledger_pb2.ReadLogResponse(checkpoint=checkpoint)
        while entries := list(islice(shown.entries, ENTRIES_A_MESSAGE)):
            yield ledger_pb2.ReadLogResponse(entries=entries)

    def GetCheckpoint(
        self, request: ledger_pb2.GetCheckpointRequest, context: Context
    ) -> ledger_pb2.GetCheckpointResponse:
        return ledger_pb2.GetCheckpointResponse(checkpoint=self._logbook.published())

    def GetInclusionProof(
        self, request: ledger_pb2.GetInclusionProofRequest, context: Context
    ) -> ledger_pb2.GetInclusionProofResponse:
        size, leaf, hashes = self._logbook.inclusion(request.index, request.tree_size)
        return ledger_pb2.GetInclusionProofResponse(tree_size=size, leaf_hash=leaf, hashes=hashes)

    def GetConsistencyProof(
        self, request: ledger_pb2.GetConsistencyProofRequest, context: Context
    ) -> ledger_pb2.GetConsistencyProofResponse:
        size, hashes = self._logbook.consistency(request.old_size, request.tree_size)
        return ledger_pb2.GetConsistencyProofResponse(tree_size=size, hashes=hashes)


def ledger_adders(witness: Witness, logbook: Logbook) -> list[Adder]:
    """Return the services of every participant with a log."""
    return [
        lambda server: ledger_pb2_grpc.add_WitnessServiceServicer_to_server(WitnessServicer(witness, logbook), server),
        lambda server: ledger_pb2_grpc.add_LogServiceServicer_to_server(LogServicer(logbook), server),
    ]
