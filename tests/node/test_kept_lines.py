"""Connections between two connectors are kept for a while, and never for another place, time or participant."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hdex.node.dsp.addresses import AddressRules
from hdex.node.wire.dsp_client import HttpCourier
from hdex.node.wire.kept_lines import AGE_S, IDLE_S, MOST, KeptLines


class Handler(BaseHTTPRequestHandler):
    """Answers every message. /ends: hangs up after the answer; /once: hangs up instead of a second answer."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    answered = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.callers.append(self.client_address[1])
        if self.path == "/once" and self.answered:
            self.close_connection = True
            return
        self.answered = True
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = self.path == "/ends"

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Remembers from which port each request came: one port is one connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.callers: list[int] = []
        self.hung_up = threading.Event()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def shutdown_request(self, request: object) -> None:
        super().shutdown_request(request)  # type: ignore[arg-type]  # a socket
        self.hung_up.set()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def courier() -> HttpCourier:
    return HttpCourier(AddressRules(("localhost",), plain=True), None, resolve=lambda *_: ["127.0.0.1"])


def test_messages_to_one_participant_share_a_connection(server: Server, courier: HttpCourier) -> None:
    for _ in range(3):
        assert courier.post("hospital-a", server.url + "/x", {}).status == 200
    assert len(set(server.callers)) == 1


def test_another_participant_at_the_same_address_has_its_own(server: Server, courier: HttpCourier) -> None:
    courier.post("hospital-a", server.url + "/x", {})
    courier.post("hospital-b", server.url + "/x", {})
    assert len(set(server.callers)) == 2


def test_a_connection_that_the_other_side_has_closed_is_not_used_again(server: Server, courier: HttpCourier) -> None:
    courier.post("hospital-a", server.url + "/ends", {})
    assert server.hung_up.wait(30)
    assert courier.post("hospital-a", server.url + "/x", {}).status == 200
    assert len(set(server.callers)) == 2


def test_a_message_whose_kept_connection_breaks_is_sent_again_over_a_new_one(
    server: Server, courier: HttpCourier
) -> None:
    for _ in range(2):
        assert courier.post("hospital-a", server.url + "/once", {}).status == 200
    assert len(server.callers) == 3
    assert len(set(server.callers)) == 2


def test_callers_at_the_same_time_never_share_one(server: Server) -> None:
    lines, place = KeptLines(), "there"
    made = [lines.line(connected(server)) for _ in range(MOST + 2)]
    for line in made:
        lines.keep(place, line)
    taken = [lines.take(place) for _ in range(MOST + 1)]
    assert [id(one) for one in taken[:-1]] == [id(one) for one in reversed(made[-MOST:])]
    assert taken[-1] is None


@pytest.mark.parametrize("seconds", [IDLE_S + 1, AGE_S + 1])
def test_a_line_ends_with_its_time(server: Server, seconds: float) -> None:
    now = 0.0
    lines = KeptLines(lambda: now)
    lines.keep("there", lines.line(connected(server)))
    now = seconds
    assert lines.take("there") is None


def test_a_line_that_is_used_all_the_time_ends_too(server: Server) -> None:
    now = 0.0
    lines = KeptLines(lambda: now)
    line = lines.line(connected(server))
    while now < AGE_S:
        lines.keep("there", line)
        now += IDLE_S / 2
        found = lines.take("there")
        assert (found is line) == (now < AGE_S)


def connected(server: Server) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    connection.connect()
    return connection
