"""The house keeps its rule: layout, budgets, words, fresh generated code. HOUSE: docs/house.md."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["node", "deid", "federated", "ledger", "catalog", "proto"]
FILE_LINES, BODY_LINES, MEDIAN_LINES, POSITIONAL = 400, 50, 10, 5
SHAPELESS = {"utils.py", "helpers.py", "common.py", "manager.py"}


def sources() -> list[Path]:
    """Return the hand-written Python files of the rooms and of the tests."""
    found = [path for room in [*ROOMS, "tests", "bench"] for path in (ROOT / room).rglob("*.py")]
    return sorted(path for path in found if "_pb2" not in path.name and "node_modules" not in path.parts)


def tracked_text() -> Iterator[tuple[Path, str]]:
    """Yield each tracked text file with its content."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in {".lock", ".woff2", ".png"} or not path.is_file():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@cache
def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of the body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_namespace_package_has_an_init_file() -> None:
    assert [str(path) for path in ROOT.glob("*/hdex/__init__.py")] == []


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_typed(room: str) -> None:
    assert (ROOT / room / "hdex" / room / "py.typed").exists()


def test_generated_code_is_fresh() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    run = subprocess.run([sys.executable, "proto/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr + run.stdout


def test_files_keep_their_budget() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert long == {}


def test_functions_keep_their_budget() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.name}": lines
        for path in sources()
        for function in functions(path)
        if (lines := body_lines(function)) > BODY_LINES
    }
    assert long == {}


def test_the_median_function_is_short() -> None:
    rooms = [path for path in sources() if path.relative_to(ROOT).parts[0] in ROOMS]
    assert statistics.median(body_lines(f) for path in rooms for f in functions(path)) <= MEDIAN_LINES


def test_functions_take_at_most_five_positional_parameters() -> None:
    wide = [
        f"{path.relative_to(ROOT)}:{function.name}"
        for path in sources()
        for function in functions(path)
        if len([a for a in function.args.posonlyargs + function.args.args if a.arg not in {"self", "cls"}]) > POSITIONAL
        and not is_command(function)
        and "tests" not in path.parts
    ]
    assert wide == []


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether typer or FastAPI calls this function: there every option is a parameter."""
    return any(re.search(r"command|callback|\.get\(|\.post\(", ast.unparse(d)) for d in function.decorator_list)


def test_no_module_is_named_for_having_no_name() -> None:
    assert [str(path) for path in sources() if path.name in SHAPELESS] == []


# The words are put together here so that this file does not hold them.
FORBIDDEN = [
    r"\banonym" + r"ous\b",
    r"\bcompl" + r"iant\b",
    r"\btamper" + r"-proof\b",
    r"\bsell(s|ing)? (your |the |patient )?da" + r"ta\b",
    r"\bdata own" + r"er\b",
    r"\bowner of da" + r"ta\b",
]


# a licence's own words; the field that every event of a Solidity ABI has
UNTOUCHED = {"LICENSE", "ExchangeLedger.json"}


def test_no_text_promises_what_nobody_can_promise() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for path, text in tracked_text()
        if path.name not in UNTOUCHED
        for pattern in FORBIDDEN
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert found == []


def test_no_file_names_a_package_index() -> None:
    hosts = re.compile(r"https?://[a-z0-9.-]*(py[p]i|python[h]osted|npm[j]s|deb[i]an)\.[a-z]+", re.IGNORECASE)
    listed = [*tracked_text(), *((ROOT / name, (ROOT / name).read_text()) for name in LOCKS)]
    assert [str(path) for path, text in listed if hosts.search(text)] == []


LOCKS = ["requirements.lock", "requirements-dev.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_hash(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    packages = [line for line in lines if re.match(r"^[a-z0-9]", line)]
    assert packages
    assert all(line.endswith("\\") for line in packages)


def test_the_lock_holds_every_declared_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = (ROOT / "requirements.lock").read_text()
    names = [re.split(r"[<>=\[]", name)[0] for name in declared]
    assert [name for name in names if f"\n{name}==" not in f"\n{locked}"] == []


HEAVY = {"polars", "numpy", "flwr", "web3", "eth", "presidio_analyzer", "spacy", "grpc", "phe", "fastapi", "cedarpy"}


def test_help_is_quick_because_it_imports_no_vendor() -> None:
    probe = "import sys; from hdex.node.cli.main import app; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())
