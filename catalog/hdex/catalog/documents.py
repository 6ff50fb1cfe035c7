"""Frozen dataclass <-> JSON document, strictly: unknown, missing and mistyped fields are errors.

Fields that are None are left out of the document, so one product has one canonical form (RFC 8785).
"""

import hashlib
import math
import types
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

import rfc8785

from hdex.catalog.errors import DocumentInvalid

Scalar = str | int | float | bool | None
Json = dict[str, object]
T = TypeVar("T")

MAX_INTEGER = 2**53 - 1  # RFC 8785 numbers are IEEE doubles


def to_document(value: object) -> object:
    """Return `value` as JSON values; a dataclass becomes an object without its None fields."""
    if is_dataclass(value) and not isinstance(value, type):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: to_document(held) for name, held in named if held is not None}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_document(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(held) for held in value]
    return value


def from_document(kind: type[T], document: object, where: str = "") -> T:
    """Return `document` as a `kind`. Raise DocumentInvalid naming the field that does not fit."""
    if not isinstance(document, Mapping):
        raise DocumentInvalid(f"{where or kind.__name__}: an object is asked, found {type(document).__name__}")
    shape = cast(Hashable, kind)  # mypy takes type[T] for unhashable
    known = _hints(shape)
    if unknown := sorted(str(key) for key in document if key not in known):
        raise DocumentInvalid(f"{where or kind.__name__}: unknown field {unknown[0][:40]!r}")
    if missing := sorted(_required(shape) - document.keys()):
        raise DocumentInvalid(f"{where or kind.__name__}: field {missing[0]!r} is missing")
    prefix = f"{where}." if where else ""
    return kind(**{name: _read(known[name], held, prefix + name) for name, held in document.items()})


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the RFC 8785 bytes of a document."""
    return rfc8785.dumps(dict(document))  # type: ignore[arg-type]  # JSON values, which its private type would spell out


def digest(document: Mapping[str, object]) -> str:
    """Return the SHA-256 of the canonical bytes, lower-case hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


@cache
def _hints(kind: Hashable) -> dict[str, object]:
    return get_type_hints(cast(type, kind))


@cache
def _required(kind: Hashable) -> frozenset[str]:
    known = fields(cast(type, kind))
    return frozenset(f.name for f in known if f.default is MISSING and f.default_factory is MISSING)


def _read(hint: object, value: object, where: str) -> object:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), value, where)
    if origin is tuple:
        return _read_list(get_args(hint)[0], value, where)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(get_args(hint)[1], value, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_document(hint, value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _read_enum(hint, value, where)
    return _read_scalar(hint, value, where)


def _read_union(options: tuple[object, ...], value: object, where: str) -> object:
    if value is None and type(None) in options:
        return None
    real = [option for option in options if option is not type(None)]
    if len(real) == 1:
        return _read(real[0], value, where)
    for option in real:
        if type(value) is option:
            return _read_scalar(option, value, where)
    raise DocumentInvalid(f"{where}: a plain value is asked, found {type(value).__name__}")


def _read_list(item: object, value: object, where: str) -> object:
    if not isinstance(value, list | tuple):
        raise DocumentInvalid(f"{where}: a list is asked, found {type(value).__name__}")
    return tuple(_read(item, held, f"{where}[{number}]") for number, held in enumerate(value))


def _read_mapping(item: object, value: object, where: str) -> object:
    if not isinstance(value, Mapping):
        raise DocumentInvalid(f"{where}: an object is asked, found {type(value).__name__}")
    return {str(key): _read(item, held, f"{where}.{str(key)[:40]}") for key, held in value.items()}


def _read_enum(hint: type[Enum], value: object, where: str) -> Enum:
    known = [str(member.value) for member in hint]
    if not isinstance(value, str) or value not in known:
        raise DocumentInvalid(f"{where}: one of {', '.join(known)} is asked")
    return hint(value)


def _read_scalar(hint: object, value: object, where: str) -> object:
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise DocumentInvalid(f"{where}: {getattr(hint, '__name__', hint)} is asked, found {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentInvalid(f"{where}: a finite number is asked")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise DocumentInvalid(f"{where}: an integer below 2**53 is asked")
    return value
