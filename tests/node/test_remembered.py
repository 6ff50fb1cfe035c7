"""Every way into a participant leaves an event, or a table says why not."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from tests.node.market_stage import BUYER, Market, person

from hdex.ledger.event import Action, Decision
from hdex.node.authz import METHODS
from hdex.node.compose.standing import Standing
from hdex.node.recorder import Recorder
from hdex.node.remembered import AT_GATE, ROUTES, SILENT, VERBS
from hdex.node.wire.interceptors import Access
from hdex.proto.v1 import (
    access_pb2,
    common_pb2,
    exchange_pb2,
    hospital_pb2,
    keyholder_pb2,
    ledger_pb2,
    settlement_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
MODULES = (access_pb2, common_pb2, exchange_pb2, hospital_pb2, keyholder_pb2, ledger_pb2, settlement_pb2)
PROTOS: list[FileDescriptor] = [module.DESCRIPTOR for module in MODULES]
ROUTERS = {"get", "post", "put", "delete", "head", "route", "Route", "HttpRoute", "mount", "Mount"}
ROUTERS |= {"_route", "add_page", "add_route", "add_api_route", "api_route", "websocket"}
RECORDS = ("_recorder.allow", "_recorder.deny", "_recorder.release")
SERVER = re.compile(r"^(from|import) (fastapi|starlette\.(applications|routing)|http\.server)\b", re.MULTILINE)


def described() -> set[str]:
    """Return every method of every descriptor, as the policies name it."""
    services = [service for file in PROTOS for service in file.services_by_name.values()]
    return {f"{service.name}.{method.name}" for service in services for method in service.methods}


def test_every_proto_is_walked() -> None:
    folder = ROOT / "proto" / "hdex" / "proto" / "v1"
    assert {path.name for path in folder.glob("*.proto")} == {Path(file.name).name for file in PROTOS}


def test_every_method_leaves_an_event_or_says_why_not() -> None:
    asked = described() | {action for action in METHODS.values() if action.startswith(("Health.", "ServerReflection."))}
    told = [*VERBS, *AT_GATE, *SILENT]
    assert sorted(told) == sorted(asked)  # each once
    assert all(len(reason) > 20 for reason in SILENT.values())


def recorded(module: str) -> set[str]:
    """Return the first arguments of what a module tells its recorder to write."""
    found = import_module(f"hdex.node.{module}").__file__
    assert found is not None
    calls = [node for node in ast.walk(ast.parse(Path(found).read_text("utf-8"))) if isinstance(node, ast.Call)]
    return {pattern(call.args[0]) for call in calls if ast.unparse(call.func).endswith(RECORDS) and call.args}


def pattern(text: ast.expr) -> str:
    """Return a string as written, "*" where something is put in."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in text.values)
    return "*"


@pytest.mark.parametrize("method", VERBS)
def test_the_module_of_each_verb_records_what_the_table_says(method: str) -> None:
    said = {one for module in VERBS[method].module.split() for one in recorded(module)}
    for action in VERBS[method].actions:
        assert any(re.fullmatch(one.replace(".", r"\.").replace("*", r"\w+"), action) for one in said), action


def servers() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the rooms that serves HTTP."""
    for room in ("node", "catalog", "ledger", "federated", "deid"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if SERVER.search(text):
                yield ".".join(path.relative_to(ROOT / room).with_suffix("").parts), ast.parse(text)


def routes(tree: ast.Module) -> set[str]:
    """Return the routes that a module declares; of a plain handler the methods it answers."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("do_"):
            found.add(node.name.removeprefix("do_"))
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ROUTERS:
            texts = [arg for arg in node.args if isinstance(arg, ast.JoinedStr | ast.Constant | ast.BoolOp)]
            found |= {text for arg in texts if (text := pattern(arg)).startswith(("/", "*"))}
    return found


def test_every_http_route_leaves_an_event_or_says_why_not() -> None:
    found = {module: routes(tree) for module, tree in servers()}
    assert {module: found_routes for module, found_routes in found.items() if found_routes} == {
        module: set(told) for module, told in ROUTES.items()
    }


def test_every_route_of_the_running_catalogue_is_one_of_the_table() -> None:
    from hdex.catalog.index import Catalogue
    from hdex.catalog.index_memory import MemoryIndex
    from hdex.catalog.web.app import create_app

    app = create_app(Catalogue(MemoryIndex()), contracts=list)
    known = [re.escape(route).replace(r"\*", ".*") for route in ROUTES["hdex.catalog.web.app"]]
    paths = [getattr(route, "path", "") for route in app.routes]
    assert len(paths) > 10
    assert [path for path in paths if not any(re.fullmatch(one, path) for one in known)] == []


class Gate:
    """The part of a participant's ground that hears from the gate."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder


@pytest.mark.parametrize(
    ("action", "allow", "written"),
    [
        ("ChannelService.Connect", True, Action.CHANNEL_OPEN),
        ("HospitalAdminService.ListRequests", True, Action.CONTRACT_READ),
        ("HospitalAdminService.Status", True, None),
        ("HospitalAdminService.Status", False, Action.CALL_REFUSE),
    ],
)
def test_the_gate_remembers_what_no_verb_does(tmp_path: Path, action: str, allow: bool, written: Action | None) -> None:
    market = Market(tmp_path)
    ground = market.grounds["hospital-a"]
    access = Access(f"/{action}", action, person(BUYER), allow, "rule", "", market.clock())
    Standing.remember(Gate(ground.recorder), access)  # type: ignore[arg-type]  # the one part it needs
    events = ground.events()
    assert [event.action for event in events] == ([] if written is None else [written])
    assert all(event.decision == (Decision.ALLOW if allow else Decision.DENY) for event in events)
