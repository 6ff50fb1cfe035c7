"""A study's question as a person writes it: TOML or JSON text -> the document that the exchange plans from."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from hdex.federated.errors import StudyInvalid

# What was not asked for stands here in full, so that a plan cannot slip it in.
UNSAID: Mapping[str, Any] = {
    "kind": "logistic",
    "target": "",
    "features": [],
    "standardize": "global",
    "l2": 0.0,
    "options": {},
    "levels": {},
    "secure": "paillier",
    "max_rounds": 12,
}
NEEDED = ("id", "purpose", "contracts")
OPTIONAL: Mapping[str, type] = {"deadline": str, "min_sites": int, "min_rows": int, "privacy": dict, "threshold": dict}


def read_question(text: str) -> dict[str, Any]:
    """Return the whole question, unsaid keys filled in.

    Raises StudyInvalid with the line of a syntax error, or the key that is unknown, missing or of another type.
    """
    document = _parsed(text)
    if unknown := sorted(set(document) - set(UNSAID) - set(NEEDED) - set(OPTIONAL)):
        raise StudyInvalid(f"unknown keys: {', '.join(unknown)}; known are {', '.join((*NEEDED, *UNSAID, *OPTIONAL))}")
    if missing := [name for name in NEEDED if name not in document]:
        raise StudyInvalid(f"missing keys: {', '.join(missing)}")
    question = {**UNSAID, **document}
    for name, value in question.items():
        if not isinstance(value, _TYPES[name]):
            raise StudyInvalid(f"key {name} has another type than it must have")
    return question


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "purpose": str,
    "contracts": dict,
    **OPTIONAL,
    **{name: (int, float) if isinstance(value, float) else type(value) for name, value in UNSAID.items()},
}


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        raise StudyInvalid(f"the study's file cannot be read: {error}") from error
    return dict(found)


def read_option(text: str) -> tuple[str, Any]:
    """Return (name, value) of `name=value`: a range `1..60`, JSON, or text as it is."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise StudyInvalid(f"option {text!r}; name=value is needed")
    first, dots, last = value.partition("..")
    if dots and first.isdigit() and last.isdigit():
        return name, list(range(int(first), int(last) + 1))
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def read_levels(text: str) -> tuple[str, tuple[str, ...]]:
    """Return (column, levels) of `column=a|b|c`, the reference first."""
    name, found, levels = text.partition("=")
    if not found or not name:
        raise StudyInvalid(f"levels {text!r}; column=level|level is needed, the reference first")
    return name, tuple(level.strip() for level in levels.split("|"))
