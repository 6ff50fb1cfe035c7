"""Where a participant serves its log and witness over HTTPS, and that it is off unless a port is named."""

import http.client
import json
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.node.consortium import consortium, exchange, hospital

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.web.app import create_app
from hdex.ledger.note import parse_checkpoint
from hdex.node.compose.checkup import api, check_up
from hdex.node.compose.standing import Config, Standing
from hdex.node.config import Listen
from hdex.node.demo.setting import TRUST_DOMAIN, Setting
from hdex.node.doctor import FAIL, OK, WARN
from hdex.node.errors import CannotListen
from hdex.node.identity import server_name
from hdex.node.wire.api_app import health_route
from hdex.node.wire.services_ledger import ledger_adders


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return consortium(tmp_path_factory.mktemp("consortium"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def checkpoint_of(standing: Standing, port: int, path: str = "/checkpoint") -> str:
    """Return what a participant shows at a port, under its own name and the consortium's CA."""
    context = ssl.create_default_context(cafile=str(standing.config.identity.ca))
    name = server_name(standing.config.id, TRUST_DOMAIN)
    connection = http.client.HTTPSConnection(name, port, timeout=20)
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sock = context.wrap_socket(raw, server_hostname=name)
    connection.request("GET", path)
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


def test_a_participant_answers_over_rest_at_the_port_that_is_named_for_it_and_at_no_other(
    setting: Setting, tmp_path: Path
) -> None:
    port = free_port()
    standing = opened(exchange(setting), tmp_path, Listen(api_port=port))
    ledger = ledger_adders(standing.witness, standing.logbook)
    serving = standing.serve_api(ledger, standing.door())
    assert serving is not None
    head = json.loads(checkpoint_of(standing, port, "/api/v1/log/checkpoint"))["checkpoint"]
    assert parse_checkpoint(head).origin.split("/")[1] == standing.config.id
    assert json.loads(checkpoint_of(standing, port, "/healthz")) == {"status": "SERVING"}
    own = (standing.config.listen, standing.config.identity, server_name(standing.config.id, TRUST_DOMAIN))
    assert [one.state for one in api(*own)] == [OK]
    assert [one.state for one in api(own[0], own[1], "hospital-a.hdex.test")] == [FAIL]
    standing.stop.set()
    assert [(one.state, "log" in one.mend) for one in api(*own)] == [(FAIL, True)]
    assert json.loads(checkpoint_of(standing, port, "/healthz")) == {"status": "NOT_SERVING"}
    serving.stop()
    assert [one.state for one in api(*own)] == [WARN]
    assert opened(exchange(setting), tmp_path, Listen()).serve_api(ledger, standing.door()) is None
    standing.log.close()


def test_a_doctor_looks_at_the_port_of_rest_where_one_is_named(setting: Setting) -> None:
    config, port = exchange(setting), free_port()
    named = replace(config, listen=replace(config.listen, api_port=port))
    found = [[one for one in check_up(each, "exchange") if "REST" in one.found] for each in (config, named)]
    assert [[(one.check, one.state) for one in findings] for findings in found] == [[], [("port", WARN)]]
    with socket.create_server(("127.0.0.1", port)):
        taken = [one for one in check_up(named, "exchange") if "REST" in one.found]
    assert [(one.state, "another process" in one.found) for one in taken] == [(FAIL, True)]


def test_whether_an_exchange_answers_is_asked_anew_at_its_pages() -> None:
    up = [True]
    app = create_app(Catalogue(MemoryIndex()))
    app.router.routes.append(health_route(lambda: up[0]))
    with TestClient(app) as client:
        seen = [client.get("/healthz").status_code]
        up[0] = False
        seen.append(client.get("/healthz").status_code)
        assert client.get("/").status_code == 200
    assert seen == [200, 503]


def test_a_taken_port_is_named(setting: Setting, tmp_path: Path) -> None:
    standing = opened(hospital(setting), tmp_path, Listen(http_port=free_port()))
    address = (standing.config.listen.host, standing.config.listen.http_port)
    with socket.create_server(address), pytest.raises(CannotListen, match=str(address[1])):
        standing.serve_http()
    standing.log.close()


def test_the_configuration_switches_reflection_and_no_default_does(setting: Setting, tmp_path: Path) -> None:
    config = exchange(setting)
    assert config.listen.reflection is False
    for switched in (False, True):
        standing = opened(config, tmp_path, replace(config.listen, reflection=switched))
        seen = _Seen()
        for add in standing.with_health([]):
            add(seen)  # type: ignore[arg-type]  # the part of a server that it needs
        assert ("grpc.reflection.v1alpha.ServerReflection" in seen.services) is switched
        assert "grpc.health.v1.Health" in seen.services
        standing.log.close()


class _Seen:
    """Takes services where a server takes them."""

    def __init__(self) -> None:
        self.services: list[str] = []

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Take no notice."""

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        self.services.append(service)
