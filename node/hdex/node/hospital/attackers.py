"""Who attacks a data set before anybody else can: the room's named attackers, by recipient and by columns."""

from dataclasses import dataclass

import polars as pl

from hdex.deid import attackers
from hdex.deid.attack import AttackResult, linkage

TARGETS = 1000
MONTH = "%Y-%m"


@dataclass(frozen=True, slots=True)
class Profile:
    """One attacker of one table: what every attacker of his kind knows of it."""

    name: str
    title: dict[str, str]
    known: tuple[str, ...]


def attacker_of(columns: list[str], recipient_class: str = "") -> Profile:
    """Return the attacker that the recipient may turn into, else the first that fits; he knows what is there of his."""
    profile = attackers.attacker_of(columns, recipient=recipient_class)
    least = profile.least()
    known = attackers.known_columns(profile, columns, facts=least)
    there = [fact for fact in least if attackers.known_columns(profile, columns, facts=[fact])]
    return Profile(profile.name, profile.told(there or least), tuple(one.column for one in known))


def attack_raw(rows: pl.DataFrame, profile: Profile, *, seed: int) -> AttackResult:
    """Return how many of 1,000 targets the attacker finds in the raw rows; of dates he knows the month."""
    dates = [name for name in profile.known if rows.schema[name] in {pl.Date, pl.Datetime}]
    read = rows.select(profile.known).with_columns(pl.col(dates).dt.strftime(MONTH))
    return linkage(read, read, known=profile.known, targets=min(TARGETS, rows.height), seed=seed)
