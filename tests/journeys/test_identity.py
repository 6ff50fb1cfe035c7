"""Who may connect, over real processes: the peer sees a closed line, the server's log says why."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from tests.journeys.stage import Stage, eventually, refusal

from hdex.node import pki
from hdex.node.config import Limits
from hdex.node.demo import rows
from hdex.node.demo.setting import BUYER
from hdex.node.errors import NodeError, PeerUnavailable
from hdex.node.wire.channels import Channels
from hdex.node.wire.remote import RemoteExchange
from hdex.node.wire.tls import Tls

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
SHORT_S = 4.0


@contextmanager
def exchange_for(stage: Stage, certificate: bytes, key: bytes) -> Iterator[RemoteExchange]:
    """Yield the exchange as a peer with this certificate reaches it."""
    channels = Channels(
        Tls(certificate, key, stage.setting.authority.pem), rows.directory_of(stage.setting), limits=Limits()
    )
    try:
        yield RemoteExchange(channels("exchange"))
    finally:
        channels.close()


def said(stage: Stage, text: str) -> Callable[[], bool]:
    """Return whether the exchange has logged a reason that holds `text`."""
    return lambda: any(text in str(line.get("reason", "")) for line in stage.log_lines("exchange"))


def test_a_peer_without_a_certificate_is_refused(stage: Stage) -> None:
    options = [("grpc.ssl_target_name_override", "exchange.hdex.test")]
    credentials = grpc.ssl_channel_credentials(stage.setting.authority.pem)
    with grpc.secure_channel(stage.setting.endpoint("exchange"), credentials, options=options) as bare:
        find = bare.unary_unary("/hdex.proto.v1.ExchangeService/Find", bytes, bytes)
        with pytest.raises(grpc.RpcError) as refused:
            find(b"", timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    eventually(said(stage, "the peer showed no certificate"), "the exchange's reason")


def test_a_peer_of_a_foreign_authority_is_refused(stage: Stage, tmp_path: Path) -> None:
    foreign = pki.init(tmp_path / "ca", "hdex.test")  # even under our own trust domain's name
    with (
        exchange_for(stage, *pki.issue(foreign, f"buyer/{BUYER}")) as exchange,
        pytest.raises(PeerUnavailable),
    ):
        exchange.find("")
    eventually(said(stage, "the peer's certificate does not verify"), "the exchange's reason")


def test_an_expired_certificate_is_refused(stage: Stage) -> None:
    past = datetime.now(UTC) - timedelta(days=9)
    with (
        exchange_for(stage, *pki.issue(stage.setting.authority, f"buyer/{BUYER}", days=1, now=past)) as exchange,
        pytest.raises(PeerUnavailable),
    ):
        exchange.find("")
    eventually(said(stage, "certificate has expired"), "the exchange's reason")


def test_a_revoked_serial_is_refused_at_the_next_call_and_is_an_event(stage: Stage) -> None:
    certificate, key = pki.issue(stage.setting.authority, f"buyer/{BUYER}")
    with exchange_for(stage, certificate, key) as exchange:
        exchange.find("")
        pki.revoke(stage.setting.authority, x509.load_pem_x509_certificate(certificate).serial_number)
        error = refusal(lambda: exchange.find(""))
    assert error.rule == "identity-refused"
    assert said(stage, "is revoked")()
    refused = [event for event in stage.events("exchange") if event["action"] == "connection.refuse"]
    assert refused[-1]["decision"] == "deny"


def test_a_certificate_that_expires_during_the_connection_is_refused_at_the_next_call(stage: Stage) -> None:
    certificate, key = pki.issue(stage.setting.authority, f"buyer/{BUYER}", days=SHORT_S / 86_400)
    seen: list[NodeError] = []
    with exchange_for(stage, certificate, key) as exchange:
        exchange.find("")

        def turned_away() -> bool:
            try:
                exchange.find("")
            except NodeError as error:
                seen.append(error)
            return bool(seen)

        eventually(turned_away, "the refusal of an expired certificate")
    assert seen[0].rule == "identity-refused"
    assert "expired" in str(seen[0])
