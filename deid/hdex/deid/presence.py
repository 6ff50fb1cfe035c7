"""Being in the table is itself a secret: models against the population the table was drawn from.

The search runs over the population's rows with a Boolean column that says who is in the sample (`with_membership`):
so the population is generalised as the sample is, whatever the node. Filter the result by that column. Suppression and
loss then count the population's rows.
k-map: Sweeney 2001; El Emam, Dankar, JAMIA 15(5), 2008. delta-presence: Nergiz, Atzori, Clifton, SIGMOD 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.numbering import Codes, number_rows
from hdex.deid.sensitive import Sensitive

MEMBER = 1  # the code of True
TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class KMap:
    """Every class that holds a member of the sample holds k people of the population."""

    sensitive: str  # Boolean column: in the sample
    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ArgumentInvalid(f"k of k-map is {self.k}, asked is 1 or more")

    @property
    def is_monotone(self) -> bool:
        """A part without a member tells nothing about anybody: it stays."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups with a member and fewer than k people."""
        people, members = head_counts(groups, sensitive, weights, count)
        return (members > 0) & (people < self.k)


@dataclass(frozen=True, slots=True)
class SampleK:
    """Every class that holds a member of the sample holds k of them: k-anonymity, in a search over the population."""

    sensitive: str  # Boolean column: in the sample
    k: int

    @property
    def is_monotone(self) -> bool:
        """A part without a member stays."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups with members, but fewer than k."""
        _, members = head_counts(groups, sensitive, weights, count)
        return (members > 0) & (members < self.k)


@dataclass(frozen=True, slots=True)
class DeltaPresence:
    """The share of a class of the population that is in the sample lies between `least` and `most`."""

    sensitive: str  # Boolean column: in the sample
    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.least <= self.most <= 1.0:
            raise ArgumentInvalid(f"presence is asked to lie in {self.least:g} to {self.most:g}, asked is 0 to 1")

    @property
    def is_monotone(self) -> bool:
        """A part of a class may lie between the bounds."""
        return False

    def weak(self, groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> NDArray[np.bool_]:
        """Groups whose share of members lies outside."""
        people, members = head_counts(groups, sensitive, weights, count)
        share = members / np.maximum(people, 1)
        outside: NDArray[np.bool_] = (share < self.least - TOLERANCE) | (share > self.most + TOLERANCE)
        return outside & (people > 0)


def head_counts(groups: Codes, sensitive: Sensitive, weights: Codes, count: int) -> tuple[Codes, Codes]:
    """People of the population and members of the sample in every group."""
    people = np.bincount(groups, weights=weights, minlength=count).astype(np.int64)
    inside = sensitive.codes == MEMBER
    members = np.bincount(groups[inside], weights=weights[inside], minlength=count).astype(np.int64)
    return people, members


def with_membership(
    sample: pl.DataFrame, population: pl.DataFrame, quasi: Sequence[str], *, name: str = "in_sample"
) -> pl.DataFrame:
    """Return the population with a Boolean column: as many rows of each tuple of `quasi` as the sample holds.

    Raises InputInvalid where the sample holds more people of a tuple than the population.
    """
    for table, told in ((sample, "sample"), (population, "population")):
        missing = sorted(set(quasi) - set(table.columns))
        if missing:
            raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the {told}")
    both = pl.concat([sample.select(quasi), population.select(quasi)], how="vertical_relaxed")
    groups, count = number_rows(both, quasi)
    asked = np.bincount(groups[: sample.height], minlength=count)
    own = groups[sample.height :]
    short = int(np.maximum(asked - np.bincount(own, minlength=count), 0).sum())
    if short:
        raise InputInvalid(f"{short} of {sample.height} rows of the sample have no counterpart in the population")
    order = np.argsort(own, kind="stable")
    sizes = np.bincount(own, minlength=count)
    place = np.empty(len(own), dtype=np.int64)
    place[order] = np.arange(len(own)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return population.with_columns(pl.Series(name, place < asked[own], dtype=pl.Boolean))


def read_sample(
    sample: pl.DataFrame, population: pl.DataFrame, *, kept: pl.Series, released: pl.DataFrame
) -> tuple[pl.Series, pl.DataFrame]:
    """Return which rows of the sample leave, and these as they read, from a search over its population.

    sample, population: their quasi-identifiers. kept: one Boolean per row of the population; released: its kept rows as
    labels. An engine treats rows of one tuple alike, so any row of the population speaks for the sample's.
    """
    both = pl.concat([sample, population], how="vertical_relaxed")
    groups, count = number_rows(both, both.columns)
    speaker = np.zeros(count, dtype=np.int64)
    speaker[groups[sample.height :]] = np.arange(population.height)
    rows = speaker[groups[: sample.height]]
    stays = kept.to_numpy()
    place = (np.cumsum(stays) - 1)[rows[stays[rows]]]
    return pl.Series("kept", stays[rows]), released.select(sample.columns)[place]
