"""A region over real streams: its hospitals dial it, it dials the exchange, and a study's process sees one sum."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import FEATURES, Consortium, consortium, keypair, table
from tests.node.market_stage import Market
from tests.node.study_ground import Desk
from tests.node.wire_stage import DOMAIN, LIMITS, tls_of

from hdex.federated.apps.flower import MessageType, Run, from_frame, node_id, to_frame
from hdex.federated.apps.records import question_record, reply_error
from hdex.federated.apps.region import RegionSession
from hdex.federated.broadcast import Broadcast
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, FederatedError
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.receipts import Receipt, replay
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Study
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import ExchangeConfig
from hdex.node.config_studies import RegionSites, require_regions
from hdex.node.directory import Directory, Member
from hdex.node.errors import ConfigInvalid
from hdex.node.exchange.study_process import StudyProcess, Told
from hdex.node.identity import Identity
from hdex.node.region import Region, RegionDesk
from hdex.node.signed import Envelope, sign
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.server import Serving, serve
from hdex.node.wire.services_exchange import channel_adders

FOUR = tuple(f"hospital-{letter}" for letter in "abcd")
NORTH = FOUR[:2]
EXCHANGE_KEY, REGION_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
EXCHANGE = Identity(f"spiffe://{DOMAIN}/exchange/exchange", "exchange", "exchange")


def member(name: str, kind: str, key: Ed25519PrivateKey) -> Member:
    return Member(name, kind, f"{name} org", f"spiffe://{DOMAIN}/{kind}/{name}", key.public_key().public_bytes_raw())


DIRECTORY = Directory(DOMAIN, "", (member("exchange", "exchange", EXCHANGE_KEY), member("north", "region", REGION_KEY)))


@dataclass
class Ground:
    """A study of four hospitals, two of them behind a region."""

    party: Consortium
    desk: RegionDesk
    market: Market  # for the region's log
    exchange: ChannelServer

    @property
    def envelope(self) -> Envelope:
        return sign("study", self.party.study.document(), "exchange", EXCHANGE_KEY.private_bytes_raw())

    def run(self, folder: Path) -> dict[str, Any]:
        """Run the study in a process of its own, as the exchange does."""
        store = MemoryStore()
        store.put("key/study-1", private_key_to_bytes(keypair()[1]))
        known = {"north": REGION_KEY.public_key().public_bytes_raw()}
        keyholder = KeyHolder(store, admit=lambda study, envelope: None, regions=known)
        keyholder.register(json.dumps(self.envelope).encode())
        process = StudyProcess(
            self.exchange, Desk(keyholder), folder, regions={"north": NORTH, "south": ("hospital-x",)}
        )
        told = Told(lambda number, digest, step: None, lambda words: None)
        return process.run("study-1", self.envelope, told)

    def actions(self) -> list[tuple[str, str]]:
        """Return what stands in the region's log."""
        return [(e.action.value, str(e.decision)) for e in self.market.grounds["keyholder"].events()]


def served(authority: pki.Authority, kind: str, name: str, channels: ChannelServer) -> Serving:
    door = Doorkeeper(
        kind=kind, participant=name, trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=lambda access: None, denied=lambda: frozenset(), clock=pki._now, limits=LIMITS,
    )  # fmt: skip
    return serve("127.0.0.1:0", channel_adders(channels), tls=tls_of(authority, f"{kind}/{name}"), door=door)


def line(authority: pki.Authority, who: str, serving: Serving, server: str) -> grpc.Channel:
    """Return somebody's channel to a server."""
    return channel(
        f"127.0.0.1:{serving.port}", tls=tls_of(authority, who), server=server,
        trust_domain=DOMAIN, stream_timeout_s=LIMITS.stream_deadline_s,
    )  # fmt: skip


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    authority, stop, market = pki.init(tmp_path / "ca", DOMAIN), threading.Event(), Market(tmp_path / "market")
    frames = {site: table(60, seed=at) for at, site in enumerate(FOUR)}
    base = consortium(frames, question=Question("", FEATURES[:2], "DUO:0000006", kind="mean"))
    deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    party = replace(base, study=replace(base.study, deadline=deadline))
    exchange, region = ChannelServer(), ChannelServer()
    desk = RegionDesk(
        Region("north", NORTH, REGION_KEY.sign), region, directory=DIRECTORY, coordinator=EXCHANGE,
        recorder=market.grounds["keyholder"].recorder, kept=MemoryStore(), clock=lambda: datetime.now(UTC),
    )  # fmt: skip
    with ExitStack() as ends:
        above = served(authority, "exchange", "exchange", exchange)
        below = served(authority, "region", "north", region)
        ends.callback(above.stop, 0)
        ends.callback(below.stop, 0)
        for site, handle in party.handlers().items():
            serving, server = (below, "north") if site in NORTH else (above, "exchange")
            own = line(authority, f"hospital/{site}", serving, server)
            ends.callback(own.close)
            ChannelClient(lambda own=own: own, handle, stop=stop).start()  # type: ignore[misc]  # bound now
        up = line(authority, "region/north", above, "exchange")
        ends.callback(up.close)
        ChannelClient(lambda: up, stop=stop, by_study=desk.handle).start()
        ends.callback(stop.set)
        yield Ground(party, desk, market, exchange)


def test_a_study_over_a_region_gives_the_pooled_answer_and_its_receipt_is_replayed(
    ground: Ground, tmp_path: Path
) -> None:
    found = ground.run(tmp_path / "studies")
    assert found["sites"] == list(FOUR)
    frames = [site.frame(ground.party.study) for site in ground.party.sites.values()]
    pooled = np.concatenate([frame[FEATURES[0]] for frame in frames])
    assert found["columns"][0]["mean"] == pytest.approx(pooled.mean(), rel=1e-12)
    assert ground.actions() == [("round.submit", "allow")] * (found["rounds"] + 1)  # how its hospitals stand, and sums
    receipt = Receipt.from_bytes((tmp_path / "studies" / "study-1" / "receipt.zip").read_bytes())
    said = replay(receipt, {})
    assert (said.recomputed, said.proven, said.regions) == (found["rounds"], found["rounds"], ("north",))
    assert not [offence for offence in said.offences if "logged" not in offence and "seal" not in offence
                and "opened" not in offence and "approv" not in offence and "decision" not in offence]  # fmt: skip


def asked(ground: Ground, study: Study, envelope: Envelope, *, study_id: str = "study-1") -> FederatedError:
    """Return what the region says to a question under this envelope."""
    grid = StreamGrid(ground.exchange.open("nobody"))
    grid.set_run(Run.create_empty(1))
    body = Broadcast(study.id, study.digest(), 1, 1, "sum", None).to_bytes()
    message = grid.create_message(
        question_record(json.dumps(envelope).encode(), body), MessageType.TRAIN, node_id("north"), "1"
    )
    reply = from_frame(ground.desk.handle(study_id, to_frame(message)))
    assert reply.has_error()
    return reply_error(reply, "north")


def test_a_region_adds_only_for_the_exchange_and_for_its_own_hospitals(ground: Ground) -> None:
    study = ground.party.study
    stranger = sign("study", study.document(), "exchange", Ed25519PrivateKey.generate().private_bytes_raw())
    changed = {**ground.envelope, "document": replace(study, min_rows=99).document()}
    for envelope in (stranger, changed, {**ground.envelope, "signatures": []}):
        assert isinstance(asked(ground, study, envelope), AdmissionRefused)
    assert isinstance(asked(ground, study, ground.envelope, study_id="study-2"), AdmissionRefused)
    assert ground.actions() == [("round.submit", "deny")] * 4


def test_regions_of_a_configuration_are_disjoint_and_have_sites() -> None:
    require_regions((RegionSites("north", NORTH), RegionSites("south", FOUR[2:])))
    for wrong in (
        (RegionSites("north", ()),),
        (RegionSites("north", NORTH), RegionSites("south", NORTH[1:])),
        (RegionSites("north", NORTH), RegionSites("north", FOUR[2:])),
    ):
        with pytest.raises(ConfigInvalid, match="regions: "):
            require_regions(wrong)
    assert ExchangeConfig.__dataclass_fields__["regions"].default == ()


def test_a_region_waits_no_longer_than_the_study_lasts(ground: Ground) -> None:
    study, now = ground.party.study, [datetime.now(UTC)]
    session = RegionSession(
        "north", {site: (site,) for site in NORTH}, StreamGrid(ground.exchange.open("nobody")),
        sign=REGION_KEY.sign, kept=MemoryStore(), clock=lambda: now[0],
    )  # fmt: skip
    assert session._patience(study) == 45.0
    now[0] = study.expires() - timedelta(seconds=10)
    assert session._patience(study) == pytest.approx(9.0)
    now[0] = study.expires()
    assert session._patience(study) == 0.0
