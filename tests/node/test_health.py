"""Health and reflection at a real server: who may ask, what is told, and that reflection is off unless switched on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.node.api_stage import BUYER, Stage, served
from tests.node.wire_stage import DOMAIN, LIMITS, tls_of

from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.errors import RemoteRefused
from hdex.node.wire.client import channel
from hdex.node.wire.health import MOST_WATCHES, HealthServicer, reflection_adder
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.server import serve

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
CONTRACTS = "hdex.proto.v1.ContractService"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with served(tmp_path_factory.mktemp("health")) as made:
        yield made


@pytest.fixture
def line(stage: Stage) -> Iterator[grpc.Channel]:
    assert stage.serving is not None
    endpoint = f"127.0.0.1:{stage.serving.port}"
    with channel(endpoint, tls=stage.tls(BUYER), server="exchange", trust_domain=DOMAIN, stream_timeout_s=20) as opened:
        yield opened


def test_health_is_told_of_the_server_and_of_each_service(stage: Stage, line: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(line)
    asked = [stub.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("", CONTRACTS)]
    assert asked == [SERVING, SERVING]
    stage.up = False
    try:
        assert stub.Check(health_pb2.HealthCheckRequest()).status == NOT_SERVING
    finally:
        stage.up = True
    with pytest.raises(RemoteRefused) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="nothing.of.that.Name"))
    assert caught.value.status == "NOT_FOUND"


def test_a_watch_tells_changes_and_the_service_that_is_not_known(stage: Stage, line: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(line)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    stage.up = False
    try:
        assert next(watch).status == NOT_SERVING
    finally:
        stage.up = True
    watch.cancel()
    other = stub.Watch(health_pb2.HealthCheckRequest(service="nothing"))
    assert next(other).status == UNKNOWN
    other.cancel()


def test_only_so_many_watch_at_once() -> None:
    class Open:
        def is_active(self) -> bool:
            return True

    servicer, call = HealthServicer([], lambda: True), Open()
    watches: list[Any] = [servicer.Watch(health_pb2.HealthCheckRequest(), call) for _ in range(MOST_WATCHES + 1)]  # type: ignore[arg-type]  # all it needs
    for watch in watches[:-1]:
        assert next(watch).status == SERVING
    with pytest.raises(Exception, match="watch at most"):
        next(watches[-1])
    watches[0].close()
    assert next(servicer.Watch(health_pb2.HealthCheckRequest(), call)).status == SERVING  # type: ignore[arg-type]


def reflected(opened: grpc.Channel) -> list[str]:
    """Return the services that a server names by reflection."""
    reflection_pb2 = pytest.importorskip(
        "grpc_reflection.v1alpha.reflection_pb2", reason="grpcio-reflection is not installed"
    )
    ask: Any = opened.stream_stream(
        REFLECTION,
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    answer = next(ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
    return [one.name for one in answer.list_services_response.service]


def test_reflection_is_off_unless_it_is_switched_on(stage: Stage, line: grpc.Channel, tmp_path: Path) -> None:
    with pytest.raises(RemoteRefused) as caught:
        reflected(line)
    assert caught.value.status == "UNIMPLEMENTED"
    (tmp_path / "denied.txt").write_text("")
    door = Doorkeeper(
        kind="exchange", participant="exchange", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=stage.accesses.append, denied=pki.DenyList(tmp_path / "denied.txt"), clock=stage_clock, limits=LIMITS,
    )  # fmt: skip
    serving = serve(
        "127.0.0.1:0", [reflection_adder([CONTRACTS])], tls=tls_of(stage.authority, "exchange/exchange"), door=door
    )
    try:
        with channel(
            f"127.0.0.1:{serving.port}", tls=stage.tls(BUYER), server="exchange", trust_domain=DOMAIN,
            stream_timeout_s=20,
        ) as opened:  # fmt: skip
            assert CONTRACTS in reflected(opened)
    finally:
        serving.stop(0)


def stage_clock() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
