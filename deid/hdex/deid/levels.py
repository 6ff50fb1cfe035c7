"""The level of a data set: the highest of its elements, its inclusion criterion and its uniqueness."""

from __future__ import annotations

from collections.abc import Sequence

from hdex.deid.codes import groups_named
from hdex.deid.columns import ColumnProfile, LevelDecision, Role
from hdex.deid.errors import InputInvalid
from hdex.deid.scheme import Scheme


def decide_level(
    profiles: Sequence[ColumnProfile],
    *,
    inclusion: Sequence[str],
    k_without_suppression: int | None,
    scheme: Scheme,
    minor_under_14: bool = False,
) -> LevelDecision:
    """Return the level with every reason that raised it, the highest first. Raises InputInvalid without columns."""
    if not profiles:
        raise InputInvalid("0 columns are classified, asked is at least 1")
    found = [
        *_by_elements(profiles, scheme),
        *_by_inclusion(inclusion, scheme),
        *_by_uniqueness(profiles, k_without_suppression, scheme),
        *_by_age(scheme, minor=minor_under_14),
    ]
    found.sort(key=lambda item: -item[0])
    level = found[0][0]
    return LevelDecision(
        level=level,
        reasons=tuple(f"level {number}: {why}" for number, why in found),
        grade=_grade(profiles, k_without_suppression, scheme),
        may_lower_to=min(level, scheme.of(level).lowers_to),
        minor_under_14=minor_under_14,
    )


def _by_elements(profiles: Sequence[ColumnProfile], scheme: Scheme) -> list[tuple[int, str]]:
    """One reason per level that has columns: their number and the first names."""
    reasons = []
    for level in sorted({p.level for p in profiles}, reverse=True):
        here = [p for p in profiles if p.level == level]
        columns = [f"{p.table}.{p.name}" if p.table else p.name for p in here]
        told = " ".join(text for p in here for text in p.evidence)
        groups = [group.en for group in scheme.group if group.level == level and f"{group.en}:" in told]
        holding = f", holding values of {', '.join(groups)}" if groups else ""
        more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
        reasons.append((level, f"{len(columns)} columns: {', '.join(columns[:5])}{more}{holding}"))
    return reasons


def _by_inclusion(inclusion: Sequence[str], scheme: Scheme) -> list[tuple[int, str]]:
    """A file of patients chosen by a severe condition needs no column that says so."""
    return [
        (group.level, f"the inclusion criterion names {group.en} (by {how})")
        for group, how in groups_named(inclusion, scheme)
    ]


def _by_uniqueness(profiles: Sequence[ColumnProfile], k: int | None, scheme: Scheme) -> list[tuple[int, str]]:
    direct = sum(p.role is Role.DIRECT for p in profiles)
    reasons = [(scheme.direct_level, f"{direct} columns identify directly")] if direct else []
    if k is not None and k < scheme.unique_k:
        reasons.append((scheme.unique_level, f"the smallest class has {k} patients, level 2 asks {scheme.unique_k}"))
    return reasons


def _by_age(scheme: Scheme, *, minor: bool) -> list[tuple[int, str]]:
    level = scheme.minor_level or scheme.direct_level
    return [(level, f"patients under {scheme.minor_age} are in it: a guardian consents")] if minor else []


def _grade(profiles: Sequence[ColumnProfile], k: int | None, scheme: Scheme) -> int:
    """Return the grade after GB/T 42460: 1 identifies directly, 2 with other data, 3 judged low, 4 aggregate."""
    roles = {p.role for p in profiles}
    if Role.DIRECT in roles or Role.FREE_TEXT in roles:
        return 1
    if not roles - {Role.OTHER} and max(p.level for p in profiles) <= 1:
        return 4
    if k is None and Role.QUASI in roles:
        return 2
    return 2 if k is not None and k < scheme.unique_k else 3
