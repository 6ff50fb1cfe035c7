"""What a policy does with every column: pure decisions, nothing is touched here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files

import polars as pl

from hdex.deid.columns import ColumnProfile, Role
from hdex.deid.errors import ArgumentInvalid, InputInvalid, PolicyInvalid, ReleaseRefused
from hdex.deid.policy import Dates, FreeText, Policy
from hdex.deid.scheme import hint

MONTH_TEXT = r"^\d{4}-\d{2}$"
DAY_TEXT = r"^\d{4}-\d{2}-\d{2}$"
FILE_LEVELS = (1, 2, 3)  # levels that may leave as rows


class Action(StrEnum):
    """What becomes of one column."""

    PSEUDONYMISE = "pseudonymise"
    REMOVE = "remove"
    SHIFT = "shift"  # dates, by the patient's secret offset
    COARSEN = "coarsen"  # dates, shifted and told no finer than a step
    GENERALISE = "generalise"  # quasi-identifiers, by the lattice
    REDACT = "redact"
    ROUND = "round"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Treatment:
    """One column, what it is and what becomes of it."""

    profile: ColumnProfile
    action: Action

    @property
    def name(self) -> str:
        """The column's name."""
        return self.profile.name

    @property
    def is_age(self) -> bool:
        """Whether values from the policy's age cap on are one group."""
        return self.profile.element == "age" or self.name.lower() in {"age", "age_years", "年龄"}


def treatments(
    frame: pl.DataFrame, profiles: Sequence[ColumnProfile], policy: Policy, *, patient: str, quasi: Sequence[str] | None
) -> list[Treatment]:
    """One treatment per column of `frame`, in its order. quasi: None means every column of role quasi.

    Raises InputInvalid for a column without a profile (nothing unreviewed is released) and ArgumentInvalid for a
    quasi-identifier that would neither be generalised nor moved by the secret shift.
    """
    known = {profile.name: profile for profile in profiles}
    unclassified = sorted(set(frame.columns) - set(known))
    if unclassified:
        raise InputInvalid(f"{len(unclassified)} columns are not classified: {', '.join(unclassified)}")
    chosen = [p.name for p in profiles if p.role is Role.QUASI] if quasi is None else list(quasi)
    require_quasi(frame, known, chosen, patient)
    return [
        Treatment(known[c], action(frame[c], known[c], policy, patient=patient, quasi=chosen)) for c in frame.columns
    ]


def with_shadows(
    frame: pl.DataFrame, profiles: Sequence[ColumnProfile], quasi: Sequence[str] | None
) -> tuple[list[ColumnProfile], list[str]]:
    """Profiles and quasi-identifiers with every column that a quasi-identifier determines made one itself.

    A flag `male` tells what a generalised `sex` hides, a maker what the model hides: kept as they are, they undo k.
    """
    chosen = [p.name for p in profiles if p.role is Role.QUASI] if quasi is None else list(quasi)
    named = [one for one in chosen if one in frame.columns]
    found: dict[str, str] = {}
    for profile in profiles:
        is_plain = profile.role in (Role.SENSITIVE, Role.OTHER) and profile.level in FILE_LEVELS
        if not is_plain or profile.name not in frame.columns or is_date(frame[profile.name]):
            continue
        determining = next((one for one in named if determines(frame, one, profile.name)), None)
        if determining is not None:
            found[profile.name] = determining
    told = [
        replace(p, role=Role.QUASI, evidence=(*p.evidence, f"determined by {found[p.name]}")) if p.name in found else p
        for p in profiles
    ]
    return told, [name for name in frame.columns if name in chosen or name in found]


def determines(frame: pl.DataFrame, quasi: str, other: str) -> bool:
    """Whether every value of `quasi` goes with one value of `other`, over enough rows each to be no accident."""
    values = frame[quasi].n_unique()
    if frame[other].n_unique() < 2 or values * 5 > frame.height:
        return False
    return frame.select(quasi, other).n_unique() == values


def require_quasi(frame: pl.DataFrame, known: dict[str, ColumnProfile], chosen: Sequence[str], patient: str) -> None:
    """Raise ArgumentInvalid when the chosen quasi-identifiers leave one out that no date shift covers."""
    missing = sorted(set(chosen) - set(frame.columns))
    if missing or patient in chosen:
        raise ArgumentInvalid(f"quasi-identifiers {', '.join(missing or [patient])} cannot be generalised here")
    left = [c for c in frame.columns if known[c].role is Role.QUASI and c not in chosen and not is_date(frame[c])]
    if left and set(left) - {patient}:
        raise ArgumentInvalid(f"columns {', '.join(left)} are quasi-identifiers; only dates may be left to the shift")


def action(values: pl.Series, profile: ColumnProfile, policy: Policy, *, patient: str, quasi: Sequence[str]) -> Action:
    """What the policy does with one column of a file release."""
    if profile.name == patient:
        return Action.PSEUDONYMISE if policy.pseudonyms else Action.REMOVE
    if profile.role is Role.DIRECT:
        return Action.REMOVE
    if profile.name in quasi:
        return Action.GENERALISE
    if profile.role is Role.FREE_TEXT:
        return Action.REDACT if policy.free_text is FreeText.REDACT else Action.REMOVE
    if is_date(values):
        return date_action(values, policy)
    if profile.level not in FILE_LEVELS:
        return Action.REMOVE
    return Action.ROUND if profile.name in policy.round_digits else Action.KEEP


def date_action(values: pl.Series, policy: Policy) -> Action:
    """A month written as text has no day to shift: it is told as a month of the shifted date."""
    if policy.dates is Dates.DROP:
        return Action.REMOVE
    return Action.SHIFT if policy.dates is Dates.SHIFT and values.dtype != pl.String else Action.COARSEN


def is_date(values: pl.Series) -> bool:
    """Whether a column holds dates: by type, or text that is ISO dates throughout."""
    if values.dtype in (pl.Date, pl.Datetime):
        return True
    return values.dtype == pl.String and (is_text(values, MONTH_TEXT) or is_text(values, DAY_TEXT))


def is_text(values: pl.Series, pattern: str) -> bool:
    """Whether every value that is there fits `pattern`, and one is."""
    present = values.drop_nulls()
    return len(present) > 0 and bool(present.str.contains(pattern).all())


@cache
def worth(study: str = "") -> dict[str, float]:
    """What the detail of an element is worth, from the data file: to any study, or to the one of that name.

    Raises PolicyInvalid for a key that is neither `worth` nor `study`, and for a worth that is no number above 0.
    """
    table = tomllib.loads(files("hdex.deid").joinpath("data/worth.toml").read_text("utf-8"))
    if wrong := sorted(set(table) - {"worth", "study"}):
        raise PolicyInvalid(f"worth.toml has the unknown key {wrong[0]}; {hint(wrong[0], ['worth', 'study'])}")
    chosen = table["study"].get(study, {}) if study else table["worth"]
    if any(isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 for value in chosen.values()):
        raise PolicyInvalid("worth.toml holds a worth that is no number above 0")
    return {str(element): float(value) for element, value in chosen.items()}


def study_weights(profiles: Sequence[ColumnProfile], study: str) -> dict[str, float]:
    """Return what a study (the view of a data set) asks more or less of than the house: column -> worth.

    Keys of worth.toml are elements or names of columns, a column's own name first. Empty for a study not listed there:
    then data/worth.toml's general table decides. Hand the answer to `deidentify(weights=...)`.
    """
    asked = worth(study) if study else {}
    found = {p.name: asked.get(p.name, asked.get(p.element or "", 0.0)) for p in profiles}
    return {name: value for name, value in found.items() if value}


def weights(plan: Sequence[Treatment], given: Mapping[str, float] | None) -> dict[str, float]:
    """Weight of every generalised column: the caller's, else what its element is worth, else 1."""
    chosen = given or {}
    generalised = [one for one in plan if one.action is Action.GENERALISE]
    return {one.name: chosen.get(one.name, worth().get(one.profile.element or "", 1.0)) for one in generalised}


def typed_dates(frame: pl.DataFrame) -> pl.DataFrame:
    """Text that is ISO days throughout becomes dates, so that no day slips by as text."""
    days = [c for c in frame.columns if frame[c].dtype == pl.String and is_text(frame[c], DAY_TEXT)]
    try:
        return frame.with_columns(pl.col(days).str.to_date("%Y-%m-%d"))
    except pl.exceptions.PolarsError as error:
        raise InputInvalid(f"columns {', '.join(days)} look like dates, but not every value is one") from error


def federated_actions(frame: pl.DataFrame, profiles: Sequence[ColumnProfile], patient: str) -> list[Treatment]:
    """Treatments of a level-5 data set: features for encrypted sums inside the node, nothing that leaves as rows."""
    known = {profile.name: profile for profile in profiles}
    unclassified = sorted(set(frame.columns) - set(known))
    if unclassified:
        raise ReleaseRefused(f"{len(unclassified)} columns of a level 5 data set are not classified")

    def one(column: str) -> Action:
        if column == patient:
            return Action.PSEUDONYMISE
        if known[column].role in (Role.DIRECT, Role.FREE_TEXT):
            return Action.REMOVE
        return Action.SHIFT if frame[column].dtype in (pl.Date, pl.Datetime) else Action.KEEP

    return [Treatment(known[column], one(column)) for column in frame.columns]
