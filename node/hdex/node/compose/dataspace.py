"""A connector of the Dataspace Protocol under the conformance profile, wired."""

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.shard import origin_of
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.compose.standing import now
from hdex.node.dsp.addresses import AddressRules
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.conformance import ConformanceDesk, Profile, later
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.dsp_client import HttpCourier
from hdex.node.wire.dsp_conformance import conformance_routes
from hdex.node.wire.http_limits import Rate, RateLimit
from hdex.node.wire.http_server import HttpServing, serve_unprotected

logger = logging.getLogger(__name__)
KIT = Identity("urn:hdex:conformance:kit", "conformance", "conformance-kit")
HASTE = Patience(first_s=0.25, longest_s=2.0, refusals=3, give_up_s=60.0)
SEED_BYTES = 32
# Everybody on this machine is one peer here: all sequences of a kit at once, each asking for the state every few ms.
KIT_RATE, KIT_OPEN = Rate(per_s=10_000, burst=10_000), 1_000_000


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Lets everybody on this machine in as one peer. Only under the conformance profile."""

    def enter(self, certificate: bytes) -> Identity:
        return KIT


@dataclass(slots=True)
class Served:
    """A connector that is served until `stop` is set."""

    connector: Connector
    serving: HttpServing
    outbox: threading.Thread
    stop: threading.Event
    log: Log

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.serving.port

    def run(self) -> None:
        """Wait for `stop`, then end in order."""
        self.stop.wait()
        self.serving.stop()
        self.connector.wake.set()
        self.outbox.join(20)
        self.log.close()


def serve_conformance(profile: Profile, port: int, data: Path, *, stop: threading.Event) -> Served:
    """Serve the profile over plain HTTP on this machine; its log and processes are in `data`. Port must not be 0."""
    address = f"http://127.0.0.1:{port}{PATH}"
    log, recorder = local_log(profile.participant, data)
    me = Me(Identity(f"urn:hdex:conformance:{profile.participant}", "conformance", profile.participant), address)
    rules = AddressRules(private_hosts=tuple(profile.callback_hosts), plain=True)
    courier, processes = HttpCourier(rules, None), SqliteProcesses(data / "processes.db")
    desk = ConformanceDesk(profile, address, now, later)
    connector = Connector(me, processes, desk=desk, courier=courier, recorder=recorder, most_open=KIT_OPEN)
    desk.connectors.append(connector)
    shop = Shop(me, desk, recorder, page=profile.page)
    binding = Binding(connector, shop, OpenDoor(), RateLimit(KIT_RATE, time.monotonic))
    app = dsp_app(binding, more=conformance_routes(binding))
    outbox = Outbox(connector, processes, courier, patience=HASTE, clock=now)
    thread = threading.Thread(target=outbox.run, args=(stop,), name="dsp-outbox", daemon=True)
    serving = serve_unprotected(app, port)
    thread.start()
    connector.resume()
    return Served(connector, serving, thread, stop, log)


def local_log(node: str, data: Path) -> tuple[Log, Recorder]:
    """Return a log whose key lies beside it: it shows what is remembered, and vouches for nothing."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = data / "dsp.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(SEED_BYTES))
    origin = origin_of(node, now().year)
    log = Log(SqliteLogStore(data / "log.db"), origin, Signer(origin, key.read_bytes()))
    details = Details(MemoryDetailStore(), key.read_bytes())
    return log, Recorder(log, details, node=node, organisation=node, clock=now)
