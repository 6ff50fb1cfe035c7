"""Who would attack a data set, and what he knows: named recipients from a data file."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import polars as pl

from hdex.deid.attack import AttackResult, linkage

TARGETS = 1000
MONTH = "%Y-%m"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of attacker."""

    name: str
    title: dict[str, str]
    known: tuple[str, ...]


@cache
def profiles() -> tuple[Profile, ...]:
    """Return the attackers in the order in which they are tried."""
    table = tomllib.loads(files("hdex.node.hospital").joinpath("attackers.toml").read_text(encoding="utf-8"))
    return tuple(Profile(name, entry["title"], tuple(entry["known"])) for name, entry in table.items())


def attacker_of(columns: list[str]) -> Profile:
    """Return the first attacker whose every column is there; the last one knows what is there of his."""
    for profile in profiles():
        if set(profile.known) <= set(columns):
            return profile
    last = profiles()[-1]
    return Profile(last.name, last.title, tuple(name for name in last.known if name in columns))


def attack_raw(rows: pl.DataFrame, profile: Profile, *, seed: int) -> AttackResult:
    """Return how many of 1,000 targets the attacker finds in the raw rows; of dates he knows the month."""
    dates = [name for name in profile.known if rows.schema[name] in {pl.Date, pl.Datetime}]
    read = rows.select(profile.known).with_columns(pl.col(dates).dt.strftime(MONTH))
    return linkage(read, read, known=profile.known, targets=min(TARGETS, rows.height), seed=seed)
