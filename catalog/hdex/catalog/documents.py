"""Frozen dataclass <-> JSON document, strictly: unknown, missing and mistyped fields are errors.

Fields that are None are left out of the document, so one product has one canonical form (RFC 8785).
"""

import hashlib
import math
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hdex.catalog.canonical import canonical
from hdex.catalog.errors import DocumentInvalid

Scalar = str | int | float | bool | None
Json = dict[str, object]
T = TypeVar("T")
Reader = Callable[[object], object]

_PLAIN = frozenset({str, int, float, bool, type(None)})
MAX_INTEGER = 2**53 - 1  # RFC 8785 numbers are IEEE doubles


def to_document(value: object) -> object:
    """Return `value` as JSON values; a dataclass becomes an object without its None fields."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(cast(Hashable, kind))
    if names is not None:
        named = ((name, getattr(value, name)) for name in names)
        return {name: to_document(held) for name, held in named if held is not None}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_document(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(held) for held in value]
    return value


@cache
def _field_names(kind: Hashable) -> tuple[str, ...] | None:
    """Return the fields of a dataclass, None for any other type."""
    return tuple(field.name for field in fields(kind)) if isinstance(kind, type) and is_dataclass(kind) else None


def from_document(kind: type[T], document: object, where: str = "") -> T:
    """Return `document` as a `kind`. Raise DocumentInvalid naming the field that does not fit."""
    try:
        return cast(T, _reader(cast(Hashable, kind))(document))
    except _Misfit as misfit:
        raise DocumentInvalid(f"{_joined(where, misfit.where) or kind.__name__}: {misfit.problem}") from None


def digest(document: Mapping[str, object]) -> str:
    """Return the SHA-256 of the canonical bytes, lower-case hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


class _Misfit(Exception):
    """A value that does not fit; `where` is its path below whoever catches it."""

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


def _joined(where: str, below: str) -> str:
    return f"{where}{below}" if not where or not below or below.startswith("[") else f"{where}.{below}"


@cache
def _reader(hint: Hashable) -> Reader:
    """Return what reads a value of this type. Made once per type: a product has hundreds of values."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union_reader(get_args(hint))
    if origin is tuple:
        return _list_reader(get_args(hint)[0])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(get_args(hint)[1])
    if isinstance(hint, type) and is_dataclass(hint):
        return _object_reader(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_reader(hint)
    return _scalar_reader(hint)


def _object_reader(kind: type) -> Reader:
    own = [field for field in fields(kind) if field.init]
    required = frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING)
    readers = {name: _reader(cast(Hashable, hint)) for name, hint in get_type_hints(kind).items()}

    def read(document: object) -> object:
        if type(document) is not dict and not isinstance(document, Mapping):
            raise _Misfit(f"an object is asked, found {type(document).__name__}")
        values, name = {}, ""
        try:
            for name, held in document.items():
                values[name] = readers[name](held)
        except _Misfit as misfit:
            raise _Misfit(misfit.problem, _joined(name, misfit.where)) from None
        except KeyError:
            unknown = sorted(str(key) for key in document if key not in readers)
            raise _Misfit(f"unknown field {unknown[0][:40]!r}") from None
        if not required <= values.keys():
            raise _Misfit(f"field {min(required - values.keys())!r} is missing")
        return kind(**values)

    return read


def _union_reader(options: tuple[object, ...]) -> Reader:
    real = [option for option in options if option is not type(None)]
    readers = {option: _reader(option) for option in real}
    single = readers[real[0]] if len(real) == 1 else None
    optional = len(real) < len(options)

    def read(value: object) -> object:
        if value is None and optional:
            return None
        if single is not None:
            return single(value)
        if type(value) in readers:
            return readers[type(value)](value)
        raise _Misfit(f"a plain value is asked, found {type(value).__name__}")

    return read


def _list_reader(item: object) -> Reader:
    one = _reader(item)

    def read(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise _Misfit(f"a list is asked, found {type(value).__name__}")
        read_values: list[object] = []
        try:
            for held in value:
                read_values.append(one(held))  # how many were read tells which one does not fit
        except _Misfit as misfit:
            raise _Misfit(misfit.problem, _joined(f"[{len(read_values)}]", misfit.where)) from None
        return tuple(read_values)

    return read


def _mapping_reader(item: object) -> Reader:
    one = _reader(item)

    def read(value: object) -> object:
        if not isinstance(value, Mapping):
            raise _Misfit(f"an object is asked, found {type(value).__name__}")
        key, read_values = "", {}
        try:
            for key, held in value.items():
                read_values[str(key)] = one(held)
        except _Misfit as misfit:
            raise _Misfit(misfit.problem, _joined(str(key)[:40], misfit.where)) from None
        return read_values

    return read


def _enum_reader(hint: type[Enum]) -> Reader:
    known = {str(member.value): member for member in hint}

    def read(value: object) -> object:
        if not isinstance(value, str) or value not in known:
            raise _Misfit(f"one of {', '.join(known)} is asked")
        return known[value]

    return read


def _scalar_reader(hint: object) -> Reader:
    name = getattr(hint, "__name__", hint)

    def refuse(value: object) -> object:
        raise _Misfit(f"{name} is asked, found {type(value).__name__}")

    def read(value: object) -> object:
        return value if type(value) is hint else refuse(value)

    def read_integer(value: object) -> object:
        if type(value) is int and abs(value) > MAX_INTEGER:
            raise _Misfit("an integer below 2**53 is asked")
        return read(value)

    def read_float(value: object) -> object:
        held = float(value) if type(value) is int else value
        if isinstance(held, float) and not math.isfinite(held):
            raise _Misfit("a finite number is asked")
        return held if type(held) is float else refuse(held)

    readers: dict[object, Reader] = {int: read_integer, float: read_float}
    return readers.get(hint, read)
