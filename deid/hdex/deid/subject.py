"""The input of a release, checked once, and what happens to its columns one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import polars as pl

from hdex.deid import hierarchy, pseudonym
from hdex.deid.columns import ColumnProfile, LevelDecision
from hdex.deid.errors import InputInvalid
from hdex.deid.policy import Policy
from hdex.deid.pseudonym import WEEK, Keys
from hdex.deid.resource_keys import patient_keys
from hdex.deid.treatment import Action, Treatment, is_date, typed_dates


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be released: checked input."""

    frame: pl.DataFrame
    policy: Policy
    patient: str
    decision: LevelDecision
    keys: Keys
    seed: int = field(repr=False)
    shift: pl.Series = field(repr=False)  # days, one per row


def admit(
    frame: pl.DataFrame,
    profiles: Sequence[ColumnProfile],
    policy: Policy,
    *,
    keys: Keys,
    patient: str,
    seed: int | bytes,
    decision: LevelDecision | None,
) -> Subject:
    """Check the input: rows, one per patient unless the policy is longitudinal, level and national grade known."""
    if patient not in frame.columns:
        raise InputInvalid(f"patient column {patient} is not in the table")
    if frame.height == 0:
        raise InputInvalid("the table has 0 rows")
    ids = frame[patient]
    if ids.null_count() or (ids.n_unique() != frame.height and not policy.longitudinal):
        raise InputInvalid(f"{frame.height} rows name {ids.drop_nulls().n_unique()} patients, asked is one row each")
    highest = max((p.level for p in profiles if p.name in frame.columns), default=4)
    known = decision or LevelDecision(highest, (f"level {highest}: the highest of its columns",), 2, min(highest, 2))
    if highest == 5 and known.level != 5:
        reasons = ("level 5: the highest of its columns", *known.reasons)
        known = replace(known, level=5, reasons=reasons, may_lower_to=5)
    known.require_product()
    number = seed if isinstance(seed, int) else int.from_bytes(sha256(seed).digest(), "big")
    step = WEEK if policy.keep_weekday else 1
    shift = pseudonym.shift_days(patient_keys(ids), keys.shift, policy.shift_days, step=step)
    return Subject(typed_dates(without_nan(frame)), policy, patient, known, keys, number, shift)


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """NaN as NULL: a missing number has one form."""
    return frame.with_columns(pl.col(c).fill_nan(None) for c in frame.columns if frame[c].dtype.is_float())


def treat(subject: Subject, plan: Sequence[Treatment]) -> pl.DataFrame:
    """Everything the lattice does not do: remove, pseudonymise, shift, cap, round."""
    columns = [treated_column(subject, one) for one in plan if one.action is not Action.REMOVE]
    return pl.DataFrame(columns)


def treated_column(subject: Subject, one: Treatment) -> pl.Series:
    """One column after its own treatment, before generalisation."""
    values, policy = subject.frame[one.name], subject.policy
    if one.action is Action.PSEUDONYMISE:
        return pseudonym.pseudonyms(patient_keys(values), subject.keys.pseudonym)
    if one.action is Action.ROUND:
        return values.cast(pl.Float64).round(policy.round_digits[one.name]).alias(one.name)
    if is_date(values):
        return moved(values, subject.shift)
    if one.is_age and values.dtype.is_numeric():
        return pseudonym.cap_age(values, policy.age_cap)
    return values


def moved(values: pl.Series, shift: pl.Series) -> pl.Series:
    """Dates by the patient's shift; a month written as text counts as its 15th and stays a month."""
    if values.dtype != pl.String:
        return pseudonym.shift_dates(values, shift)
    middle = hierarchy.as_dates(values).dt.offset_by("14d")
    return pseudonym.shift_dates(middle.alias(values.name), shift).dt.strftime("%Y-%m")
