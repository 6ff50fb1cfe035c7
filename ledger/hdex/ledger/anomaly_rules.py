"""The thresholds of anomalies, from TOML."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.ledger.errors import LedgerError


class RulesInvalid(LedgerError):
    """A file of thresholds lacks a key, has an unknown one, or holds a value that makes no sense."""


@dataclass(frozen=True, slots=True)
class RateRule:
    """How far a count may be above what is expected, in standard deviations."""

    z: float
    smoothing: float
    prior: float

    def __post_init__(self) -> None:
        if not (self.z > 0 and 0 < self.smoothing <= 1 and self.prior > 0):
            raise RulesInvalid("a rate has z and prior above 0 and a smoothing of 0 to 1")


@dataclass(frozen=True, slots=True)
class OffHoursRule:
    """Hours of the day [first, last) and days of the week (1 is Monday) in which people work."""

    first_hour: int
    last_hour: int
    weekdays: tuple[int, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeniedRule:
    """So many refusals, and how soon after the first of them a release is suspicious."""

    denials: int
    within_s: float


@dataclass(frozen=True, slots=True)
class BreadthRule:
    """Different products that one actor may touch in a day."""

    products: int


@dataclass(frozen=True, slots=True)
class SizeRule:
    """Rows of one release: so many times the usual and at least so many, or always too many."""

    times: float
    at_least: int
    always: int


@dataclass(frozen=True, slots=True)
class Rules:
    """All thresholds."""

    utc_offset_minutes: int
    learn_days: float
    quiet_s: float
    rate: RateRule
    denials: RateRule
    off_hours: OffHoursRule
    denied_then_allowed: DeniedRule
    breadth: BreadthRule
    export_size: SizeRule


_PARTS: dict[str, Any] = {
    "rate": RateRule,
    "denials": RateRule,
    "off_hours": OffHoursRule,
    "denied_then_allowed": DeniedRule,
    "breadth": BreadthRule,
    "export_size": SizeRule,
}


@cache
def default_rules() -> Rules:
    """Return the thresholds that come with the ledger."""
    return rules_from_text(files("hdex.ledger").joinpath("anomaly.toml").read_text(encoding="utf-8"))


def rules_from_text(text: str) -> Rules:
    """Return the thresholds of a TOML text. Raises RulesInvalid when a key is missing or unknown."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesInvalid("the thresholds are not TOML") from error
    _require_keys(Rules, found)
    return Rules(**{name: _part(_PARTS[name], value) if name in _PARTS else value for name, value in found.items()})


def _part(kind: Any, found: object) -> Any:
    if not isinstance(found, dict):
        raise RulesInvalid("a threshold's rule is not a table")
    _require_keys(kind, found)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})


def _require_keys(kind: Any, found: dict[str, Any]) -> None:
    asked = {entry.name for entry in fields(kind)}
    if found.keys() != asked:
        wrong = sorted(found.keys() ^ asked)
        raise RulesInvalid(f"the thresholds lack a key or have an unknown one: {wrong[0]}")
