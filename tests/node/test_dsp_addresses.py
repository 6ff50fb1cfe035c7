"""Where a callback may go: the public network over https, and what the configuration names."""

import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hdex.node.dsp.addresses import AddressRules, is_public
from hdex.node.errors import AccessDenied, PeerUnavailable
from hdex.node.wire.dsp_client import HttpCourier

PUBLIC = "93.184.215.14"
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a00:1", "fec0::1", "2002:a00:1::", "2001:db8::1", "no address",
]  # fmt: skip


def resolves(*ips: str) -> "Sequence[str]":
    return ips


@pytest.mark.parametrize("ip", PRIVATE)
def test_a_private_address_is_no_public_one(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize("ip", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_a_public_address_is(ip: str) -> None:
    assert is_public(ip)


def test_one_private_address_among_many_is_enough_to_refuse() -> None:
    with pytest.raises(AccessDenied) as refused:
        AddressRules().checked("https://peer.example/dsp", lambda *_: [PUBLIC, "10.0.0.1"])
    assert refused.value.rule == "address.private"


def test_what_is_checked_is_what_is_connected_to() -> None:
    found = AddressRules().checked("https://peer.example:8443/dsp", lambda *_: [PUBLIC])
    assert (found.ips, found.port, found.host, found.path) == ((PUBLIC,), 8443, "peer.example", "/dsp")


def test_a_named_host_may_be_private_and_only_by_its_name() -> None:
    rules = AddressRules(private_hosts=("peer.internal",))
    assert rules.checked("https://peer.internal/dsp", lambda *_: ["10.0.0.1"]).port == 443
    with pytest.raises(AccessDenied):
        rules.checked("https://10.0.0.1/dsp", lambda *_: ["10.0.0.1"])


@pytest.mark.parametrize(
    "address",
    [
        "", "https://", "ftp://peer.example", "//peer.example", "https://user@peer.example", "https://peer.example?x=1",
        "https://peer.example#x", "https://peer.example:99999", "https://peer.example/a b", "https://[::1",
        "https://peer.example/\r\nX: y", "javascript:alert(1)", "file:///etc/passwd", "https://peer.example/\u00e9",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        AddressRules().checked(address, lambda *_: [PUBLIC])
    assert refused.value.rule == "address.form"
    assert "example" not in str(refused.value)


def test_plain_http_goes_to_named_hosts_of_the_profile_only() -> None:
    assert AddressRules(("localhost",), plain=True).checked("http://localhost:1", lambda *_: ["127.0.0.1"]).port == 1
    for rules in (AddressRules(("localhost",)), AddressRules(("other",), plain=True)):
        with pytest.raises(AccessDenied) as refused:
            rules.checked("http://localhost:1", lambda *_: ["127.0.0.1"])
        assert refused.value.rule == "address.plain"


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody elsewhere."""

    def do_POST(self) -> None:
        self.send_response(307)
        self.send_header("Location", "http://127.0.0.1:1/metadata")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        courier = HttpCourier(AddressRules(("localhost",), plain=True), None, resolve=lambda *_: ["127.0.0.1"])
        assert courier.post("peer", f"http://localhost:{server.server_port}/dsp", {}).status == 307


def test_a_name_with_several_addresses_is_tried_at_each() -> None:
    """`localhost` is ::1 before 127.0.0.1 on many machines, and who listens there often takes one of them only."""
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = ["127.0.0.2", "127.0.0.1"]
        courier = HttpCourier(AddressRules(("localhost",), plain=True), None, resolve=lambda *_: found)
        assert courier.post("peer", f"http://localhost:{server.server_port}/dsp", {}).status == 307


class Dripping(BaseHTTPRequestHandler):
    """Answers a space at a time, for ten seconds; says whether the client hung up before."""

    cut: list[bool] = []  # noqa: RUF012  # of the one server of a test

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b" ")
                threading.Event().wait(0.05)
        except OSError:
            self.cut.append(True)

    def log_message(self, *_: object) -> None:
        pass


def test_who_drips_an_answer_is_hung_up_on() -> None:
    """A connection that will close forgets its socket, and once the timer had nothing to hang up."""
    with HTTPServer(("127.0.0.1", 0), Dripping) as server:
        serving = threading.Thread(target=server.handle_request, daemon=True)
        serving.start()
        courier = HttpCourier(
            AddressRules(("localhost",), plain=True), None, resolve=lambda *_: ["127.0.0.1"], whole_s=0.3
        )
        assert courier.post("peer", f"http://localhost:{server.server_port}/dsp", {}).document == {}
        serving.join(10)
    assert Dripping.cut == [True]


def test_nobody_there_is_unavailable_and_https_needs_a_certificate_of_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        courier = HttpCourier(AddressRules(("localhost",), plain=True), None, resolve=lambda *_: ["127.0.0.1"])
        with pytest.raises(AccessDenied, match="no certificate"):
            courier.get("peer", f"https://localhost:{port}/dsp")
    with pytest.raises(PeerUnavailable):
        courier.get("peer", f"http://localhost:{port}/dsp")
