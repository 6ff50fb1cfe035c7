"""What every participant with a log stands on: identity, keys, records, log, witnesses, anchors, the door."""

import gc
import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from hdex.ledger.anchor import STEADY, Anchorer
from hdex.ledger.detail import Details
from hdex.ledger.detail_sqlite import SqliteDetailStore
from hdex.ledger.erasure import Eraser
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.outbox_sqlite import SqliteOutbox
from hdex.ledger.ports import Chain
from hdex.ledger.retention import load_retention
from hdex.ledger.shard import origin_of, parse_origin
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_sqlite import SqliteWitnessStore
from hdex.ledger.witness import Witness
from hdex.node import directory as directories
from hdex.node.anchored import AnchoredRecorder
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import ChainPeer, ExchangeConfig, HospitalConfig, KeyholderConfig, RegionConfig
from hdex.node.databases import require_whole
from hdex.node.directory import Directory
from hdex.node.docket import Docket
from hdex.node.documents import SqliteDocuments
from hdex.node.errors import DatabaseDamaged
from hdex.node.facts import ChainFacts
from hdex.node.idempotency import KeyBook
from hdex.node.identity import Identity
from hdex.node.keeper import Keeper
from hdex.node.keys import KeyProvider, data_key, read_passphrase
from hdex.node.keystore import KeyStore
from hdex.node.log_key import retired_keys
from hdex.node.logbook import Logbook
from hdex.node.meter import Meter
from hdex.node.pki import DenyList
from hdex.node.recorder import DETAIL, Recorder, move_details
from hdex.node.remembered import AT_GATE
from hdex.node.sealing import Sealing
from hdex.node.wire.api_app import Api, api_app, collected, health_route
from hdex.node.wire.channels import Channels
from hdex.node.wire.health import health_adder, reflection_adder
from hdex.node.wire.http_ledger import Offer, ledger_app
from hdex.node.wire.http_server import HttpServing, serve_browsers, serve_https
from hdex.node.wire.interceptors import Access, Doorkeeper
from hdex.node.wire.remote import RemoteWitness
from hdex.node.wire.server import Adder, Serving, serve
from hdex.node.wire.services_ledger import ledger_adders
from hdex.node.wire.tls import Tls

logger = logging.getLogger(__name__)
Config = HospitalConfig | ExchangeConfig | KeyholderConfig | RegionConfig
KEEP_PERIOD_S = 2.0
FIRST_YEAR = 2026  # no log is older
STRANGER = Identity("spiffe://unknown", "unknown", "unknown")


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Standing:
    """One participant's ground. Built once per process; parts are made at first use and kept."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data = config.data_dir
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_whole(self.data)
        self._chain_lock = threading.Lock()
        self._chain: Chain | None = None
        self._anchoring: Anchorer | None = None
        self._anchored_origin = ""
        self.stop = threading.Event()
        self.serving: Serving | None = None
        self.http: HttpServing | None = None
        self.dsp: HttpServing | None = None
        self.api: HttpServing | None = None
        self.routes: list[Any] = []  # what a participant serves over HTTPS beside its log

    @cached_property
    def keys(self) -> KeyProvider:
        files = self.config.identity
        return KeyStore.open(files.keystore, read_passphrase(files.passphrase_file))

    @cached_property
    def tls(self) -> Tls:
        return Tls.load(self.config.identity)

    @cached_property
    def directory(self) -> Directory:
        return directories.load(self.config.identity.directory, self.tls.ca, trust_domain=self.config.trust_domain)

    @cached_property
    def channels(self) -> Channels:
        return Channels(self.tls, self.directory, limits=self.config.limits)

    @cached_property
    def documents(self) -> SqliteDocuments:
        return SqliteDocuments(self.data / "documents.db")

    @cached_property
    def shards(self) -> Shards:
        def signer(origin: str) -> Signer:
            return Signer(origin, self.keys.secret("log"))

        return Shards(self.data, self.config.id, signer=signer, clock=now, retired=lambda: retired_keys(self.keys))

    @cached_property
    def log(self) -> Log:
        return self.shards.open()

    @cached_property
    def recorder(self) -> Recorder:
        move_details(self.documents, self.details, self.log)
        limit = timedelta(seconds=self.config.chain.fail_closed_after_s) if self.config.chain else timedelta()
        who = {"node": self.config.id, "organisation": self.config.organisation}
        if not limit:
            return Recorder(self.log, self.details, **who, clock=now)
        return AnchoredRecorder(self.log, self.details, **who, clock=now, age=self.anchor_age, limit=limit)

    @cached_property
    def details(self) -> Details:
        path = self.data / "details.db"
        if not path.exists() and self.log.size and not self.documents.keys(DETAIL):
            raise DatabaseDamaged(f"{path} is gone while log.db has records: restore the last backup")
        return Details(SqliteDetailStore(path), data_key(self.keys, "event details"))

    @cached_property
    def eraser(self) -> Eraser:
        return Eraser(self.details, load_retention(self.data / "retention.toml"), now)

    @cached_property
    def witness(self) -> Witness:
        years = range(FIRST_YEAR, now().year + 2)  # a shard that begins while this process runs is known already
        logs = {
            origin_of(member.id, year): member.log_key
            for member in self.directory.members
            if member.log_key and member.endpoint and member.id != self.config.id
            for year in years
        }
        signer = Signer(self.config.id, self.keys.secret("witness"))
        docket = Docket(self.data / "fraud")
        store = SqliteWitnessStore(self.data / "witness.db")
        return Witness(signer, store, logs=logs, clock=now, accuse=docket.accuse)

    @cached_property
    def keeper(self) -> Keeper:
        witnesses = [RemoteWitness(peer.id, self.channels) for peer in self.config.witness_peers]
        return Keeper(
            self.log,
            witnesses,
            anchoring=self.anchoring,
            flush=self.facts.flush,
            meter=self.meter,
            period_s=KEEP_PERIOD_S,
            keys={member.id: member.witness_key for member in self.directory.members if member.witness_key},
        )

    @cached_property
    def facts(self) -> ChainFacts:
        return ChainFacts(self.chain, self.documents, node=self.config.id)

    @cached_property
    def meter(self) -> Meter:
        return Meter(self.documents)

    @cached_property
    def logbook(self) -> Logbook:
        return Logbook(self.log, self.keeper, self.recorder, self.meter, shards=self.shards)

    def chain(self) -> Chain:
        """Return the chain; web3 is imported at the first call."""
        with self._chain_lock:
            if self._chain is None:
                self._chain = open_chain(self.config.chain, self.keys)
            return self._chain

    def anchoring(self) -> Anchorer:
        """Return the outbox of checkpoints."""
        chain, origin = self.chain(), self.log.origin
        with self._chain_lock:
            if self._anchoring is None or self._anchored_origin != origin:
                name, outbox = self.anchored_as(origin)
                root_at = self.log.root_at
                self._anchoring = Anchorer(chain, SqliteOutbox(outbox), name, root_at=root_at, pace=STEADY, clock=now)
                self._anchored_origin = origin
            return self._anchoring

    def anchored_as(self, origin: str) -> tuple[str, Path]:
        """Return the name under which a shard is anchored, and its outbox: the contract lets a name's size only grow.

        The first shard has the participant's own name, a later one `<participant>/<year>`; one enrolment serves all.
        """
        _, year = parse_origin(origin)
        first = next(iter(sorted(Shards.years(self.data))), year)
        if year == first:
            return self.config.id, self.data / "outbox.db"
        return f"{self.config.id}/{year}", self.data / f"outbox-{year}.db"

    def anchor_age(self) -> timedelta:
        """Return how long the oldest entry without anchor has waited. Raises ChainUnavailable where none is named."""
        return self.anchoring().age()

    def serve(self, adders: Sequence[Adder]) -> Serving:
        """Serve these services and those of the ledger, and keep the log, until `stop` is set."""
        served, door = [*adders, *ledger_adders(self.witness, self.logbook)], self.door()
        serving = serve(self.config.listen.grpc, self.with_health(served), tls=self.tls, door=door)
        self.http = self.serve_http()
        self.api = self.serve_api(served, door)
        threading.Thread(target=self.keeper.run, args=(self.stop,), name="keeper", daemon=True).start()
        self.facts.start(self.stop)
        self.watch_alerts()
        logger.info("serving", extra={"participant": self.config.id, "port": serving.port})
        return serving

    def with_health(self, adders: Sequence[Adder]) -> list[Adder]:
        """Return services with that of health, and with reflection where the configuration switches it on."""
        names = sorted({method.split("/")[1] for method in collected(adders)})
        more = [health_adder(names, self.is_serving)]
        if self.config.listen.reflection:
            more.append(reflection_adder([*names, "grpc.health.v1.Health"]))
        return [*adders, *more]

    def is_serving(self) -> bool:
        """Return whether calls are answered: without its log a participant refuses them."""
        return not self.stop.is_set() and not self.log.failed

    def serve_api(self, adders: Sequence[Adder], door: Doorkeeper) -> HttpServing | None:
        """Serve the same services over REST, where the configuration names a port for it."""
        listen = self.config.listen
        if not listen.api_port:
            return None
        app = api_app(Api(door, collected(adders), self.is_serving, time.monotonic))
        return serve_browsers(app, (listen.host, listen.api_port), self.config.identity)

    def watch_alerts(self) -> None:
        """Raise alerts about this participant's own log until `stop` is set."""
        from hdex.node.compose.alerting import start_alerts

        start_alerts(self)

    def serve_http(self) -> HttpServing | None:
        """Serve log and witness over HTTPS, where the configuration names a port for it."""
        listen = self.config.listen
        port = listen.ledger_port if isinstance(self.config, ExchangeConfig) else listen.http_port
        if not port:
            return None
        app = ledger_app(Offer(self.log, self.keeper.published, self.witness))
        app.router.routes.extend([*self.routes, health_route(self.is_serving)])
        return serve_https(app, (listen.host, port), self.config.identity)

    def door(self) -> Doorkeeper:
        """Return the gate's rules: who this is, who may call, what is remembered of a refusal."""
        kind = self.directory.member(self.config.id).kind
        return Doorkeeper(
            kind=kind,
            participant=self.config.id,
            trust_domain=self.config.trust_domain,
            authorizer=CedarAuthorizer(),
            audit=self.remember,
            denied=DenyList(self.config.identity.denied),
            clock=now,
            limits=self.config.limits,
            keys=KeyBook(self.documents, Sealing(data_key(self.keys, "idempotency")), now),
        )

    def remember(self, access: Access) -> None:
        """Make a refused call an event. Allowed ones are remembered by their verbs, with what they are about."""
        digest = access.request_sha256 or hashlib.sha256(access.method.encode()).hexdigest()
        if access.allow:
            if access.caller is not None and access.action in AT_GATE:
                self.recorder.allow(AT_GATE[access.action], access.caller, request_digest=digest)
            return
        action = "connection.refuse" if access.caller is None else "call.refuse"
        self.recorder.deny(action, access.caller or STRANGER, access.rule, request_digest=digest)

    def run(self) -> None:
        """Wait for `stop`, then end in order."""
        settle()
        self.stop.wait()
        for one in (self.http, self.dsp, self.api):
            if one is not None:
                one.stop()
        if self.serving is not None:
            self.serving.stop()
        self.channels.close()
        self.log.close()
        self.details.close()


def settle() -> None:
    """Let the collector of garbage pass over what was made until now: it lives as long as the process.

    A full collection stops every thread, and takes the longer the more there is.
    """
    gc.collect()
    gc.freeze()


def open_chain(peer: ChainPeer | None, keys: KeyProvider) -> Chain:
    """Return the chain a participant is configured for."""
    if peer is None or not peer.contract:
        from hdex.ledger.errors import ChainUnavailable

        raise ChainUnavailable("no chain is configured")
    from hdex.ledger.chain_web3 import Web3Chain

    key = keys.secret("chain") if "chain" in keys.names() else None
    return Web3Chain(peer.url, peer.contract, key, peer.chain_id)
