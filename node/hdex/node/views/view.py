"""An analysis view: one row per patient, declared as TOML; what it asks, in which unit, and whom it includes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from hdex.node.harmonize.model import MODEL
from hdex.node.sources.errors import ViewInvalid

FORMAT = "hdex-view/1"
KINDS = ("person", "flag", "age", "condition", "drug", "measurement", "device", "visit_count", "last_visit", "note")
TOP = {"format", "id", "version", "title", "description", "keywords", "inclusion", "codes", "anchor", "min_age"}
TOP |= {"require", "complete", "study", "column"}


@dataclass(frozen=True, slots=True)
class Codes:
    """Which codes are meant: whole ones, and beginnings of ones (ICD-10 I10, ATC C10AA)."""

    whole: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.whole or self.prefixes)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view."""

    name: str
    kind: str
    title: dict[str, str]  # language -> title
    datatype: str  # string, integer, number, date
    field: str = ""  # of person or device
    words: tuple[str, ...] = ()  # flag: words of the field that make 1
    codes: Codes = Codes()
    take: str = "last"  # measurement: first or last at or before the anchor
    after_days: int | None = None  # condition: only within so many days after the anchor; None: at or before it
    ever: bool = False  # condition, drug: whenever
    unit: str | None = None
    concept: str | None = None
    release: bool = True  # False: derived for studies inside the node, never part of a file


@dataclass(frozen=True, slots=True)
class View:
    """A declared analysis view."""

    id: str
    version: int
    title: dict[str, str]
    description: dict[str, str]
    keywords: tuple[str, ...]
    inclusion: tuple[str, ...]  # the criterion in words and codes: decides the level of the data set
    anchor: str  # "index" (the date given) or "device" (the first implantation)
    min_age: int | None
    require: Codes  # patients with one of these conditions
    complete: tuple[str, ...]  # columns that must not be missing
    target: str
    features: tuple[str, ...]
    columns: tuple[Column, ...]

    def released(self) -> list[str]:
        """Return the columns that may be part of a file, in order."""
        return [column.name for column in self.columns if column.release]

    def column(self, name: str) -> Column:
        """Return the column of that name. Raises ViewInvalid."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ViewInvalid(f"view {self.id} has no column {name}")


def load_view(name: str) -> View:
    """Return a view that ships with the product, by its id. Raises ViewInvalid when there is none."""
    if name not in view_names():
        raise ViewInvalid(f"no view {name!r} ships; there are {', '.join(view_names())}")
    return parse_view(resources.files("hdex.node.views").joinpath(f"{name}.toml").read_text(encoding="utf-8"))


@cache
def view_names() -> tuple[str, ...]:
    """Return the ids of the views that ship."""
    files = (entry.name for entry in resources.files("hdex.node.views").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def parse_view(text: str) -> View:
    """Return the view a TOML text declares. Unknown keys are errors (ViewInvalid)."""
    try:
        return _view(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ViewInvalid("the view is not a TOML document") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ViewInvalid(f"the view lacks a key or holds a wrong type: {error}") from error


def _view(document: Mapping[str, object]) -> View:
    _only(document, TOP, "the view")
    if document["format"] != FORMAT or document["anchor"] not in ("index", "device"):
        raise ViewInvalid(f"a view has format {FORMAT} and the anchor index or device")
    study = _table(document.get("study", {"target": "", "features": []}))
    minimum = document.get("min_age")
    view = View(
        id=str(document["id"]),
        version=int(str(document["version"])),
        title=_titles(document["title"]),
        description=_titles(document["description"]),
        keywords=_words(document.get("keywords", [])),
        inclusion=_words(document["inclusion"]),
        anchor=str(document["anchor"]),
        min_age=None if minimum is None else int(str(minimum)),
        require=_codes(_table(document.get("require", {}))),
        complete=_words(document.get("complete", [])),
        target=str(study["target"]),
        features=_words(study["features"]),
        columns=tuple(_column(_table(entry)) for entry in _list(document["column"])),
    )
    for name in (*view.complete, *view.features, *([view.target] if view.target else [])):
        view.column(name)
    return view


def _column(entry: Mapping[str, object]) -> Column:
    _only(entry, {*Column.__slots__, "prefixes"}, "a column")
    after = entry.get("after_days")
    column = Column(
        name=str(entry["name"]),
        kind=str(entry["kind"]),
        title=_titles(entry["title"]),
        datatype=str(entry["datatype"]),
        field=str(entry.get("field", "")),
        words=_words(entry.get("words", [])),
        codes=_codes(entry),
        take=str(entry.get("take", "last")),
        after_days=None if after is None else int(str(after)),
        ever=bool(entry.get("ever", False)),
        unit=None if "unit" not in entry else str(entry["unit"]),
        concept=None if "concept" not in entry else str(entry["concept"]),
        release=bool(entry.get("release", True)),
    )
    _check(column)
    return column


def _check(column: Column) -> None:
    if column.kind not in KINDS:
        raise ViewInvalid(f"column {column.name}: kind is one of {', '.join(KINDS)}")
    model = {"person": "person", "flag": "person", "device": "device"}.get(column.kind)
    if model and column.field not in {field.name for field in MODEL[model]}:
        raise ViewInvalid(f"column {column.name}: {model} has no such field")
    if column.kind in ("condition", "drug", "measurement") and not column.codes:
        raise ViewInvalid(f"column {column.name} names no codes")
    if column.take not in ("first", "last"):
        raise ViewInvalid(f"column {column.name}: take is first or last")


def _codes(entry: Mapping[str, object]) -> Codes:
    return Codes(_words(entry.get("codes", [])), _words(entry.get("prefixes", [])))


def _only(document: Mapping[str, object], known: set[str], place: str) -> None:
    if unknown := set(document) - known:
        raise ViewInvalid(f"{place} has unknown keys: {', '.join(sorted(unknown))}")


def _titles(value: object) -> dict[str, str]:
    return {str(language): str(text) for language, text in _table(value).items()}


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("a table was expected")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in _list(value))
