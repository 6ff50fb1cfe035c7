"""A connector of the Dataspace Protocol, wired: under the conformance profile, or over a participant's own ground."""

import logging
import secrets
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.shard import origin_of
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.compose.standing import STRANGER, now
from hdex.node.directory import Directory
from hdex.node.dsp.addresses import AddressRules
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.conformance import ConformanceDesk, Profile, later
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.errors import ConfigInvalid, IdentityRefused, NotFound
from hdex.node.identity import Identity, check_peer
from hdex.node.recorder import Recorder
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.dsp_client import HttpCourier
from hdex.node.wire.dsp_conformance import conformance_routes
from hdex.node.wire.http_limits import Rate, RateLimit
from hdex.node.wire.http_server import HttpServing, serve_unprotected

logger = logging.getLogger(__name__)
KIT = Identity("urn:hdex:conformance:kit", "conformance", "conformance-kit")
RATE = Rate(per_s=100, burst=1000)
HASTE = Patience(first_s=0.25, longest_s=2.0, refusals=3, give_up_s=20.0)
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Lets everybody on this machine in as one peer. Only under the conformance profile."""

    def enter(self, certificate: bytes) -> Identity:
        return KIT


@dataclass(frozen=True, slots=True)
class MembersDoor:
    """Lets the processes of the consortium's members in, by certificate; remembers whom it does not let in."""

    directory: Directory
    denied: Callable[[], frozenset[int]]
    recorder: Recorder

    def enter(self, certificate: bytes) -> Identity:
        try:
            return self._known(certificate)
        except IdentityRefused:
            self.recorder.deny("connection.refuse", STRANGER, "identity-refused")
            raise

    def _known(self, certificate: bytes) -> Identity:
        if not certificate:
            raise IdentityRefused("show the certificate that the consortium has issued to you")
        try:
            denied = self.denied()
        except ConfigInvalid as error:
            raise IdentityRefused("the deny list cannot be read, so nobody is let in") from error
        pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
        known = check_peer(pem, trust_domain=self.directory.trust_domain, now=now(), denied=denied)
        try:
            member = self.directory.member(known.participant)
        except NotFound as error:
            raise IdentityRefused("the consortium's directory does not list you") from error
        if known.role or member.kind != known.kind:
            raise IdentityRefused("the protocol is spoken by participants' own processes, not by their people")
        return known


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
    log, recorder = throwaway_log(profile.participant, data)
    me = Me(Identity(f"urn:hdex:conformance:{profile.participant}", "conformance", profile.participant), address)
    rules = AddressRules(private_hosts=tuple(profile.callback_hosts), plain=True)
    courier, processes = HttpCourier(rules, None), SqliteProcesses(data / "processes.db")
    desk = ConformanceDesk(profile, address, now, later)
    connector = Connector(me, processes, desk=desk, courier=courier, recorder=recorder)
    desk.connectors.append(connector)
    shop = Shop(me, desk, recorder, page=profile.page)
    app = dsp_app(
        Binding(connector, shop, OpenDoor(), rate_limit()), more=conformance_routes(connector, KIT.participant)
    )
    outbox = Outbox(connector, processes, courier, patience=HASTE, clock=now)
    thread = threading.Thread(target=outbox.run, args=(stop,), name="dsp-outbox", daemon=True)
    serving = serve_unprotected(app, port)
    thread.start()
    connector.resume()
    return Served(connector, serving, thread, stop, log)


def throwaway_log(node: str, data: Path) -> tuple[Log, Recorder]:
    """Return a log whose key lies beside it: it shows what is remembered, and vouches for nothing."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = data / "conformance.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(SEED_BYTES))
    origin = origin_of(node, now().year)
    log = Log(SqliteLogStore(data / "log.db"), origin, Signer(origin, key.read_bytes()))
    details = Details(MemoryDetailStore(), key.read_bytes())
    return log, Recorder(log, details, node=node, organisation=node, clock=now)


def rate_limit() -> RateLimit:
    """Return how often one participant may ask."""
    epoch = now()
    return RateLimit(RATE, lambda: (now() - epoch) / timedelta(seconds=1))
