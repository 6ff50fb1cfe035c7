"""The chain's HTTP server: whom it answers, whom not, and how it ends."""

import http.client
import threading
from collections.abc import Iterator

import pytest

from hdex.node.errors import ConfigInvalid
from hdex.node.wire.chain_rpc import BODY_LIMIT, ChainServer

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server() -> Iterator[ChainServer]:
    with ChainServer(lambda body: b"answer to " + body) as server:
        yield server


def post(server: ChainServer, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    answer = (response.status, response.read())
    connection.close()
    return answer


def test_a_json_body_is_answered(server: ChainServer) -> None:
    assert post(server, b"{}", JSON) == (200, b"answer to {}")
    assert post(server, b"{}", {"Content-Type": "application/json; charset=utf-8"})[0] == 200
    assert post(server, b"{}", {**JSON, "Host": f"localhost:{server.port}"})[0] == 200


def test_one_connection_carries_many_requests(server: ChainServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for number in range(20):
        connection.request("POST", "/", str(number).encode(), JSON)
        assert connection.getresponse().read() == f"answer to {number}".encode()
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),  # what a page may post without asking first
        ({}, 415),
        ({**JSON, "Origin": "https://example.test"}, 403),
        ({**JSON, "Host": "rebound.example.test"}, 403),
        ({**JSON, "Host": "127.0.0.1.example.test:80"}, 403),
        ({**JSON, "Content-Length": str(BODY_LIMIT + 1)}, 413),
        ({**JSON, "Content-Length": "-1"}, 411),
    ],
)
def test_a_browsers_page_and_a_body_without_bound_are_refused(
    server: ChainServer, headers: dict[str, str], status: int
) -> None:
    assert post(server, b"{}", headers)[0] == status
    assert post(server, b"{}", JSON)[0] == 200


def test_other_verbs_are_refused(server: ChainServer) -> None:
    for verb in ("GET", "OPTIONS", "PUT"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(verb, "/")
        assert connection.getresponse().status == 501
        connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ConfigInvalid, match="loopback only"):
        ChainServer(bytes, host=host)


def test_closing_answers_what_was_asked_and_leaves_no_thread() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(body: bytes) -> bytes:
        asked.set()
        go_on.wait(10)
        return body

    before = threading.active_count()
    server = ChainServer(slow)
    server.start()
    answers: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answers.append(post(server, b"last", JSON)))
    client.start()
    assert asked.wait(10)
    closer = threading.Thread(target=server.close)
    closer.start()
    go_on.set()
    closer.join(10)
    client.join(10)
    assert answers == [(200, b"last")]
    assert threading.active_count() == before
