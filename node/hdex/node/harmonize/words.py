"""The dictionaries: which words hospitals use for tables, fields, values, units and measured things."""

import re
import tomllib
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib import resources
from typing import Any

from hdex.node.harmonize.mapping import Conversion

ALIKE = 0.86
WORDS_OF_THEIR_OWN = {"country"}  # not a county spelled badly
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Words:
    """The dictionaries of harmonize/data, keys normalised."""

    tables: dict[str, str]  # word -> model table
    signature: dict[str, tuple[str, ...]]
    fields: dict[str, dict[str, tuple[str, ...]]]  # model table -> field -> words
    values: dict[str, dict[str, str]]  # closed field or "concept" -> word -> model's word
    units: dict[str, str]
    conversions: tuple[Conversion, ...]


@cache
def plain(word: str) -> str:
    """Return the word lower case without blanks and punctuation."""
    return NOT_WORD.sub("", word).lower()


@cache
def tokens(word: str) -> frozenset[str]:
    """Return the parts of a name such as `startDate`, `start_dt`."""
    return frozenset(part for part in NOT_WORD.split(CAMEL.sub(" ", word).lower()) if part)


@cache
def words() -> Words:
    """Return the dictionaries, read once."""
    fields, values, units = _read("fields.toml"), _read("values.toml"), _read("units.toml")
    rules: list[dict[str, Any]] = units.pop("convert")  # type: ignore[assignment]  # a list of tables in TOML
    link = fields.pop("link")
    tables, signature = fields.pop("tables"), fields.pop("signature")
    declared = {
        model: {name: _named(model, name, entry, link) for name, entry in (_links(model, link) | entries).items()}
        for model, entries in fields.items()
    }
    return Words(
        tables={plain(word): model for model, found in tables.items() for word in found},
        signature={model: tuple(found) for model, found in signature.items()},
        fields=declared,
        values={name: {w.lower(): to for to, found in table.items() for w in found} for name, table in values.items()},
        units={word.lower(): unit for unit, found in units["alias"].items() for word in found},
        conversions=tuple(
            Conversion(code, one["from"], one["to"], one["factor"], one.get("offset", 0.0))
            for one in rules
            for code in one["codes"]
        ),
    )


def _read(name: str) -> dict[str, dict[str, list[str]]]:
    text = resources.files("hdex.node.harmonize").joinpath("data", name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def _links(model: str, link: dict[str, list[str]]) -> dict[str, list[str]]:
    return {} if model == "person" else {name: [] for name in link if (model, name) != ("consent", "visit_id")}


def _named(model: str, name: str, entry: list[str], link: dict[str, list[str]]) -> tuple[str, ...]:
    own = entry or (link.get(name, []) if model != "person" else [])
    return (*own, name)


@cache
def name_score(column: str, known: tuple[str, ...]) -> tuple[float, str]:
    """Return (0 to 1, evidence) of how well a column's name fits the words of a field."""
    name, parts = plain(column), tokens(column)
    exact = [plain(word) for word in known]
    if name in exact:
        return 1.0 - 0.002 * exact.index(name), "the name stands in the dictionary"
    if any(tokens(word) <= parts for word in known if len(tokens(word)) > 1):
        return 0.85, "the name holds a phrase of the dictionary"
    han = [word for word in exact if not word.isascii() and len(word) >= 2 and word in name]
    if han:
        return 0.75, "the name holds a word of the dictionary"
    if len(name) >= 5 and name not in WORDS_OF_THEIR_OWN and any(is_alike(name, word) for word in exact):
        return 0.65, "the name is spelled almost as in the dictionary"
    return 0.0, ""


def is_alike(name: str, word: str) -> bool:
    """Return whether two words are spelled almost the same; the cheap bounds are asked before the true ratio."""
    matcher = SequenceMatcher(None, name, word)
    return matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
