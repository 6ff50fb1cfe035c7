"""The OpenAPI document is what the door does: fresh, whole, valid, and held against the real door by schemathesis."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.node.api_hospital_stage import served_hospital
from tests.node.api_stage import BUYER, Stage, served
from tests.node.market_stage import BUYER as CONSUMER

from hdex.node.authz import METHODS
from hdex.node.remembered import AT_GATE, SILENT, VERBS
from hdex.node.wire.api_app import KEY_HEADER
from hdex.node.wire.api_json import HEX_FIELDS, JSON_FIELDS, query_fields
from hdex.node.wire.api_routes import HOSPITAL, PREFIX, PROTOS, ROUTES, Route
from hdex.node.wire.openapi import KEY_HEADER as DECLARED
from hdex.node.wire.openapi import openapi

ROOT = Path(__file__).resolve().parents[2]
# of each operation, and of each way to be wrong
EXAMPLES = (
    dict.fromkeys(("exchange", "hospital"), 200) if os.environ.get("HDEX_SOAK") else {"exchange": 4, "hospital": 2}
)


def test_the_committed_documents_are_what_the_doors_serve() -> None:
    run = subprocess.run([sys.executable, "docs/openapi.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_every_address_is_a_call_that_the_policies_know_and_leaves_its_event() -> None:
    for kind, routes in ROUTES.items():
        assert len({(route.method, route.path) for route in routes}) == len(routes), kind
        for route in routes:
            action = METHODS[route.full_name]
            assert action in {*VERBS, *AT_GATE, *SILENT}
            names = set(route.request().DESCRIPTOR.fields_by_name)
            assert {*route.path_fields} <= names
            assert route.body in {"", "*", *names}


ETHICS_PAPER = "AccessRequestService/GetAccessDocument"
# Not by REST: the work of a hospital's own people, and what machines of the consortium alone say to each other.
OVER_GRPC_ONLY = ("HospitalAdminService/", "BillingService/", "WitnessService/", ETHICS_PAPER)


def test_every_unary_call_of_another_organisation_has_an_address() -> None:
    served = {route.call for routes in ROUTES.values() for route in routes}
    calls = {
        f"{service.name}/{method.name}"
        for file in PROTOS
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    }
    assert {call for call in calls - served if not call.startswith(OVER_GRPC_ONLY)} == set()


def test_what_is_public_changes_nothing_and_is_what_the_pages_and_the_logs_show() -> None:
    public = {route.call for routes in ROUTES.values() for route in routes if route.public}
    assert public == {
        *(f"ExchangeService/{name}" for name in ("Find", "Show", "Render", "Precheck", "Quote", "Cohort")),
        *(f"LogService/{name}" for name in ("GetCheckpoint", "GetInclusionProof", "GetConsistencyProof")),
    }


def test_every_field_that_is_named_is_a_field_of_bytes() -> None:
    messages = {one.full_name: one for file in PROTOS for one in file.DESCRIPTOR.message_types_by_name.values()}
    from hdex.proto.v1 import common_pb2

    messages |= {one.full_name: one for one in common_pb2.DESCRIPTOR.message_types_by_name.values()}
    for name in {*JSON_FIELDS, *HEX_FIELDS}:
        message, _, field = name.rpartition(".")
        assert messages[message].fields_by_name[field].type == messages[message].fields_by_name[field].TYPE_BYTES


def test_operations_have_one_name_each_and_every_reference_leads_somewhere() -> None:
    for kind in ("exchange", "hospital", "region"):
        document = openapi(kind)
        operations = [one["operationId"] for path in document["paths"].values() for one in path.values()]
        assert len(operations) == len(set(operations)) == len(ROUTES[kind])
        schemas = document["components"]["schemas"]
        found = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
        assert {*found} <= {*schemas}
    assert DECLARED.lower() == KEY_HEADER


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stage]]:
    with (
        served(tmp_path_factory.mktemp("openapi")) as exchange,
        served_hospital(tmp_path_factory.mktemp("hospital")) as hospital,
    ):
        product = exchange.product
        assert product is not None
        exchange.market.contracts.request(exchange.market.request_paper(product), exchange.market.identity(CONSUMER))
        hospital.invoice("c-1")
        yield {"exchange": exchange, "hospital": hospital}


CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",  # the other way round has no check: no schema says which signature is good
    "unsupported_method",
    "allow_header_conformance",
}


# The offices and the logs are the same handlers at every door: they are held against it once.
HELD = [
    (kind, route)
    for kind in ("exchange", "hospital")
    for route in (ROUTES["exchange"] if kind == "exchange" else HOSPITAL)
]


@pytest.mark.parametrize(
    ("kind", "route"), HELD, ids=lambda one: one if isinstance(one, str) else f"{one.method} {one.path}"
)
def test_the_door_keeps_what_the_document_says(
    stages: dict[str, Stage], kind: str, route: Route, sessions: dict[str, Any]
) -> None:
    schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    schemathesis.checks.load_all_checks()
    checks = [one for one in schemathesis.checks.CHECKS.get_all() if one.__name__ in CHECKS]
    assert {one.__name__ for one in checks} == CHECKS
    operation = schemathesis.openapi.from_dict(openapi(kind))[PREFIX + route.path][route.method]
    http, session = stages[kind].http, sessions[kind]
    assert http is not None
    base, examples = f"https://localhost:{http.port}", EXAMPLES[kind]
    modes = [*schemathesis.GenerationMode][: 2 if has_inputs(route) else 1]  # positive, negative
    for mode in modes:

        @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
        @given(operation.as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            case.call_and_validate(base_url=base, session=session, checks=checks, verify=session.verify)

        holds()


def has_inputs(route: Route) -> bool:
    """Return whether a request can be wrong in more than its path: a path that is wrong is another address."""
    return bool(route.body or set(query_fields(route.request())) - set(route.path_fields))


@pytest.fixture(scope="module")
def sessions(stages: dict[str, Stage]) -> Iterator[dict[str, Any]]:
    """Yield an HTTP session with a buyer's certificate for each participant."""
    import requests

    with ExitStack() as opened:
        made = {kind: opened.enter_context(requests.Session()) for kind in stages}
        for kind, stage in stages.items():
            tls, folder = stage.tls(BUYER), stage.folder
            (folder / "buyer.pem").write_bytes(tls.certificate + tls.private_key)
            made[kind].cert = str(folder / "buyer.pem")
            made[kind].verify = str(folder / stage.participant / "ca.pem")
        yield made
