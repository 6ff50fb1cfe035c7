"""Floors of statistical disclosure control by regime, as data; the stricter of two always wins."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files

from hdex.federated.errors import DisclosureRefused, StudyInvalid

REGIMES = ("cn", "eu", "us")
CEILINGS = frozenset({"parameter_share", "dominance_share", "bin_share", "membership_auc"})  # lower is stricter
LEVEL_5 = 5


@dataclass(frozen=True, slots=True)
class Regime:
    """What a released number must keep. Units and meaning: disclosure_regimes.toml."""

    cell: int
    cell_level_5: int
    min_sites: int
    min_rows: int
    parameter_share: float
    events_per_parameter: float
    dominance_count: int
    dominance_share: float
    p_percent: float
    quantile_side: int
    bin_share: float
    residual_df: int
    at_risk: int
    membership_auc: float

    def stricter(self, other: "Regime") -> "Regime":
        """Return the floors that satisfy both."""
        chosen = {name: _stricter(name, getattr(self, name), getattr(other, name)) for name in NAMES}
        return Regime(**chosen)  # type: ignore[arg-type]  # each is one of the two values of its own field

    def of_level(self, level: int) -> "Regime":
        """Return the floors for a product of this level: level 5 has larger cells and more rows."""
        if level < LEVEL_5:
            return self
        least = max(self.cell, self.cell_level_5)
        return replace(self, cell=least, min_rows=max(self.min_rows, least))

    def with_site(self, asked: Mapping[str, float], *, officer_signed: bool = False) -> "Regime":
        """Return the floors with what a site sets. Lowering one without the privacy officer: DisclosureRefused."""
        if unknown := sorted(set(asked) - set(NAMES)):
            raise StudyInvalid(f"unknown floors: {', '.join(unknown)}")
        for name, value in asked.items():
            if not officer_signed and _stricter(name, value, getattr(self, name)) != value:
                raise DisclosureRefused("floor_lowered", f"{name} is lower than the regime's: the officer must sign")
        return replace(self, **asked)  # type: ignore[arg-type]  # names were checked


NAMES = tuple(field.name for field in fields(Regime))


def regime(name: str) -> Regime:
    """Return the floors of cn, eu or us. Raises StudyInvalid on another name."""
    if name not in REGIMES:
        raise StudyInvalid(f"regime {name!r}; known are {', '.join(REGIMES)}")
    table = tomllib.loads(files("hdex.federated").joinpath("disclosure_regimes.toml").read_text(encoding="utf-8"))
    return Regime(**table["every"], **table[name])


@lru_cache(maxsize=1)
def strictest() -> Regime:
    """Return floors that satisfy every regime: what a site uses that was told none."""
    first, *others = map(regime, REGIMES)
    for other in others:
        first = first.stricter(other)
    return first


def _stricter(name: str, one: float, other: float) -> float:
    return min(one, other) if name in CEILINGS else max(one, other)
