"""Which organisation may hold which data: hard rules as data, asked at vetting and before each contract. Pure."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.catalog.errors import TermsInvalid
from hdex.catalog.organisation import Breach, Organisation, day
from hdex.catalog.terms import Text

LONGEST_YEARS = 366 * 5


class Answer(StrEnum):
    """What a rule asks for."""

    REFUSE = "refuse"
    ASK = "ask"  # two persons of two roles decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a rule looks at beside the declaration. Without grade and level nothing is asked of data.

    home: the provider's country of storage; empty where nobody has said, then everywhere is abroad.
    """

    home: str
    on: date
    affiliate_revoked: bool = False
    national_grade: str = ""
    level: int = 0


@dataclass(frozen=True, slots=True)
class VettingRule:
    """One rule of the file."""

    name: str
    answer: Answer
    when: Mapping[str, Any]
    why: Text
    next: Text

    @property
    def is_about_data(self) -> bool:
        return bool(_OF_DATA & set(self.when))

    def applies(self, organisation: Organisation, around: Circumstances) -> bool:
        """Return whether everything the rule names holds."""
        return all(_FACTS[name](organisation, around, asked) for name, asked in self.when.items())


@dataclass(frozen=True, slots=True)
class VettingRules:
    """The file: how long a vetting holds, and the rules."""

    longest_days: int
    renew_within_days: int
    rules: tuple[VettingRule, ...]

    def of_organisation(self, organisation: Organisation, around: Circumstances) -> tuple[VettingRule, ...]:
        """Return the rules that apply whatever data is asked for; those that refuse first."""
        return _strictest([r for r in self.rules if not r.is_about_data and r.applies(organisation, around)])

    def of_contract(self, organisation: Organisation, around: Circumstances) -> tuple[VettingRule, ...]:
        """Return every rule that applies to this organisation and this data; those that refuse first."""
        return _strictest([rule for rule in self.rules if rule.applies(organisation, around)])


def _strictest(found: list[VettingRule]) -> tuple[VettingRule, ...]:
    return tuple(sorted(found, key=lambda rule: rule.answer is not Answer.REFUSE))


def _is_breached(organisation: Organisation, around: Circumstances, years: int) -> bool:
    return any(_within(around.on, one, years) for one in organisation.breaches)


def _is_concealed(organisation: Organisation, around: Circumstances, years: int) -> bool:
    return any(_within(around.on, one, years) for one in organisation.breaches if not one.notified)


def _within(today: date, breach: Breach, years: int) -> bool:
    return (today - day("breaches.date", breach.date)).days <= 366 * years


def _is_abroad(organisation: Organisation, around: Circumstances, asked: bool) -> bool:
    return any(place != around.home for place in organisation.storage_countries) is asked


_FACTS: Mapping[str, Callable[[Organisation, Circumstances, Any], bool]] = {
    "foreign_control": lambda who, _, asked: who.foreign_control is asked,
    "foreign_share_above": lambda who, _, percent: who.foreign_share_percent > percent,
    "storage_abroad": _is_abroad,
    "security_below": lambda who, _, grade: who.security_grade < grade,
    "breach_within_years": _is_breached,
    "breach_concealed_within_years": _is_concealed,
    "affiliate_revoked": lambda _, around, asked: around.affiliate_revoked is asked,
    "national_grade": lambda _, around, grade: around.national_grade == grade,
    "level_from": lambda _, around, level: around.level >= level,
}
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("foreign_control", "storage_abroad", "affiliate_revoked"), bool),
    **dict.fromkeys(("foreign_share_above", "security_below", "level_from"), int),
    **dict.fromkeys(("breach_within_years", "breach_concealed_within_years"), int),
    "national_grade": str,
}
_OF_DATA = frozenset({"national_grade", "level_from"})


def read_rules(text: str) -> VettingRules:
    """Return the rules in a TOML text. Raises TermsInvalid: an unknown word or a wrong type is an error."""
    try:
        table = tomllib.loads(text)
        terms = table.pop("terms")
        found = tuple(_rule(entry) for entry in table.pop("rule", []))
        days = {name: terms.pop(name) for name in ("longest_days", "renew_within_days")}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise TermsInvalid(f"the vetting rules cannot be read: {error}") from error
    if table or terms:
        raise TermsInvalid(f"the vetting rules have an unknown key: {min([*table, *terms])}")
    if any(type(value) is not int or not 0 < value <= LONGEST_YEARS for value in days.values()):
        raise TermsInvalid("longest_days and renew_within_days are days, above 0")
    if len({rule.name for rule in found}) != len(found):
        raise TermsInvalid("a vetting rule's name stands twice")
    return VettingRules(**days, rules=found)


def _rule(entry: Mapping[str, Any]) -> VettingRule:
    if set(entry) != {"name", "answer", "when", "why", "next"} or not entry["when"]:
        raise ValueError("a rule has name, answer, when, why and next")
    for name, asked in entry["when"].items():
        if type(asked) is not _KINDS.get(name):
            raise ValueError(f"{name} is not a fact that rules know, or its value has another type")
    return VettingRule(
        str(entry["name"]), Answer(entry["answer"]), entry["when"], Text(**entry["why"]), Text(**entry["next"])
    )


@cache
def default_rules() -> VettingRules:
    """Return the rules that ship."""
    return read_rules(files("hdex.catalog").joinpath("data/vetting.toml").read_text(encoding="utf-8"))
