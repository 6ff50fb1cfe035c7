"""A participant behind both doors, gRPC and REST, over one market; and the doors as one port for the same cases."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from tests.node.market_stage import Market
from tests.node.wire_stage import DOMAIN, tls_of

from hdex.catalog.product import DataProduct
from hdex.catalog.vetting_rules import default_rules
from hdex.ledger.note import Signer
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.witness import Witness
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.compose.access import EXCHANGE_ROLES
from hdex.node.config import IdentityFiles, Limits
from hdex.node.errors import PeerUnavailable, RemoteRefused
from hdex.node.exchange.enquiries import Enquiries
from hdex.node.exchange.notices import Outbox
from hdex.node.exchange.searches import Searches
from hdex.node.exchange.studies import Coordinator, Studies
from hdex.node.exchange.study_seals import Seals
from hdex.node.hospital.staff import Staff
from hdex.node.idempotency import KeyBook
from hdex.node.identity import server_name
from hdex.node.keeper import Keeper
from hdex.node.keys import STANDARD, MemoryKeys, data_key
from hdex.node.logbook import Logbook
from hdex.node.sealing import Sealing
from hdex.node.vetting import Office, Vettings
from hdex.node.vetting_certificate import nobody
from hdex.node.wire.api_app import Api, api_app, collected
from hdex.node.wire.api_json import fill, to_json
from hdex.node.wire.api_routes import PREFIX, ROUTES, WHOLE, Route
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.client import channel
from hdex.node.wire.health import health_adder
from hdex.node.wire.http_server import HttpServing, serve_browsers
from hdex.node.wire.interceptors import Access, Doorkeeper
from hdex.node.wire.server import Serving, serve
from hdex.node.wire.services_access import vetting_adder
from hdex.node.wire.services_exchange import CatalogueDesk, exchange_adders
from hdex.node.wire.services_ledger import ledger_adders
from hdex.node.wire.tls import Tls
from hdex.node.wire.webhooks import Webhooks

BASE = "https://exchange.hdex.test"
BUYER, OTHER, HOSPITAL = "buyer/buyer-heartline", "buyer/buyer-other", "hospital/hospital-a"
AUDITOR = "auditor/auditor-north"
TIMEOUT_S = 30


class Door(Protocol):
    """One way into a participant."""

    def ask(self, who: str, call: str, /, *, key: str = "", **fields: Any) -> dict[str, Any]:
        """Return the answer to a call of the protocol as JSON. who: a certificate's path, "" for none.

        Raises RemoteRefused with status, rule and next step; PeerUnavailable.
        """
        ...


@dataclass
class Stage:
    """A participant, what it remembers, and where it is served."""

    market: Market
    folder: Path
    authority: pki.Authority
    accesses: list[Access] = field(default_factory=list)
    up: bool = True
    serving: Serving | None = None
    http: HttpServing | None = None
    papers: dict[str, Tls] = field(default_factory=dict)
    keys: KeyBook | None = None
    searches: Searches | None = None
    product: DataProduct | None = None  # of hospital A, with a file
    kind: str = "exchange"
    participant: str = "exchange"

    def route(self, call: str) -> Route:
        """Return the address of a call."""
        return next(route for route in ROUTES[self.kind] if route.call == call)

    def tls(self, who: str) -> Tls:
        if who not in self.papers:
            self.papers[who] = tls_of(self.authority, who)
        return self.papers[who]

    def events(self) -> list[tuple[str, str, str]]:
        """Return (action, decision, product or contract) of the exchange's log."""
        found = self.market.grounds[self.participant].events()
        return [(one.action.value, str(one.decision), one.product or one.contract or "") for one in found]

    def key_book(self) -> KeyBook:
        """Return the keys as a process that has just started finds them."""
        ground = self.market.grounds[self.participant]
        return KeyBook(ground.documents, Sealing(data_key(ground.keys, "idempotency")), self.market.clock)


@dataclass
class GrpcDoor:
    """The gRPC server."""

    stage: Stage

    def ask(self, who: str, call: str, /, *, key: str = "", **fields: Any) -> dict[str, Any]:
        route = self.stage.route(call)
        request, mask = route.request(), fields.pop("fields", "")
        fill(request, fields)
        if mask:
            request.fields.paths.extend(mask.split(","))  # type: ignore[attr-defined]  # of the requests that have it
        metadata = [("idempotency-key", key)] if key else []
        assert self.stage.serving is not None
        endpoint, tls, server = f"127.0.0.1:{self.stage.serving.port}", self.stage.tls(who), self.stage.participant
        with channel(endpoint, tls=tls, server=server, trust_domain=DOMAIN, timeout_s=TIMEOUT_S) as line:
            sent: Any = line.unary_unary(
                route.full_name, type(request).SerializeToString, type(route.answer()).FromString
            )
            document: dict[str, Any] = to_json(sent(request, metadata=metadata))
            return document


@dataclass
class RestDoor:
    """The REST door."""

    stage: Stage

    def ask(self, who: str, call: str, /, *, key: str = "", **fields: Any) -> dict[str, Any]:
        route = self.stage.route(call)
        path = route.path
        for name in route.path_fields:
            path = path.replace(f"{{{name}}}", quote(str(fields.pop(name)), safe=""))
        body: Any = None
        if route.body:
            body = fields if route.body == WHOLE else fields.pop(route.body)
        query = "" if route.body else urlencode(fields, doseq=True)
        headers = {"Idempotency-Key": key} if key else {}
        status, found = self.send(who, route.method, PREFIX + path + (f"?{query}" if query else ""), body, headers)
        if status == 200:
            return dict(found)
        if found["reason"] in {"LOG_FAILED", "TOO_SLOW"}:
            raise PeerUnavailable(found["detail"])
        raise RemoteRefused(found["rule"], found["next_step"], found["detail"], status=STATUS[status])

    def send(
        self, who: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return status and body of one request."""
        with self.line(who) as line:
            sent = {"Content-Type": "application/json"} if body is not None else {}
            raw = body if isinstance(body, bytes | None) else json.dumps(body)
            line.request(method, path, raw, sent | dict(headers or {}))
            answer = line.getresponse()
            text = answer.read()
            kind = answer.headers["content-type"]
            assert answer.status == 200 or kind == "application/problem+json"
            return answer.status, json.loads(text) if "json" in kind else text

    @contextmanager
    def line(self, who: str) -> Iterator[http.client.HTTPConnection]:
        """Yield a connection with the certificate of `who`, or with none."""
        assert self.stage.http is not None
        context = ssl.create_default_context(cafile=str(self.stage.folder / self.stage.participant / "ca.pem"))
        if who:
            tls = self.stage.tls(who)
            pair = self.stage.folder / f"{who.replace('/', '-')}.pem"
            pair.write_bytes(tls.private_key + tls.certificate)
            context.load_cert_chain(pair)
        raw = socket.create_connection(("127.0.0.1", self.stage.http.port), timeout=TIMEOUT_S)
        line = http.client.HTTPConnection("localhost", self.stage.http.port, timeout=TIMEOUT_S)
        line.sock = context.wrap_socket(raw, server_hostname=server_name(self.stage.participant, DOMAIN))
        try:
            yield line
        finally:
            line.close()


STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
}
DOORS: dict[str, Callable[[Stage], Door]] = {"grpc": GrpcDoor, "rest": RestDoor}


def no_chain() -> Any:
    raise AssertionError("heads are not anchored here")


@contextmanager
def served(folder: Path) -> Iterator[Stage]:
    """Serve an exchange through both doors until the block ends."""
    stage = staged(folder)
    with behind_doors(stage, services(stage)):
        yield stage


def staged(folder: Path) -> Stage:
    """Return an exchange that is not served yet."""
    authority = pki.init(folder / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=1))
    stage = Stage(Market(folder / "market"), folder, authority)
    stage.product, stage.keys = stage.market.stents(), stage.key_book()
    return stage


@contextmanager
def behind_doors(stage: Stage, adders: list[Any]) -> Iterator[None]:
    """Serve services through both doors until the block ends."""
    methods, folder = collected(adders), stage.folder
    names = sorted({name.split("/")[1] for name in methods})
    adders.append(health_adder(names, lambda: stage.up))
    (folder / "denied.txt").write_text("")
    door = Doorkeeper(
        kind=stage.kind, participant=stage.participant, trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=stage.accesses.append, denied=pki.DenyList(folder / "denied.txt"), clock=lambda: datetime.now(UTC),
        limits=Limits(workers=16), keys=stage.keys,
    )  # fmt: skip
    tls = tls_of(stage.authority, f"{stage.kind}/{stage.participant}")
    files = identity_files(folder / stage.participant, tls)
    stage.serving = serve("127.0.0.1:0", adders, tls=tls, door=door)
    stage.http = serve_browsers(api_app(Api(door, methods, lambda: stage.up, time.monotonic)), ("127.0.0.1", 0), files)
    try:
        yield
    finally:
        stage.http.stop()
        stage.serving.stop(0)


def services(stage: Stage) -> list[Any]:
    """Return the services of the market's exchange."""
    market, ground = stage.market, stage.market.exchange
    stage.searches = Searches(
        market.listings._catalogue, ground.documents, recorder=ground.recorder,
        outbox=Outbox(ground.documents, market.clock), door=Webhooks(frozenset({"localhost"}), loopback=True),
        key=b"k" * 32, clock=market.clock, base=BASE,
    )  # fmt: skip
    desk = CatalogueDesk(market.listings, stage.searches, Enquiries(market.listings, market.clock, BASE))
    staff = {role: MemoryKeys(dict(STANDARD)).public("sign") for role in EXCHANGE_ROLES}
    office = Office(market.identity("exchange"), EXCHANGE_ROLES, Staff("exchange", staff), b"s" * 32, market.clock)
    vettings = Vettings(
        office, ground.documents, market.directory, rules=default_rules(), recorder=ground.recorder, ask=nobody
    )
    keeper = Keeper(ground.log, [], anchoring=no_chain, flush=lambda: None, meter=ground.meter, period_s=1)
    witness = Witness(Signer("exchange", b"w" * 32), MemoryWitnessStore(), logs={}, clock=market.clock)
    return [
        *exchange_adders(desk, market.contracts, studies_of(market), ChannelServer()),
        vetting_adder(vettings),
        *ledger_adders(witness, Logbook(ground.log, keeper, ground.recorder, ground.meter)),
    ]


def studies_of(market: Market) -> Studies:
    """Return the exchange's studies: questions are read, checked and refused; no case here gets as far as a key."""
    ground = market.exchange
    me = Coordinator("exchange", market.keys["exchange"].secret("sign"), "keyholder", market.clock)
    absent: Any = None
    return Studies(
        me, ground.documents, market.contracts, directory=market.directory, keyholder=absent, runner=absent,
        recorder=ground.recorder, facts=ground.facts, seals=Seals(ground.log, list, ground.documents),
    )  # fmt: skip


def identity_files(folder: Path, tls: Tls) -> IdentityFiles:
    """Return the files of a server's identity."""
    folder.mkdir(exist_ok=True)
    names = {"certificate": tls.certificate, "private_key": tls.private_key, "ca": tls.ca}
    for name, pem in names.items():
        (folder / f"{name}.pem").write_bytes(pem)
    rest = dict.fromkeys(("directory", "denied", "keystore", "passphrase_file"), folder / "absent")
    return IdentityFiles(**{name: folder / f"{name}.pem" for name in names}, **rest)
