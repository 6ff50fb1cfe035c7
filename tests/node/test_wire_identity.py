"""The wire: who is not known is refused, and the server says why."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.node.wire_stage import (
    CONNECT,
    DOMAIN,
    FIND,
    START,
    Exchange,
    odd_tls,
    serve_exchange,
    tls_of,
)

from hdex.node import pki
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.wire.tls import Tls


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.init(tmp_path_factory.mktemp("wire") / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=200))


@pytest.fixture
def exchange(authority: pki.Authority) -> Iterator[Exchange]:
    with serve_exchange(authority) as made:
        yield made


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
    "expired": lambda ca, _: tls_of(ca, "hospital/hospital-a", now=datetime.now(UTC) - timedelta(days=100), days=1),
    "not yet valid": lambda ca, _: tls_of(ca, "hospital/hospital-a", now=datetime.now(UTC) + timedelta(days=2)),
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
        exchange.now += timedelta(days=1, hours=2)
        with pytest.raises(RemoteRefused, match="expired at"):
            find(b"ab")
        exchange.now -= timedelta(days=3)
        with pytest.raises(RemoteRefused, match="begins at"):
            find(b"ab")


def test_a_stream_ends_when_the_certificate_does(exchange: Exchange, authority: pki.Authority) -> None:
    with exchange.dial(tls_of(authority, "buyer/buyer-heartline", days=1)) as open_channel:
        stream = open_channel.unary_stream(START)(b"study")
        assert next(stream) == b"first"
        exchange.now += timedelta(days=2)
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
