"""Where a participant serves its log and witness over HTTPS, and that it is off unless a port is named."""

import http.client
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.node.consortium import consortium, exchange, hospital

from hdex.ledger.note import parse_checkpoint
from hdex.node.compose.standing import Config, Standing
from hdex.node.config import Listen
from hdex.node.demo.setting import TRUST_DOMAIN, Setting
from hdex.node.errors import CannotListen
from hdex.node.identity import server_name


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return consortium(tmp_path_factory.mktemp("consortium"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def checkpoint_of(standing: Standing, port: int) -> str:
    """Return the checkpoint that a participant shows at a port, under its own name and the consortium's CA."""
    context = ssl.create_default_context(cafile=str(standing.config.identity.ca))
    name = server_name(standing.config.id, TRUST_DOMAIN)
    connection = http.client.HTTPSConnection(name, port, timeout=20)
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sock = context.wrap_socket(raw, server_hostname=name)
    connection.request("GET", "/checkpoint")
    found = connection.getresponse().read().decode()
    connection.close()
    return found


def opened(config: Config, folder: Path, listen: Listen) -> Standing:
    return Standing(replace(config, data_dir=folder / "data", listen=listen))


@pytest.mark.parametrize("kind", ["hospital", "exchange"])
def test_a_log_is_shown_at_the_port_that_is_named_for_it(setting: Setting, tmp_path: Path, kind: str) -> None:
    port = free_port()
    config: Config = hospital(setting) if kind == "hospital" else exchange(setting)
    listen = Listen(http_port=port) if kind == "hospital" else Listen(ledger_port=port)
    standing = opened(config, tmp_path, listen)
    serving = standing.serve_http()
    assert serving is not None
    head = parse_checkpoint(checkpoint_of(standing, port))
    assert head.origin.split("/")[1] == config.id
    serving.stop()
    standing.log.close()


def test_without_a_port_nothing_is_served_and_the_exchanges_pages_are_no_ledger(
    setting: Setting, tmp_path: Path
) -> None:
    assert opened(hospital(setting), tmp_path, Listen()).serve_http() is None
    assert opened(exchange(setting), tmp_path, Listen(http_port=free_port())).serve_http() is None


def test_a_taken_port_is_named(setting: Setting, tmp_path: Path) -> None:
    standing = opened(hospital(setting), tmp_path, Listen(http_port=free_port()))
    address = (standing.config.listen.host, standing.config.listen.http_port)
    with socket.create_server(address), pytest.raises(CannotListen, match=str(address[1])):
        standing.serve_http()
    standing.log.close()
