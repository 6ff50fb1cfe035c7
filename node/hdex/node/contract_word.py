"""A provider's own word about a contract, read by its consumer: life, term, what is used, what is due, each step.

Another organisation wrote it: what is not of this shape is refused whole, and nothing of it is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hdex.catalog.contract_life import LifeState
from hdex.catalog.quota import COUNTS, QuotaPeriod
from hdex.node.errors import RequestInvalid

NAMES = ("rounds", "deliveries", "queries", "rows", "bytes", "questions", "enclave_runs", "epsilon")
MOST_STEPS, LONGEST = 200, 4000  # a life has few steps; characters of a text
LARGEST = 10**18
STEP = ("arrow", "to", "by", "reason", "at")
Count = int | float


@dataclass(frozen=True, slots=True)
class Used:
    """One limit of a contract as its provider counts it from its log."""

    name: str
    agreed: Count
    used: Count

    @property
    def left(self) -> Count:
        return max(0, self.agreed - self.used)

    @property
    def share(self) -> int:
        """The share used in whole per cent, 100 at most."""
        return min(100, round(100 * self.used / self.agreed)) if self.agreed > 0 else 100


@dataclass(frozen=True, slots=True)
class LifeStep:
    """One step of a contract's life. by: a role of the provider, "consumer", or empty for the clock."""

    arrow: str
    to: str
    by: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """How a final contract stands. Times are RFC 3339; due and transfer are empty where there is none."""

    life: LifeState
    since: str
    expires: str
    due: str
    overdue: bool
    transfer: str
    limits: tuple[Used, ...]
    quota: tuple[Used, ...] = ()  # quota_NAME_PERIOD; older providers tell none
    steps: tuple[LifeStep, ...]


def read_word(said: Mapping[str, Any], contract_id: str) -> Word:
    """Return a provider's answer about this contract. Raises RequestInvalid where it is not one."""
    if said.get("contract") != contract_id or said.get("life") not in tuple(LifeState):
        raise wrong("it is not about this contract, or names no state of a life")
    return Word(
        life=LifeState(said["life"]),
        since=moment(said, "since"),
        expires=moment(said, "expires"),
        due=moment(said, "due"),
        overdue=said.get("overdue") is True,
        transfer=text(said, "transfer"),
        limits=limits(said),
        quota=quota(said),
        steps=steps(said),
    )


def limits(said: Mapping[str, Any]) -> tuple[Used, ...]:
    """Return every limit that is known by name, in one order. Raises RequestInvalid."""
    agreed, used = said.get("limits"), said.get("used")
    if not isinstance(agreed, dict) or not isinstance(used, dict):
        raise wrong("it does not say what is used of its limits")
    return tuple(Used(name, count(agreed[name]), count(used.get(name, 0))) for name in NAMES if name in agreed)


def quota(said: Mapping[str, Any]) -> tuple[Used, ...]:
    """Return the quota of the present period, by its counts in one order. Raises RequestInvalid."""
    told = said.get("quota", {})
    if not isinstance(told, dict):
        raise wrong("its quota is no table")
    if not told:
        return ()
    if told.get("period") not in tuple(QuotaPeriod):
        raise wrong(f"its quota is of a period of {', '.join(QuotaPeriod)}")
    found = limits({"limits": told.get("agreed"), "used": told.get("used")})
    return tuple(replace(one, name=f"quota_{one.name}_{told['period']}") for one in found if one.name in COUNTS)


def steps(said: Mapping[str, Any]) -> tuple[LifeStep, ...]:
    """Return the steps, oldest first. Raises RequestInvalid."""
    found = said.get("steps")
    if not isinstance(found, list) or len(found) > MOST_STEPS or not all(isinstance(one, dict) for one in found):
        raise wrong(f"its steps are a list of {MOST_STEPS} at most")
    for one in found:
        moment(one, "at")
    return tuple(LifeStep(*(text(one, name) for name in STEP)) for one in found)


def count(value: object) -> Count:
    """Return a count. Raises RequestInvalid."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        raise wrong(f"a count is a number from 0 to {LARGEST}")
    return value


def text(said: Mapping[str, Any], name: str) -> str:
    """Return a text. Raises RequestInvalid."""
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST:
        raise wrong(f"{name} is a text of {LONGEST} characters at most")
    return value


def moment(said: Mapping[str, Any], name: str) -> str:
    """Return a time as it is written, empty where there is none. Raises RequestInvalid."""
    value = text(said, name)
    try:
        is_time = not value or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        is_time = False
    if not is_time:
        raise wrong(f"{name} is no time")
    return value


def wrong(why: str) -> RequestInvalid:
    """Return the refusal of an answer."""
    return RequestInvalid(f"the provider's answer about the contract cannot be read: {why}")
