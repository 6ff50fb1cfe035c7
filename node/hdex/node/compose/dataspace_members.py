"""A connector of the Dataspace Protocol among the members of a consortium, wired: certificates on both sides."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from hdex.node.compose.standing import STRANGER, now
from hdex.node.config import Dataspace, IdentityFiles
from hdex.node.directory import Directory
from hdex.node.dsp.addresses import AddressRules
from hdex.node.dsp.catalogue import Shop
from hdex.node.dsp.connector import Connector, Me
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.outbox import Outbox, Patience
from hdex.node.dsp.ports import Desk, Processes
from hdex.node.errors import ConfigInvalid, IdentityRefused, NotFound
from hdex.node.identity import Identity, check_peer
from hdex.node.pki import DenyList
from hdex.node.recorder import Recorder
from hdex.node.wire.dsp_app import Binding, dsp_app
from hdex.node.wire.dsp_client import Certified, HttpCourier
from hdex.node.wire.http_limits import Rate, RateLimit
from hdex.node.wire.http_server import HttpServing, serve_known

RATE = Rate(per_s=100, burst=1000)
RESUME_S = 5.0  # what waits for a person or another participant is looked at so often


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


@dataclass(frozen=True, slots=True)
class Members:
    """Who speaks, as its configuration says, and the list of those it speaks with."""

    id: str
    trust_domain: str
    identity: IdentityFiles
    directory: Directory


@dataclass(frozen=True, slots=True)
class Line:
    """A connector with its outbox and application, not served yet."""

    connector: Connector
    courier: HttpCourier
    outbox: Outbox
    app: object
    members: Members
    port: int


def connect(members: Members, dsp: Dataspace, desk: Desk, processes: Processes, recorder: Recorder) -> Line:
    """Return a participant's connector over its desk."""
    member = members.directory.member(members.id)
    me = Me(Identity(member.spiffe_id, member.kind, member.id), dsp.address + PATH)
    rules = AddressRules(private_hosts=dsp.private_hosts)
    courier = HttpCourier(rules, Certified.of(members.identity, members.trust_domain))
    connector = Connector(me, processes, desk=desk, courier=courier, recorder=recorder)
    door = MembersDoor(members.directory, DenyList(members.identity.denied), recorder)
    app = dsp_app(Binding(connector, Shop(me, desk, recorder, page=dsp.page), door, rate_limit()))
    outbox = Outbox(connector, processes, courier, patience=Patience(), clock=now)
    return Line(connector, courier, outbox, app, members, dsp.port)


def serve_line(line: Line, host: str, stop: threading.Event) -> HttpServing:
    """Serve a connector until `stop`, beginning with what was open."""
    serving = serve_known(line.app, (host, line.port), line.members.identity)

    def go_on() -> None:
        line.connector.resume()
        while not stop.wait(RESUME_S):
            line.connector.resume()
        line.connector.wake.set()

    threading.Thread(target=line.outbox.run, args=(stop,), name="dsp-outbox", daemon=True).start()
    threading.Thread(target=go_on, name="dsp-resume", daemon=True).start()
    return serving


def rate_limit() -> RateLimit:
    """Return how often one participant may ask."""
    epoch = now()
    return RateLimit(RATE, lambda: (now() - epoch) / timedelta(seconds=1))
