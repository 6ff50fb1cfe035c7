"""Streams that end, fall silent or grow old: a study over them has the same answer, and nobody computes twice."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.stream_stage import Relay, Streams, streams
from tests.federated.samples import FEATURES, SITES, Consortium, consortium

from hdex.federated.apps.flower import node_id
from hdex.federated.draft import Question
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.waiting import Awaiting, Patience, Vigil
from hdex.node.config import Limits
from hdex.node.wire.client import client_options
from hdex.node.wire.keepalive import TIME_MS, TIMEOUT_MS
from hdex.node.wire.server import server_options

pytestmark = pytest.mark.fault
CUT = SITES[1]
SOAK = bool(os.environ.get("HDEX_SOAK"))  # the others are met within a study: above, and in the journeys
Frame = Callable[[bytes], bytes]


@pytest.fixture
def party() -> Consortium:
    return consortium(question=Question("", FEATURES[:2], "DUO:0000006", kind="variance"))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Streams]:
    with streams(tmp_path) as made:
        yield made


def at_round(number: int, work: Callable[[], None], handle: Frame) -> Frame:
    """Return a handler that does something when it is asked for the n-th time, before it answers."""
    seen: list[int] = []

    def answer(frame: bytes) -> bytes:
        seen.append(1)
        if len(seen) == number:
            work()
        return handle(frame)

    return answer


def run(party: Consortium, line: Streams, told: Callable[[Awaiting], None]) -> StudyResult:
    line.until(lambda: line.server.sites() == set(SITES))
    patience = Patience(120)
    vigil = Vigil({node_id(site): site for site in SITES}, told, patience, late_s=0.0)
    grid = StreamGrid(line.server.open("study-1"), watch=vigil.look)
    return run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal(), patience=patience)


def require_undisturbed(party: Consortium, found: StudyResult) -> None:
    quiet = consortium(question=Question("", FEATURES[:2], "DUO:0000006", kind="variance"))
    expected = run_study(
        quiet.envelope, grid=InprocGrid(quiet.handlers()), decryptor=quiet.keyholder, journal=MemoryJournal()
    )
    assert found.answer.document() == expected.answer.document()
    assert set(party.computations().values()) == {found.rounds}


def test_a_line_that_swallows_everything_is_noticed_and_the_study_goes_on_when_it_is_mended(
    party: Consortium, line: Streams
) -> None:
    relay, handlers = Relay(line.serving.port), party.handlers()
    for site in SITES:
        silent = site == CUT
        handle = at_round(2, relay.swallow, handlers[site]) if silent else handlers[site]
        line.dial(site, handle, relay.endpoint if silent else "")
    absent: list[str] = []

    def told(waiting: Awaiting) -> None:
        absent.extend(waiting.absent)
        if waiting.absent == (CUT,):  # the exchange has noticed: its end of the stream is gone
            relay.mend()

    try:
        require_undisturbed(party, run(party, line, told))
    finally:
        relay.close()
    assert absent == [CUT]
    assert line.dials[CUT] >= 2


def test_a_study_longer_than_a_connection_may_live_goes_on_over_new_ones(party: Consortium, tmp_path: Path) -> None:
    with streams(tmp_path, Limits(connection_age_s=0.5, connection_grace_s=0.2)) as line:
        handlers = party.handlers()

        def outlives_its_stream() -> None:
            line.until(lambda: CUT not in line.server.sites())

        for site in SITES:
            line.dial(site, at_round(2, outlives_its_stream, handlers[site]) if site == CUT else handlers[site])
        require_undisturbed(party, run(party, line, lambda waiting: None))
        assert line.dials[CUT] >= 2


def killed(process: subprocess.Popen[bytes], relay: Relay) -> None:
    process.kill()


def stopped(process: subprocess.Popen[bytes], relay: Relay) -> None:
    os.kill(process.pid, signal.SIGSTOP)


def partitioned(process: subprocess.Popen[bytes], relay: Relay) -> None:
    relay.swallow()


@pytest.mark.parametrize("end", [killed, stopped, partitioned] if SOAK else [killed])
def test_a_site_that_dies_stops_or_is_cut_off_is_no_longer_connected(
    line: Streams, tmp_path: Path, end: Callable[[subprocess.Popen[bytes], Relay], None]
) -> None:
    """How soon is measured by `make bench-federated`."""
    relay = Relay(line.serving.port)
    with line.process(CUT, tmp_path, relay.endpoint) as process:
        end(process, relay)
        line.until(lambda: CUT not in line.server.sites())
    relay.close()


def test_both_ends_ask_a_silent_peer_soon_enough_and_bear_being_asked() -> None:
    assert TIME_MS + TIMEOUT_MS <= 10_000
    for options in (dict(server_options(Limits())), dict(client_options(Limits(), "exchange"))):
        assert options["grpc.keepalive_time_ms"] == TIME_MS <= 5_000
        assert options["grpc.keepalive_timeout_ms"] == TIMEOUT_MS
        assert int(options["grpc.http2.min_ping_interval_without_data_ms"]) < TIME_MS
