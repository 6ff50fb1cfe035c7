"""Two connectors in one process: every part is the one that ships, the network is the memory twin."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient
from tests.node.access_stage import FallibleStore

from hdex.catalog.contract import Party
from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.event import Event, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.conformance import ConformanceDesk, Profile, profile_of
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.courier_memory import MemoryCourier, Network
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.ports import Answer
from hdex.node.dsp.process import Document, Process
from hdex.node.dsp.store_memory import MemoryProcesses
from hdex.node.errors import IdentityRefused
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.http_limits import Rate, RateLimit

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PROVIDER, CONSUMER, STRANGER = "hospital-a", "buyer-a", "buyer-b"
DATASET, OFFER, AGREEMENT = "urn:d:1", "urn:o:1", "urn:a:1"
TABLE: dict[str, Any] = {"datasets": {DATASET: [OFFER], "urn:d:2": ["urn:o:2"]}, "agreements": {AGREEMENT: DATASET}}


def who(participant: str) -> Identity:
    kind = "hospital" if participant.startswith("hospital") else "buyer"
    return Identity(f"spiffe://hdex.test/{kind}/{participant}", kind, participant)


class NamedDoor:
    """Believes what stands in the certificate's place: TLS is tried in test_dsp_door."""

    def enter(self, certificate: bytes) -> Identity:
        if not certificate:
            raise IdentityRefused("show a certificate")
        return who(certificate.decode())


@dataclass
class Side:
    """One participant: its connector, what it keeps, and its clock."""

    name: str
    network: Network
    profile: Profile = field(default_factory=lambda: profile_of(TABLE))
    now: datetime = NOW
    most_open: int = 1000
    delayed: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.address = f"https://{self.name}.example/dsp"
        self.leaves = FallibleStore()
        self.log = Log(self.leaves, f"hdex/{self.name}/2026", Signer(f"hdex/{self.name}/2026", bytes(32)))
        details = Details(MemoryDetailStore(), bytes(32))
        self.recorder = Recorder(self.log, details, node=self.name, organisation=self.name, clock=lambda: self.now)
        self.processes = MemoryProcesses()
        self.courier = MemoryCourier(self.name, self.network)
        desk = ConformanceDesk(self.profile, self.address, lambda: self.now, lambda _, work: self.delayed.append(work))
        self.me = Me(who(self.name), self.address)
        self.connector = Connector(
            self.me, self.processes, desk=desk, courier=self.courier, recorder=self.recorder, answer_s=0.0,
            most_open=self.most_open,
        )  # fmt: skip
        desk.connectors.append(self.connector)
        shop = Shop(self.me, desk, self.recorder, page=self.profile.page)
        rate = RateLimit(Rate(1000, 1000), lambda: 0.0)
        self.app = dsp_app(Binding(self.connector, shop, NamedDoor(), rate))
        self.outbox = self.patient(Patience(first_s=1.0, longest_s=8.0, refusals=2, give_up_s=60.0))
        self.network[self.address] = self.handle

    def patient(self, patience: Patience) -> Outbox:
        return Outbox(self.connector, self.processes, self.courier, patience=patience, clock=lambda: self.now)

    def handle(self, sender: str, method: str, path: str, document: Document | None) -> Answer:
        answer = self.ask(sender, method, path, document)
        return Answer(answer.status_code, answer.json() if answer.content else {}, answer.headers.get("Link", ""))

    def ask(self, sender: str, method: str, path: str, document: object = None, *, raw: bytes | None = None) -> Any:
        client = TestClient(self.app, raise_server_exceptions=False)
        client.app_state["certificate"] = sender.encode()
        url = path if path.startswith("/.") else f"/dsp{path}"
        return (
            client.request(method, url, content=raw) if raw is not None else client.request(method, url, json=document)
        )

    def react(self) -> None:
        """Let every delayed reaction happen."""
        work, self.delayed[:] = list(self.delayed), []
        for one in work:
            one()

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def events(self) -> list[Event]:
        return [parse(leaf) for leaf in self.log.entries(0, self.log.size)]

    def said(self) -> list[str]:
        """Return what the log remembers, refusals with a mark."""
        return [f"{'!' if event.decision == 'deny' else ''}{event.action}" for event in self.events()]


@dataclass
class Pair:
    """A provider and a consumer."""

    provider: Side
    consumer: Side

    def request(self) -> Process:
        """Let the consumer ask and return its process."""
        offer = {"@id": OFFER, "@type": "Offer", "target": DATASET, "permission": [{"action": "use"}]}
        process = self.consumer.connector.request(PROVIDER, self.provider.address, offer=offer)
        self.carry()
        return self.consumer.connector.process(process.pid)

    def carry(self) -> None:
        """Deliver until nothing waits."""
        while self.provider.outbox.flush() + self.consumer.outbox.flush():
            pass

    def states(self, pid: str) -> tuple[str, str]:
        """Return the state at the consumer, whose id is `pid`, and at the provider."""
        mine = self.consumer.connector.process(pid)
        return mine.state, self.provider.connector.process(mine.peer_pid).state


def pair(provider: Profile | None = None, consumer: Profile | None = None) -> Pair:
    network: Network = {}
    plain = profile_of(TABLE)
    return Pair(Side(PROVIDER, network, provider or plain), Side(CONSUMER, network, consumer or plain))


def reactions(role: Party, name: str, **states: list[str]) -> Profile:
    """Return the stage's profile with one set of reactions."""
    return profile_of({**TABLE, "reactions": {role.value: {name: states}}})
