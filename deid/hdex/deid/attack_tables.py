"""The whole red team on one release: every kind of attack that its columns allow, by one named attacker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from hdex.deid.attack_linkage import Attempt, Siege, attribute, each_target, linkage, worst
from hdex.deid.attack_membership import membership
from hdex.deid.attack_trajectory import trajectory
from hdex.deid.attackers import Known, Profile, known_columns
from hdex.deid.classify import classify_columns
from hdex.deid.columns import ColumnProfile, Role
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.hierarchy import Hierarchy

MOST_VALUES = 50  # a sensitive column of more values is not guessed but looked up
MOST_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Findings:
    """What one attacker reached on one release."""

    profile: Profile
    known: tuple[Known, ...]
    kinds: tuple[Attempt, ...]  # linkage first
    unread: tuple[str, ...] = ()  # known columns whose labels mean nothing without their hierarchy

    @property
    def is_within(self) -> bool:
        """Whether the release withstood every attack."""
        return all(one.is_within for one in self.kinds)

    def to_dict(self) -> dict[str, object]:
        """The stable keys of the command's answer."""
        first = self.kinds[0]
        facts = [fact for fact in self.profile.facts if known_columns(self.profile, self.columns, facts=[fact])]
        title = self.profile.told(facts or None)
        return {
            "as": self.profile.name,
            "title": title["en"],
            "title_zh": title["zh"],
            "known": list(self.columns),
            "targets": first.targets,
            "reidentified": first.succeeded,
            "rate": first.rate,
            "by_chance": first.by_chance,
            "bound": first.bound,
            "within_bound": self.is_within,
            "unread": list(self.unread),
            "kinds": [one.to_dict() for one in self.kinds],
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The known columns that were released."""
        return tuple(one.column for one in self.known)


def attack(
    original: pl.DataFrame,
    released: pl.DataFrame,
    profile: Profile,
    *,
    patient: str | None = None,
    k: int = 5,
    targets: int = 1000,
    seed: int = 0,
    outsiders: pl.DataFrame | None = None,
    ladders: Mapping[str, Hierarchy] | None = None,
    shift_days: int = 0,
    owners: Sequence[object] | None = None,
    columns: Sequence[ColumnProfile] | None = None,
) -> Findings:
    """Attack `released`, made from `original`, as `profile`; he knows the named columns of his targets.

    patient: column that names people in both (in `released` as pseudonyms, or not at all). k: smallest class that the
    release claims. outsiders: people like those of `original` who are not in the release: adds membership inference.
    ladders: hierarchies whose labels are group names; intervals, prefixes, dates and `*` are read without. shift_days:
    the widest secret shift, where it is known. owners: per released row whose it is, where that is known. columns:
    the profiles of `original` where it has been classified already.
    Raises ArgumentInvalid where the attacker knows no column of `original`.
    """
    profiles = classify_columns(original) if columns is None else columns
    elements = {one.name: one.element for one in profiles}
    known = tuple(one for one in known_columns(profile, original.columns, elements=elements) if one.column != patient)
    if not known:
        raise ArgumentInvalid(
            f"attacker {profile.name} knows none of the columns {', '.join(original.columns[:20])}; name them in a file"
        )
    siege = Siege.lay(
        original,
        released,
        known,
        patient=patient,
        k=k,
        targets=targets,
        seed=seed,
        ladders=ladders,
        shift_days=shift_days,
        owners=owners,
    )
    found = each_target(siege)
    sensitive = [one.name for one in profiles if one.role is Role.SENSITIVE]
    tried = [
        linkage(siege, found),
        trajectory(siege),
        worst([attribute(siege, name, found) for name in guessable(siege, sensitive)]),
        None if outsiders is None else membership(siege, outsiders),
    ]
    return Findings(
        profile, siege.known, tuple(one for one in tried if one is not None), tuple(siege.haystack().unread())
    )


def guessable(siege: Siege, sensitive: Sequence[str]) -> list[str]:
    """Sensitive columns the attacker does not know, that left as they were and hold few values."""
    known = {one.column for one in siege.known}
    shared = [name for name in sensitive if name in siege.released.columns and name not in known]
    few = [name for name in shared if 1 < siege.released[name].n_unique() <= MOST_VALUES]
    return few[:MOST_COLUMNS]
