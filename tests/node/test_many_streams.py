"""Many sites' streams at one exchange: each holds its own, all are asked at once, and calls still find a worker."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.federated.samples import Consortium, consortium, table
from tests.node.wire_stage import DOMAIN, LIMITS, tls_of

from hdex.federated.draft import Question
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.run import run_study
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.server import serve
from hdex.node.wire.services_exchange import ChannelServicer
from hdex.proto.v1 import exchange_pb2_grpc

STREAMS = 8


@contextmanager
def streaming(party: Consortium, folder: Path, limits: Limits) -> Iterator[ChannelServer]:
    """Serve an exchange's channel over mutual TLS and connect every site with its own certificate."""
    authority, channels, stop = pki.init(folder / "ca", DOMAIN), ChannelServer(), threading.Event()
    door = Doorkeeper(
        kind="exchange", participant="exchange", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=lambda access: None, denied=lambda: frozenset(), clock=pki._now, limits=limits,
    )  # fmt: skip
    with ExitStack() as ends:
        serving = serve(
            "127.0.0.1:0",
            [lambda server: exchange_pb2_grpc.add_ChannelServiceServicer_to_server(ChannelServicer(channels), server)],
            tls=tls_of(authority, "exchange/exchange"),
            door=door,
        )
        ends.callback(serving.stop, 0)
        for site, handle in party.handlers().items():
            own = channel(
                f"127.0.0.1:{serving.port}", tls=tls_of(authority, f"hospital/{site}"), server="exchange",
                trust_domain=DOMAIN, stream_timeout_s=LIMITS.stream_deadline_s,
            )  # fmt: skip
            ends.callback(own.close)
            ChannelClient(lambda own=own: own, handle, stop=stop).start()  # type: ignore[misc]  # bound now
        ends.callback(stop.set)
        yield channels


@pytest.fixture(scope="module")
def party() -> Consortium:
    frames = {f"hospital-{letter}": table(40, seed=ord(letter)) for letter in "abcdefgh"[:STREAMS]}
    return consortium(frames, question=Question("", ("age",), "DUO:0000006", kind="mean"))


def test_a_study_runs_over_eight_streams_at_once(party: Consortium, tmp_path: Path) -> None:
    with streaming(party, tmp_path, replace(LIMITS, workers=STREAMS)) as channels:
        grid = StreamGrid(channels.open(party.study.id))
        result = run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal())
    assert result.sites == tuple(sorted(party.sites))
    assert set(party.computations().values()) == {result.rounds}


def test_an_exchange_has_workers_for_fifty_sites_and_their_calls() -> None:
    """A stream holds a worker as long as its site is connected: with 32 the 33rd site was never heard."""
    assert Limits().workers >= 100
