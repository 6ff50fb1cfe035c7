"""FHIR R4 NDJSON (or a Bundle) -> tables by the declared views of fhir_views.toml."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import polars as pl

from hdex.ledger.document import load
from hdex.node.sources import sniff
from hdex.node.sources.encoding import read_bytes, to_utf8
from hdex.node.sources.errors import SourceBroken, SourceUnknown
from hdex.node.sources.export import FILE, ROW, Dialect, Limits, Table

MAX_DEPTH = 256  # FHIR nests deep, a bomb deeper
Resource = dict[str, object]
Walk = Callable[[list[object]], list[object]]
Cell = Callable[[Resource, Resource], str | None]
STEP = re.compile(r"(?P<name>%?\w+)(?:\[(?P<filter>[^\]]*)\])?(?P<all>\+)?")
REFERENCE = re.compile(r"^(?:urn:(?:uuid|oid):|.*/)")


@dataclass(frozen=True, slots=True)
class View:
    """One declared view: which resources give which rows."""

    resource: str
    table: str
    columns: dict[str, Cell]
    for_each: str = ""
    yields_to: str = ""

    def rows(self, resource: Resource) -> Iterator[list[str | None]]:
        """Yield the rows this view takes from one resource."""
        elements = resource.get(self.for_each, []) if self.for_each else [resource]
        for element in elements if isinstance(elements, list) else []:
            row = [cell(element, resource) for cell in self.columns.values()]
            if not (self.yields_to and resource.get(self.yields_to) and self._no_value(row)):
                yield row

    def _no_value(self, row: list[str | None]) -> bool:
        return all(cell is None for name, cell in zip(self.columns, row, strict=True) if name.startswith("value"))


def read_fhir(path: Path, *, limits: Limits) -> tuple[list[Table], list[str]]:
    """Return the tables of one file and warnings about resources without a view.

    Raises SourceBroken at the first line that is no JSON object with a resourceType.
    """
    content, compression = read_bytes(path, limits)
    text, _ = to_utf8(content, path.name)
    rows: dict[str, list[list[object]]] = {}
    left: Counter[str] = Counter()
    for line, resource in resources_of(text, path.name):
        views = views_by_resource().get(str(resource["resourceType"]), ())
        left.update([] if views else [str(resource["resourceType"])])
        for view in views:
            rows.setdefault(view.table, []).extend([*row, line] for row in _checked(view, resource, path.name, line))
    tables = [_table(name, found, path.name, compression) for name, found in rows.items()]
    warnings = [f"{path.name}: no view takes {count} resources of type {kind}" for kind, count in left.items()]
    return tables, warnings


def _checked(view: View, resource: Resource, file: str, line: int) -> list[list[str | None]]:
    try:
        return list(view.rows(resource))
    except (TypeError, AttributeError, ValueError) as error:
        raise SourceBroken(file, line, f"the {view.resource} is not shaped as FHIR R4 says") from error


def resources_of(text: bytes, file: str) -> Iterator[tuple[int, Resource]]:
    """Yield (line, resource) of NDJSON, or the entries of one Bundle."""
    head = text[:4096].lstrip()
    if file.removesuffix(".gz").endswith(".json") or (head.startswith(b"{\n") and b'"Bundle"' in head):
        yield from _bundle(text, file)
        return
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            yield number, _resource(line, file, number)


def _resource(line: bytes, file: str, number: int) -> Resource:
    try:
        found = load(line, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise SourceBroken(file, number, "not a JSON document") from error
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        raise SourceBroken(file, number, "a JSON document without a resourceType")
    return found


def _bundle(text: bytes, file: str) -> Iterator[tuple[int, Resource]]:
    try:
        found = _resource(text, file, 1)
    except SourceBroken as error:
        cause = error.__cause__
        raise SourceBroken(file, cause.lineno if isinstance(cause, json.JSONDecodeError) else 1, error.why) from error
    if found["resourceType"] != "Bundle":
        yield 1, found
        return
    entries = found.get("entry", [])
    if not isinstance(entries, list):
        raise SourceBroken(file, 1, "the Bundle's entry is no list")
    for entry in entries:
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("resourceType"), str):
            raise SourceBroken(file, 1, "an entry of the Bundle holds no resource")
        yield 1, inner


def _table(name: str, rows: list[list[object]], file: str, compression: str) -> Table:
    columns = list(next(view for view in all_views() if view.table == name).columns)
    schema = dict.fromkeys(columns, pl.String()) | {ROW: pl.UInt32()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    patterns, _ = sniff.date_columns(frame.drop(ROW))
    dialect = Dialect(kind="fhir", compression=compression, dates=patterns)
    return Table(name, frame.with_columns(pl.lit(file).alias(FILE)), dialect, (file,))


@cache
def all_views() -> tuple[View, ...]:
    """Return the declared views, paths compiled."""
    text = resources.files("hdex.node.sources").joinpath("fhir_views.toml").read_text(encoding="utf-8")
    return tuple(
        View(
            resource=entry["resource"],
            table=entry["table"],
            columns={name: compile_path(path) for name, path in entry["columns"].items()},
            for_each=entry.get("for_each", ""),
            yields_to=entry.get("yields_to", ""),
        )
        for entry in tomllib.loads(text)["view"]
    )


@cache
def views_by_resource() -> dict[str, tuple[View, ...]]:
    """Return the views of each resource type."""
    kinds = {view.resource for view in all_views()}
    return {kind: tuple(view for view in all_views() if view.resource == kind) for kind in kinds}


def compile_path(path: str) -> Cell:
    """Return a function (element, resource) -> text for a path of fhir_views.toml."""
    choices = [_choice(choice.strip()) for choice in path.split(" | ")]

    def cell(element: Resource, resource: Resource) -> str | None:
        for from_resource, walk, reference, join in choices:
            found = walk([resource if from_resource else element])
            if found:
                return _text(found, reference=reference, join=join)
        return None

    return cell


def _choice(path: str) -> tuple[bool, Walk, bool, bool]:
    """Return (starts at the resource, walk, is a reference, joins all values)."""
    steps = list(STEP.finditer(path.removeprefix("%resource.")))
    if "".join(step[0] for step in steps) != path.removeprefix("%resource.").replace(".", "") and "[" not in path:
        raise SourceUnknown("a path of fhir_views.toml does not parse")
    walks = [_step(step["name"], step["filter"]) for step in steps]

    def walk(nodes: list[object]) -> list[object]:
        for one in walks:
            nodes = one(nodes)
        return nodes

    return path.startswith("%resource."), walk, path.endswith(".reference"), bool(steps[-1]["all"])


def _step(name: str, condition: str | None) -> Walk:
    keep = _condition(condition)

    def walk(nodes: list[object]) -> list[object]:
        found: list[object] = []
        for node in nodes:
            value = node.get(name) if isinstance(node, dict) else None
            found.extend(value if isinstance(value, list) else [] if value is None else [value])
        return keep(found)

    return walk


def _condition(text: str | None) -> Walk:
    if text is None:
        return lambda nodes: nodes
    path, mark, word = re.split(r"(=|~)", text, maxsplit=1)
    inner = [_step(name, None) for name in path.split(".")]

    def keep(nodes: list[object]) -> list[object]:
        return [node for node in nodes if any(_fits(value, mark, word) for value in _walked(inner, node))]

    return keep


def _walked(walks: list[Walk], node: object) -> list[object]:
    nodes = [node]
    for walk in walks:
        nodes = walk(nodes)
    return nodes


def _fits(value: object, mark: str, word: str) -> bool:
    return value == word if mark == "=" else isinstance(value, str) and value.endswith(word)


def _text(found: list[object], *, reference: bool, join: bool) -> str:
    values = [value if isinstance(value, str) else json.dumps(value) for value in (found if join else found[:1])]
    return " ".join(REFERENCE.sub("", value) if reference else value for value in values)
