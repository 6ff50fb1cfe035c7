"""How long the details of an event must be kept: terms per record class and regime, read from data.

Where several regimes apply the longest term counts, and for an action without a class the longest of all.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hdex.ledger.errors import RetentionInvalid
from hdex.ledger.event import Action


@dataclass(frozen=True, slots=True)
class Term:
    """The longest that some regime asks for a record class."""

    record_class: str
    regime: str
    months: int

    @property
    def rule(self) -> str:
        """The rule code a refusal names."""
        return f"retention.{self.record_class}.{self.regime}"

    def ends(self, moment: datetime) -> datetime:
        """Return the first moment at which a record of `moment` is past its term."""
        years, month = divmod(moment.month - 1 + self.months, 12)
        return _on(moment, moment.year + years, month + 1)


@dataclass(frozen=True, slots=True)
class Retention:
    """The class of every action and the term of every class."""

    classes: Mapping[Action, str]
    terms: Mapping[str, Term]

    def term(self, action: Action) -> Term:
        """Return the term of an action's class."""
        name = self.classes.get(action)
        return self.terms[name] if name is not None else max(self.terms.values(), key=lambda term: term.months)


def from_toml(text: str) -> Retention:
    """Return the retention in a TOML text. Raises RetentionInvalid unless every class in it has a term."""
    try:
        found = tomllib.loads(text)
        classes = _classes(found["class"])
        terms = {name: _longest(name, found["term"]) for name in set(classes.values())}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RetentionInvalid("the retention file lacks a part, or one is of another type") from error
    if set(found) != {"class", "term"}:
        raise RetentionInvalid("the retention file has a part that is neither class nor term")
    if not terms:
        raise RetentionInvalid("the retention file has no class")
    return Retention(MappingProxyType(classes), MappingProxyType(terms))


def load_retention(path: Path) -> Retention:
    """Return the retention of a node: its own file when there is one, else the shipped one."""
    return from_toml(path.read_text(encoding="utf-8")) if path.exists() else shipped()


@lru_cache
def shipped() -> Retention:
    """Return the retention that ships."""
    return from_toml(files("hdex.ledger").joinpath("retention.toml").read_text(encoding="utf-8"))


def _classes(listed: list[dict[str, Any]]) -> dict[Action, str]:
    classes: dict[Action, str] = {}
    for one in listed:
        for name in one["actions"]:
            if classes.setdefault(Action(name), str(one["name"])) != one["name"]:
                raise RetentionInvalid(f"{name} stands in two record classes")
    return classes


def _longest(name: str, listed: list[dict[str, Any]]) -> Term:
    terms = [Term(name, str(one["regime"]), int(one["months"][name])) for one in listed]
    if not terms or min(term.months for term in terms) < 1:
        raise RetentionInvalid(f"the record class {name} has no term, or one below a month")
    return max(terms, key=lambda term: term.months)


def _on(moment: datetime, year: int, month: int) -> datetime:
    """Return the moment in another month, on its last day where it has fewer."""
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    return moment.replace(year=year, month=month)
