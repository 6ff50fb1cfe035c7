"""The gate: who is known does what the rules permit, remembered first, within bounds; errors leave by one table."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from tests.node.wire_stage import (
    DOMAIN,
    FIND,
    LIMITS,
    NEXT_STEP,
    OPEN_SUM,
    PACKAGE,
    START,
    Exchange,
    odd_tls,
    serve_exchange,
    tls_of,
)

from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.errors import CannotListen, IdentityRefused, PeerUnavailable, RemoteRefused
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Doorkeeper, caller
from hdex.node.wire.server import serve


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.init(tmp_path_factory.mktemp("wire") / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=200))


@pytest.fixture
def exchange(authority: pki.Authority) -> Iterator[Exchange]:
    with serve_exchange(authority) as made:
        yield made


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


def test_an_error_carries_the_details_that_other_clients_read(exchange: Exchange, authority: pki.Authority) -> None:
    assert exchange.serving is not None
    tls = tls_of(authority, "hospital/hospital-a")
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.private_key, tls.certificate)
    options = [("grpc.ssl_target_name_override", f"exchange.{DOMAIN}")]
    bare: Any = grpc.secure_channel(f"127.0.0.1:{exchange.serving.port}", credentials, options)
    with bare, pytest.raises(grpc.RpcError) as caught:
        bare.unary_unary(FIND)(b"rule", timeout=10)
    failed: Any = caught.value
    (raw,) = [value for key, value in failed.trailing_metadata() if key == "grpc-status-details-bin"]
    status = Status.FromString(raw)
    info = ErrorInfo()
    assert (status.code, len(status.details), status.details[0].Unpack(info)) == (7, 1, True)
    assert (status.message, info.reason, info.domain) == ("level 5 does not leave as a file", "LEVEL_5_NO_FILE", "hdex")
    assert dict(info.metadata) == {"rule": "level-5-no-file", "next_step": NEXT_STEP}


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
        caller(Nowhere())


def test_keys_do_not_show(authority: pki.Authority) -> None:
    assert "PRIVATE" not in repr(tls_of(authority, "hospital/hospital-a"))
