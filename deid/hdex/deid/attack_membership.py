"""Membership inference: was this person among the patients at all?

The attacker knows the columns of his profile for people who are in the release and for others like them, and ranks them
by how many released rows fit each. AUC: how often he ranks a member above an outsider (0.5: he learns nothing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.attack_linkage import Attempt, Numbers, Siege, rows_fitting
from hdex.deid.errors import ArgumentInvalid

BOUND = 0.55  # house bar for the public preset


def membership(siege: Siege, outsiders: pl.DataFrame, *, population: pl.DataFrame | None = None) -> Attempt:
    """AUC of telling the siege's targets (all of them in the release) from `outsiders`.

    population: people from whom both were drawn; an attacker who has it ranks by the share of those like his target who
    are in the release, which is the stronger attack.
    """
    known = [one.column for one in siege.known]
    if missing := sorted(set(known) - set(outsiders.columns)):
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the table of outsiders")
    if outsiders.height == 0:
        raise ArgumentInvalid("the table of outsiders has 0 rows")
    drawn = np.random.default_rng(siege.seed + 4).permutation(outsiders.height)[: len(siege.aims)]
    strangers = replace(siege, original=aligned(outsiders, siege), aims=np.sort(drawn), owners=None)
    haystack = siege.haystack()
    fitting = [rows_fitting(one, haystack) for one in (siege, strangers)]
    if not any(len(rows) for side in fitting for rows in side):  # days were moved: he goes without them
        fitting = [rows_fitting(one, haystack.without_dates()) for one in (siege, strangers)]
    inside, outside = (scores(one, rows, population) for one, rows in zip((siege, strangers), fitting, strict=True))
    rate = auc(inside, outside)
    return Attempt("membership", rate, 0.5, BOUND, len(inside) + len(outside))


def aligned(outsiders: pl.DataFrame, siege: Siege) -> pl.DataFrame:
    """The outsiders' known columns, typed as the original's."""
    names = [one.column for one in siege.known]
    return outsiders.select(pl.col(name).cast(siege.original.schema[name]) for name in names)


def scores(siege: Siege, found: Sequence[Numbers], population: pl.DataFrame | None) -> NDArray[np.float64]:
    """Released rows that fit every target, over the people of the population who are like him."""
    fitting = np.array([len(rows) for rows in found], dtype=np.float64)
    if population is None:
        return fitting
    names = [one.column for one in siege.known]
    likes = siege.original.select(names)[siege.aims.tolist()]
    counts = likes.join(population.group_by(names).len(), on=names, how="left", nulls_equal=True, maintain_order="left")
    share: NDArray[np.float64] = fitting / counts["len"].fill_null(1).to_numpy()
    return share


def auc(members: NDArray[np.float64], outsiders: NDArray[np.float64]) -> float:
    """Share of (member, outsider) pairs in which the member scores higher, ties half (Mann and Whitney 1947)."""
    if len(members) == 0 or len(outsiders) == 0:
        raise ArgumentInvalid("an AUC needs members and outsiders")
    ranked = np.sort(outsiders)
    below = np.searchsorted(ranked, members, side="left")
    upto = np.searchsorted(ranked, members, side="right")
    return float((below + upto).sum() / 2 / (len(members) * len(outsiders)))
