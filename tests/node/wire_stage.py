"""A served exchange for the tests of the wire, with everything a test may turn."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.errors import AccessDenied
from hdex.node.identity import Identity
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Access, Doorkeeper, caller
from hdex.node.wire.server import Serving, serve
from hdex.node.wire.tls import Tls

DOMAIN = "hdex.test"
PACKAGE = "/hdex.proto.v1."
FIND, START, CONNECT = (
    f"{PACKAGE}ExchangeService/Find",
    f"{PACKAGE}StudyService/Start",
    f"{PACKAGE}ChannelService/Connect",
)
OPEN_SUM = f"{PACKAGE}KeyHolderService/OpenSum"
NEXT_STEP = "ask for a federated study, 或联邦研究"
LIMITS = Limits(workers=8, control_bytes=100_000, data_bytes=200_000, unary_deadline_s=20, stream_deadline_s=30)


class LogFailed(Exception):
    """Stands for the ledger's error: the table knows it by name."""


@dataclass
class Exchange:
    """A served exchange with everything a test may turn."""

    ca: pki.Authority
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    accesses: list[Access] = field(default_factory=list)
    seen: list[Identity] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    log_fails: bool = False
    proceed: threading.Event = field(default_factory=threading.Event)
    serving: Serving | None = None

    def clock(self) -> datetime:
        return self.now

    def audit(self, access: Access) -> None:
        if self.log_fails:
            raise LogFailed("the log's disk is gone")
        self.accesses.append(access)

    def find(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.seen.append(caller(context))
        if request == b"rule":
            raise AccessDenied(
                "level-5-no-file", "ask for a federated study, 或联邦研究", "level 5 does not leave as a file"
            )
        if request == b"inside":
            raise ValueError("Zhang San, 110101199003077715")
        if request == b"abort":
            context.abort(grpc.StatusCode.ABORTED, "own words")
        return request[::-1]

    def start(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        self.proceed.wait(10)
        yield b"second"

    def connect(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for message in requests:
            self.received.append(message)
            yield message.upper()

    def add(self, server: grpc.Server) -> None:
        handlers: dict[str, dict[str, Any]] = {
            "ExchangeService": {"Find": grpc.unary_unary_rpc_method_handler(self.find, request_deserializer=parse)},
            "StudyService": {"Start": grpc.unary_stream_rpc_method_handler(self.start)},
            "ChannelService": {"Connect": grpc.stream_stream_rpc_method_handler(self.connect)},
            "KeyHolderService": {"OpenSum": grpc.unary_unary_rpc_method_handler(self.find)},
            "Unlisted": {"Go": grpc.unary_unary_rpc_method_handler(self.find)},
        }
        for service, methods in handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(PACKAGE[1:] + service, methods),))

    def dial(self, tls: Tls, *, server: str = "exchange", timeout_s: float = 10) -> Any:
        assert self.serving is not None
        endpoint = f"127.0.0.1:{self.serving.port}"
        return channel(
            endpoint, tls=tls, server=server, trust_domain=DOMAIN, timeout_s=timeout_s, stream_timeout_s=timeout_s
        )

    def call(self, tls: Tls, method: str = FIND, request: bytes = b"abc") -> bytes:
        with self.dial(tls) as open_channel:
            answer: bytes = open_channel.unary_unary(method)(request)
            return answer


def parse(raw: bytes) -> bytes:
    if raw == b"rubbish":
        raise ValueError("not a message")
    return raw


@contextmanager
def serve_exchange(authority: pki.Authority) -> Iterator[Exchange]:
    """Serve an exchange of this consortium until the block ends."""
    made = Exchange(authority)
    (authority.folder / "denied.txt").write_text("")
    door = Doorkeeper(
        kind="exchange",
        participant="exchange",
        trust_domain=DOMAIN,
        authorizer=CedarAuthorizer(),
        audit=made.audit,
        denied=pki.DenyList(authority.folder / "denied.txt"),
        clock=made.clock,
        limits=LIMITS,
    )
    made.serving = serve("127.0.0.1:0", [made.add], tls=tls_of(authority, "exchange/exchange"), door=door)
    try:
        yield made
    finally:
        made.proceed.set()
        made.serving.stop(0)


def tls_of(authority: pki.Authority, path: str, **options: Any) -> Tls:
    certificate, key = pki.issue(authority, path, **options)
    return Tls(certificate, key, authority.pem)


def odd_tls(authority: pki.Authority, *uris: str, use: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> Tls:
    """Return a certificate of the true CA that its rules would never issue."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.private_key(), hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Tls(certificate.public_bytes(serialization.Encoding.PEM), pem, authority.pem)
