"""Rounds of a study over real gRPC streams: an exchange's channel in this process, the sites in two others."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from federated_sites import DOMAIN, FEATURES, site_name

from hdex.federated.draft import Member, Question, draft_study
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal import RoundRecord
from hdex.federated.journal_sqlite import SqliteJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.run import run_study
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Party, RosterEntry, unsigned_envelope
from hdex.federated.waiting import Patience
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.server import Serving, serve
from hdex.node.wire.services_exchange import ChannelServicer
from hdex.node.wire.tls import Tls
from hdex.proto.v1 import exchange_pb2_grpc

PROCESSES = 2


@dataclass
class Ground:
    """An exchange's channel with all sites connected."""

    channels: ChannelServer
    roster: list[RosterEntry]
    children: list["subprocess.Popen[str]"]
    folder: Path


def stream_rounds(count: int, *, studies: int) -> tuple[list[float], list[float]]:
    """Return (seconds of each round, CPU seconds per site and round of each process of sites)."""
    seconds: list[float] = []
    with connected(count) as ground:
        tell(ground.children)
        for number in range(studies):
            seconds += run(ground, f"study-{number}")
        tell(ground.children)
        share = [json.loads(child.stdout.readline()) for child in ground.children]  # type: ignore[union-attr]
    return seconds, [used / (count / PROCESSES) / len(seconds) for used in share]


def run(ground: Ground, study_id: str) -> list[float]:
    """Return the seconds of each round of one study; its sum is opened by a key holder in this process."""
    keyholder = KeyHolder(MemoryStore(), admit=lambda study, envelope: None)
    study = draft_study(
        study_id,
        Question("y", tuple(f"x{number}" for number in range(FEATURES)), "bench"),
        [Member(entry, "bench", ("bench", "1", "")) for entry in ground.roster],
        coordinator=Party("exchange", "exchange"),
        keyholder=Party("keyholder", "keyholder"),
        public_key=keyholder.create_key(study_id),
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        nonce="00" * 16,
    )
    keyholder.register(unsigned_envelope(study))
    marks = [time.perf_counter()]

    def committed(row: RoundRecord) -> None:
        marks.append(time.perf_counter())

    channel = ground.channels.open(study_id)
    journal = SqliteJournal(ground.folder / f"{study_id}.db")
    run_study(
        unsigned_envelope(study),
        grid=StreamGrid(channel),
        decryptor=keyholder,
        journal=journal,
        progress=committed,
        patience=Patience(600),
    )
    channel.close()
    return [after - before for before, after in pairwise(marks)]


@contextmanager
def connected(count: int) -> Iterator[Ground]:
    """Yield the exchange's channel once `count` sites hold their streams."""
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name:
        folder, channels = Path(name), ChannelServer()
        serving = listen(folder, count, channels)
        children = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("federated_sites.py")), name, str(serving.port),
                 str(len(part)), str(part[0])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for part in parts(range(count))
        ]  # fmt: skip
        try:
            lines = [child.stdout.readline() for child in children]  # type: ignore[union-attr]
            roster = [RosterEntry(**entry) for line in lines for entry in json.loads(line)]
            while len(channels.sites()) < count:
                time.sleep(0.05)
            yield Ground(channels, roster, children, folder)
        finally:
            for child in children:
                child.kill()
                child.wait()
            serving.stop(0)


def parts(numbers: range) -> list[range]:
    size = -(-len(numbers) // PROCESSES)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def tell(children: "Sequence[subprocess.Popen[str]]") -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()


def listen(folder: Path, count: int, channels: ChannelServer) -> Serving:
    """Write every site's certificate and serve the channel over mutual TLS behind the gate."""
    authority = pki.init(folder / "ca", DOMAIN)
    (folder / "ca.pem").write_bytes(authority.pem)
    for number in range(count):
        certificate, key = pki.issue(authority, f"hospital/{site_name(number)}")
        (folder / f"{site_name(number)}.pem").write_bytes(certificate)
        (folder / f"{site_name(number)}.key").write_bytes(key)
    certificate, key = pki.issue(authority, "exchange/exchange")
    door = Doorkeeper(
        kind="exchange", participant="exchange", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=lambda access: None, denied=frozenset, clock=lambda: datetime.now(UTC), limits=Limits(),
    )  # fmt: skip
    add = exchange_pb2_grpc.add_ChannelServiceServicer_to_server
    adders = [lambda server: add(ChannelServicer(channels), server)]
    return serve("127.0.0.1:0", adders, tls=Tls(certificate, key, authority.pem), door=door)
