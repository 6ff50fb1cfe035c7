"""Finds in the source every refusal that a page can show: its rule, and what to do next, as templates.

A template is the sentence with `{}` where a value stands. Nothing is run: the source is read, and a name is followed to
the constant, the parameter's caller or the field that gives it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("node", "deid", "federated", "ledger", "catalog")
UNSHOWN = ("/cli/", "/demo/", "/synthetic/", "conformance.py", "openapi.py", "_pb2")  # no page shows what these refuse
STEP, RULE, HOLE = "next_step", "rule", "{}"


@dataclass(frozen=True, slots=True)
class Site:
    """One place that refuses. rules, steps: templates; empty where they come from elsewhere."""

    where: str
    rules: frozenset[str]
    steps: frozenset[str]


@dataclass(slots=True)
class Module:
    """One file, with what its names stand for."""

    path: Path
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # name -> the module it comes from
    functions: dict[ast.AST, ast.FunctionDef] = field(default_factory=dict)  # node -> the function around it

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
                ):
                    assert node.value is not None
                    self.constants.setdefault(name, node.value)
                case ast.ImportFrom(module=str(home)):
                    self.imports.update((one.asname or one.name, home) for one in node.names)
                case ast.FunctionDef():
                    for inner in ast.walk(node):
                        self.functions[inner] = node


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the rooms whose refusals can stand on a page."""
    paths = (path for room in ROOMS for path in sorted((ROOT / room / "hdex").rglob("*.py")))
    kept = (path for path in paths if not any(part in str(path) for part in UNSHOWN))
    return tuple(Module(path, ast.parse(path.read_text(encoding="utf-8"))) for path in kept)


@cache
def signatures() -> dict[str, tuple[str, ...]]:
    """Return the argument names of every class that holds a next step, by the class's name."""
    found: dict[str, tuple[str, ...]] = {}
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and STEP in (names := _arguments(node)):
                found[node.name] = names
    guard = tuple(
        RULE if name == "name" else name for name in found["Rule"]
    )  # a guard's name is the rule it is told by
    return found | {"KeyConflict": found["AccessDenied"], "Rule": guard, "_Rule": guard}


def _arguments(node: ast.ClassDef) -> tuple[str, ...]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return tuple(one.arg for one in (*inner.args.args[1:], *inner.args.kwonlyargs))
    return tuple(
        inner.target.id
        for inner in node.body
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)
    )


def sites() -> Iterator[Site]:
    """Yield every place that makes a refusal, or a fact with a next step."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call | ast.Dict) and (told := _told(node)):
                said = {name: frozenset(_said(told.get(name), module)) - {""} for name in (RULE, STEP)}
                yield Site(f"{module.path.relative_to(ROOT)}:{node.lineno}", said[RULE], said[STEP])


def _told(node: ast.Call | ast.Dict) -> dict[str, ast.expr | None]:
    """Return what a call or a dictionary gives for rule and next step; nothing where it gives neither."""
    if isinstance(node, ast.Dict):
        given = {
            key.value: value for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)
        }
        return {RULE: given.get(RULE), STEP: given[STEP]} if STEP in given else {}
    names = signatures().get(_called(node), ())
    if not names and all(one.arg != STEP for one in node.keywords):
        return {}
    return {name: _argument(node, names, name) for name in (RULE, STEP)}


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _argument(node: ast.Call, names: tuple[str, ...], name: str) -> ast.expr | None:
    by_name = next((one.value for one in node.keywords if one.arg == name), None)
    at = names.index(name) if name in names else len(node.args)
    return by_name if by_name is not None or at >= len(node.args) else node.args[at]


def _said(node: ast.expr | None, module: Module, depth: int = 0) -> Iterator[str]:
    """Yield the sentences an expression can stand for."""
    if node is None or depth > 6:
        return
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            yield from ("".join(parts) for parts in product(*(_parts(one, module) for one in node.values)))
        case ast.IfExp(body=first, orelse=second) | ast.BoolOp(values=[first, second]):
            yield from _said(first, module, depth + 1)
            yield from _said(second, module, depth + 1)
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            for head in _said(left, module, depth + 1):
                yield from (head + tail for tail in _said(right, module, depth + 1))
        case ast.Dict(values=values) | ast.Tuple(elts=values):
            for value in values:
                yield from _said(value, module, depth + 1)
        case (
            ast.Subscript(value=ast.Name() as held) | ast.Call(func=ast.Attribute(value=ast.Name() as held, attr="get"))
        ):
            yield from _said(held, module, depth + 1)
        case ast.Name(id=name):
            yield from _named(name, node, module, depth)


def _parts(node: ast.expr, module: Module) -> list[str]:
    """Return what one part of a formatted string can be: its words, or a hole."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    assert isinstance(node, ast.FormattedValue)
    if isinstance(node.value, ast.IfExp) or (isinstance(node.value, ast.Name) and node.value.id.isupper()):
        return list(_said(node.value, module)) or [HOLE]
    return [HOLE]


def _named(name: str, node: ast.Name, module: Module, depth: int) -> Iterator[str]:
    around = module.functions.get(node)
    names = [one.arg for one in (*around.args.args, *around.args.kwonlyargs)] if around else []
    if around is None or name not in names:
        yield from _said(module.constants.get(name), module, depth + 1)
        if (home := _home(name, module)) is not None and name not in module.constants:
            yield from _said(home.constants.get(name), home, depth + 1)
        return
    plain = tuple(one for one in names if one != "self")
    for call in ast.walk(module.tree):
        if isinstance(call, ast.Call) and _called(call) == around.name:
            yield from _said(_argument(call, plain, name), module, depth + 1)


def _home(name: str, module: Module) -> Module | None:
    """Return the module that a name is imported from, if it is one of the rooms'."""
    wanted = module.imports.get(name, "").replace(".", "/")
    return next((one for one in modules() if wanted and str(one.path).endswith(f"{wanted}.py")), None)
