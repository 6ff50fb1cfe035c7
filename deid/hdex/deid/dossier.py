"""What a privacy officer reads beside the ceilings: all risks, every named attacker, what is still worth something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from hdex.deid.attack_linkage import Attempt
from hdex.deid.attack_tables import attack
from hdex.deid.attackers import fits, known_columns, profiles
from hdex.deid.columns import ColumnProfile
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.risk import full_profile
from hdex.deid.utility import describe

TARGETS = 1000
PERSON = "\0person"
FOLLOWER = {"en": "anyone who knows three events of a patient and their days", "zh": "知道患者三个事件及其日期的任何人"}
FEW = range(2, 11)  # values of a column that a model can tell apart


@dataclass(frozen=True, slots=True)
class Dossier:
    """JSON values: `risk` by risk.full_profile, `attacks` by attack_tables.Findings, `worth` by utility.describe."""

    risk: Mapping[str, object]
    attacks: tuple[Mapping[str, object], ...]
    worth: Mapping[str, object]

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {"risk": dict(self.risk), "attacks": [dict(one) for one in self.attacks], "worth": dict(self.worth)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A release beside what it was made from. `owners` (whose each released row is) never leaves the node."""

    original: pl.DataFrame
    treated: pl.DataFrame  # after each column's own treatment, before generalisation
    released: pl.DataFrame
    columns: Sequence[ColumnProfile]  # of the original
    quasi: Sequence[str]
    sensitive: Sequence[str]
    patient: str
    k: int
    seed: int = field(repr=False)
    shift_days: int = 0
    ladders: Mapping[str, Hierarchy] = field(default_factory=dict)
    owners: Sequence[object] = field(default=(), repr=False)
    longitudinal: bool = False  # a patient may have several rows
    sequence: Attempt | None = None  # the attack by who knows days and events of a patient, where it was run


def compile_dossier(evidence: Evidence) -> Dossier:
    """Return the dossier of one release."""
    seen = evidence
    return Dossier(
        risk=full_profile(
            people_of(seen), seen.quasi, sensitive=seen.sensitive, patient=PERSON if seen.longitudinal else None
        ),
        attacks=(*attacks_of(seen), *follower(seen.sequence)),
        worth=describe(
            seen.treated,
            seen.released,
            quasi=seen.quasi,
            target=target_of(seen),
            seed=seen.seed,
            hierarchies=seen.ladders,
        ),
    )


def attacks_of(seen: Evidence) -> list[Mapping[str, object]]:
    """Every named attacker who knows enough of the original's columns to try, in the order of their files."""
    columns = [name for name in seen.original.columns if name != seen.patient]
    able = [one for one in profiles() if fits(one, columns) and known_columns(one, columns)]
    return [
        attack(
            seen.original,
            seen.released,
            profile,
            patient=seen.patient,
            k=seen.k,
            targets=TARGETS,
            seed=seen.seed,
            ladders=seen.ladders,
            shift_days=seen.shift_days,
            owners=seen.owners,
            columns=seen.columns,
        ).to_dict()
        for profile in able
    ]


def people_of(seen: Evidence) -> pl.DataFrame:
    """The release, with whose each row is where a patient may have several."""
    if not seen.longitudinal:
        return seen.released
    return seen.released.with_columns(pl.Series(PERSON, list(map(str, seen.owners)), dtype=pl.String))


def follower(attempt: Attempt | None) -> list[Mapping[str, object]]:
    """The attack by sequence as `attack_tables.Findings` tells an attack."""
    if attempt is None:
        return []
    told: dict[str, object] = {
        "as": "follower", "title": FOLLOWER["en"], "title_zh": FOLLOWER["zh"], "known": [], "unread": [],
        "targets": attempt.targets, "reidentified": attempt.succeeded, "rate": attempt.rate,
        "by_chance": attempt.by_chance, "bound": attempt.bound, "within_bound": attempt.is_within,
        "kinds": [attempt.to_dict()],
    }  # fmt: skip
    return [told]


def target_of(seen: Evidence) -> str | None:
    """A column that left as it was and that a model could be asked for: sensitive before others, few values first."""
    kept = [
        name
        for name in seen.released.columns
        if name not in seen.quasi and name in seen.treated.columns and seen.treated[name].drop_nulls().n_unique() in FEW
    ]
    return min(kept, key=lambda name: (name not in seen.sensitive, seen.treated[name].n_unique(), name), default=None)
