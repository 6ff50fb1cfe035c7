"""The wire: who is not known is refused and the server says why; who is known does what the rules permit."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.errors import AccessDenied, CannotListen, IdentityRefused, NodeError, PeerUnavailable, RemoteRefused
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
NOW = datetime.now(UTC)
LIMITS = Limits(workers=8, control_bytes=100_000, data_bytes=200_000, unary_deadline_s=20, stream_deadline_s=30)


class LogFailed(Exception):
    """Stands for the ledger's error: the table knows it by name."""


@dataclass
class Exchange:
    """A served exchange with everything a test may turn."""

    ca: pki.Authority
    now: datetime = NOW
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


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.init(tmp_path_factory.mktemp("wire") / "ca", DOMAIN, now=NOW - timedelta(days=200))


@pytest.fixture
def exchange(authority: pki.Authority, tmp_path: Path) -> Iterator[Exchange]:
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
    yield made
    made.proceed.set()
    made.serving.stop(0)


def tls_of(authority: pki.Authority, path: str, **options: Any) -> Tls:
    certificate, key = pki.issue(authority, path, **options)
    return Tls(certificate, key, authority.pem)


def odd_tls(authority: pki.Authority, *uris: str, use: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> Tls:
    """Return a certificate of the true CA that its rules would never issue."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.private_key(), hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Tls(certificate.public_bytes(serialization.Encoding.PEM), pem, authority.pem)


# ---- certificates -------------------------------------------------------------------------------------------------


def test_a_member_is_let_in_and_known(exchange: Exchange, authority: pki.Authority) -> None:
    assert exchange.call(tls_of(authority, "hospital/hospital-a/data_steward")) == b"cba"
    assert (exchange.seen[0].participant, exchange.seen[0].role) == ("hospital-a", "data_steward")
    (access,) = exchange.accesses
    assert (access.action, access.allow, access.rule) == ("ExchangeService.Find", True, "members-browse")
    assert len(access.request_sha256) == 64


Variant = Callable[[pki.Authority, Path], Tls]
BROKEN_CHAIN: dict[str, Variant] = {
    "foreign CA of the same name": lambda ca, folder: Tls(
        *pki.issue(pki.init(folder / "foreign", DOMAIN), "hospital/hospital-a"), ca.pem
    ),
    "foreign CA of another name": lambda ca, folder: Tls(
        *pki.issue(pki.init(folder / "foreign", "evil.test"), "hospital/hospital-a"), ca.pem
    ),
    "expired": lambda ca, _: tls_of(ca, "hospital/hospital-a", now=NOW - timedelta(days=100), days=1),
    "not yet valid": lambda ca, _: tls_of(ca, "hospital/hospital-a", now=NOW + timedelta(days=2)),
    "key of another certificate": lambda ca, _: Tls(
        pki.issue(ca, "hospital/hospital-a")[0], pki.issue(ca, "hospital/hospital-a")[1], ca.pem
    ),
}


@pytest.mark.parametrize("variant", BROKEN_CHAIN.values(), ids=BROKEN_CHAIN)
def test_a_certificate_that_tls_refuses_reaches_nothing(
    exchange: Exchange, authority: pki.Authority, tmp_path: Path, variant: Variant
) -> None:
    with pytest.raises(PeerUnavailable):
        exchange.call(variant(authority, tmp_path))
    assert not exchange.seen
    assert not exchange.accesses


def test_no_certificate_reaches_nothing(exchange: Exchange, authority: pki.Authority) -> None:
    assert exchange.serving is not None
    endpoint = f"127.0.0.1:{exchange.serving.port}"
    bare = grpc.ssl_channel_credentials(authority.pem)
    options = [("grpc.ssl_target_name_override", f"exchange.{DOMAIN}")]
    strangers: list[Any] = [grpc.secure_channel(endpoint, bare, options), grpc.insecure_channel(endpoint)]
    for stranger in strangers:
        with stranger, pytest.raises(grpc.RpcError):
            stranger.unary_unary(FIND)(b"x", timeout=5)
    assert not exchange.seen
    assert not exchange.accesses


WRONG_NAMES = {
    "no name": ((), "0 URI names"),
    "two names": ((f"spiffe://{DOMAIN}/hospital/a", f"spiffe://{DOMAIN}/exchange/exchange"), "2 URI names"),
    "other trust domain": (("spiffe://evil.test/hospital/hospital-a",), "trust domain 'evil.test'"),
    "unknown kind": ((f"spiffe://{DOMAIN}/regulator/r",), "of a kind known here"),
    "unknown role": ((f"spiffe://{DOMAIN}/hospital/hospital-a/janitor",), "no role of that name"),
    "role of another kind": ((f"spiffe://{DOMAIN}/buyer/b/data_steward",), "no role of that name"),
    "no SPIFFE": (("https://hospital-a.example",), "1 URI names"),
    "path too long": ((f"spiffe://{DOMAIN}/hospital/a/data_steward/x",), "of a kind known here"),
}


@pytest.mark.parametrize(("uris", "why"), WRONG_NAMES.values(), ids=WRONG_NAMES)
def test_a_wrong_name_is_refused_and_the_server_says_why(
    exchange: Exchange,
    authority: pki.Authority,
    caplog: pytest.LogCaptureFixture,
    uris: tuple[str, ...],
    why: str,
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(RemoteRefused, match=why) as caught:
        exchange.call(odd_tls(authority, *uris))
    assert (caught.value.status, caught.value.rule) == ("UNAUTHENTICATED", "identity-refused")
    assert any(why in getattr(record, "reason", "") for record in caplog.records)
    assert exchange.seen == []
    assert [(access.caller, access.allow) for access in exchange.accesses] == [(None, False)]


def test_a_certificate_for_servers_only_is_no_client(exchange: Exchange, authority: pki.Authority) -> None:
    tls = odd_tls(authority, f"spiffe://{DOMAIN}/hospital/hospital-a", use=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(NodeError):
        exchange.call(tls)
    assert exchange.seen == []


def test_a_revoked_certificate_is_refused_by_the_next_call_on_an_open_connection(
    exchange: Exchange, authority: pki.Authority
) -> None:
    tls = tls_of(authority, "hospital/hospital-a")
    with exchange.dial(tls) as open_channel:
        find = open_channel.unary_unary(FIND)
        assert find(b"ab") == b"ba"
        pki.revoke(authority, x509.load_pem_x509_certificate(tls.certificate).serial_number)
        with pytest.raises(RemoteRefused, match="revoked"):
            find(b"ab")


def test_a_certificate_that_expires_during_the_connection_is_refused_by_the_next_call(
    exchange: Exchange, authority: pki.Authority
) -> None:
    with exchange.dial(tls_of(authority, "hospital/hospital-a", days=1)) as open_channel:
        find = open_channel.unary_unary(FIND)
        assert find(b"ab") == b"ba"
        exchange.now = NOW + timedelta(days=1, minutes=1)
        with pytest.raises(RemoteRefused, match="expired at"):
            find(b"ab")
        exchange.now = NOW - timedelta(days=1)
        with pytest.raises(RemoteRefused, match="begins at"):
            find(b"ab")


def test_a_stream_ends_when_the_certificate_does(exchange: Exchange, authority: pki.Authority) -> None:
    with exchange.dial(tls_of(authority, "buyer/buyer-heartline", days=1)) as open_channel:
        stream = open_channel.unary_stream(START)(b"study")
        assert next(stream) == b"first"
        exchange.now = NOW + timedelta(days=2)
        exchange.proceed.set()
        with pytest.raises(RemoteRefused, match="expired"):
            next(stream)


def test_each_message_of_a_stream_is_from_someone_known(exchange: Exchange, authority: pki.Authority) -> None:
    tls = tls_of(authority, "hospital/hospital-a")
    first = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"one"
        first.wait(10)
        yield b"two"

    with exchange.dial(tls) as open_channel:
        stream = open_channel.stream_stream(CONNECT)(messages())
        assert next(stream) == b"ONE"
        pki.revoke(authority, x509.load_pem_x509_certificate(tls.certificate).serial_number)
        first.set()
        with pytest.raises(RemoteRefused, match="revoked"):
            next(stream)
    assert exchange.received == [b"one"]


def test_when_the_deny_list_cannot_be_read_nobody_is_let_in(exchange: Exchange, authority: pki.Authority) -> None:
    tls = tls_of(authority, "hospital/hospital-a")
    (authority.folder / "denied.txt").write_text("not a serial\n")
    with pytest.raises(RemoteRefused, match="nobody is let in"):
        exchange.call(tls)


def test_a_foreign_process_on_the_port_is_not_taken_for_the_server(
    exchange: Exchange, authority: pki.Authority
) -> None:
    with (
        exchange.dial(tls_of(authority, "hospital/hospital-a"), server="keyholder") as open_channel,
        pytest.raises(PeerUnavailable),
    ):
        open_channel.unary_unary(FIND)(b"x")
    assert exchange.accesses == []


# ---- permission, audit, errors -------------------------------------------------------------------------------------


def test_what_no_rule_permits_is_refused_and_remembered(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused) as caught:
        exchange.call(tls_of(authority, "buyer/buyer-heartline"), OPEN_SUM)
    assert (caught.value.status, caught.value.rule) == ("PERMISSION_DENIED", "no-rule-permits")
    assert caught.value.next_step
    assert exchange.seen == []
    (access,) = exchange.accesses
    assert access.caller is not None
    assert (access.caller.participant, access.allow, access.rule) == ("buyer-heartline", False, "no-rule-permits")


def test_a_method_without_a_rule_is_refused(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused) as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), f"{PACKAGE}Unlisted/Go")
    assert caught.value.rule == "unknown-method"
    with pytest.raises(RemoteRefused) as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), f"{PACKAGE}Nowhere/Go")
    assert caught.value.status == "UNIMPLEMENTED"
    assert exchange.seen == []


@pytest.mark.parametrize("method", [FIND, OPEN_SUM])
def test_when_the_log_fails_nothing_runs(exchange: Exchange, authority: pki.Authority, method: str) -> None:
    exchange.log_fails = True
    with pytest.raises(PeerUnavailable) as caught:
        exchange.call(tls_of(authority, "buyer/buyer-heartline"), method)
    assert caught.value.rule == "log-failed"
    assert exchange.seen == []


def test_the_access_is_remembered_before_the_handler_runs(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused):
        exchange.call(tls_of(authority, "hospital/hospital-a"), request=b"inside")
    assert [access.allow for access in exchange.accesses] == [True]


def test_an_error_travels_with_rule_and_next_step(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused, match="level 5 does not leave") as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), request=b"rule")
    assert (caught.value.rule, caught.value.next_step) == ("level-5-no-file", NEXT_STEP)


def test_the_unforeseen_leaks_nothing_to_the_peer_and_nothing_to_the_log(
    exchange: Exchange, authority: pki.Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteRefused) as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), request=b"inside")
    assert caught.value.status == "INTERNAL"
    assert "Zhang" not in str(caught.value)
    told = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("hdex"))
    assert "Zhang" not in told
    assert "ValueError" in told


def test_a_handlers_own_abort_is_left_alone(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused, match="own words") as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), request=b"abort")
    assert caught.value.status == "ABORTED"


def test_rubbish_is_refused_and_is_not_read_for_strangers(exchange: Exchange, authority: pki.Authority) -> None:
    with pytest.raises(RemoteRefused) as caught:
        exchange.call(tls_of(authority, "hospital/hospital-a"), request=b"rubbish")
    assert caught.value.rule == "request-invalid"
    with pytest.raises(RemoteRefused) as caught:
        exchange.call(odd_tls(authority, "spiffe://evil.test/hospital/a"), request=b"rubbish")
    assert caught.value.rule == "identity-refused"


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_a_request_beyond_its_bound_is_refused(exchange: Exchange, authority: pki.Authority) -> None:
    tls = tls_of(authority, "hospital/hospital-a")
    assert len(exchange.call(tls, request=bytes(LIMITS.control_bytes))) == LIMITS.control_bytes
    for size in (LIMITS.control_bytes + 1, LIMITS.data_bytes + 1):
        with pytest.raises(RemoteRefused) as caught:
            exchange.call(tls, request=bytes(size))
        assert caught.value.status == "RESOURCE_EXHAUSTED"


def test_a_call_without_a_deadline_or_with_a_far_one_is_refused(exchange: Exchange, authority: pki.Authority) -> None:
    assert exchange.serving is not None
    tls = tls_of(authority, "hospital/hospital-a")
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.private_key, tls.certificate)
    options = [("grpc.ssl_target_name_override", f"exchange.{DOMAIN}")]
    bare: Any = grpc.secure_channel(f"127.0.0.1:{exchange.serving.port}", credentials, options)
    with bare:
        for timeout in (None, LIMITS.unary_deadline_s * 10):
            with pytest.raises(grpc.RpcError, match="deadline"):
                bare.unary_unary(FIND)(b"x", timeout=timeout)
    assert exchange.accesses == []


def test_a_silent_server_is_given_up_at_the_deadline(exchange: Exchange, authority: pki.Authority) -> None:
    with exchange.dial(tls_of(authority, "buyer/buyer-heartline"), timeout_s=0.5) as open_channel:
        stream = open_channel.unary_stream(START)(b"study")
        assert next(stream) == b"first"
        with pytest.raises(PeerUnavailable, match="deadline_exceeded"):
            next(stream)


def test_an_absent_server_is_unavailable(authority: pki.Authority) -> None:
    tls = tls_of(authority, "hospital/hospital-a")
    absent: Any = channel("127.0.0.1:1", tls=tls, server="exchange", trust_domain=DOMAIN, timeout_s=5)
    with absent, pytest.raises(PeerUnavailable, match="exchange did not answer"):
        absent.unary_unary(FIND)(b"x")


def test_a_taken_port_is_said_so(exchange: Exchange, authority: pki.Authority) -> None:
    assert exchange.serving is not None
    door = Doorkeeper(
        kind="exchange",
        participant="exchange",
        trust_domain=DOMAIN,
        authorizer=CedarAuthorizer(),
        audit=exchange.audit,
        denied=frozenset,
        clock=exchange.clock,
        limits=LIMITS,
    )
    with pytest.raises(CannotListen):
        serve(f"127.0.0.1:{exchange.serving.port}", [], tls=tls_of(authority, "exchange/exchange"), door=door)


def test_a_call_that_did_not_pass_the_gate_has_no_caller() -> None:
    class Nowhere:
        pass

    with pytest.raises(IdentityRefused):
        caller(Nowhere())  # type: ignore[arg-type]  # any object that is no call


def test_keys_do_not_show(authority: pki.Authority) -> None:
    assert "PRIVATE" not in repr(tls_of(authority, "hospital/hospital-a"))
