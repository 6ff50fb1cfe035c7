"""Special uniques: patients who stand alone already with a few of their quasi-identifiers.

A minimal sample unique (MSU) is a set of columns on which a patient is alone, and on no smaller set of them. Whoever
is alone on few columns, or on many sets, is more likely alone in the population. Score of a row: the sum over its MSUs
of size s of (n - s)(n - s - 1)...(n - m), n columns, m the largest size looked for (Elliot, Manning, Mayes, Gurd, Bane,
UNECE 2005). The DIS measure of the whole file (Skinner, Elliot, JRSS B 64, 2002), the chance that a unique match is the
right one, is shared out over the uniques in proportion to their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, prod

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import Codes, number_tuples, number_values
from hdex.deid.risk import patients_per_class, require_columns
from hdex.deid.sensitive import Shares

MOST_SETS = 20_000
MANY = -1  # in place of a patient: a tuple of several
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Suda:
    """Special uniques of a table. Arrays hold one entry per row."""

    columns: tuple[str, ...]
    max_size: int
    scores: Shares
    dis_scores: Shares  # chance that a unique match is right
    smallest: Codes  # size of the row's smallest MSU, 0 without one
    msus: dict[int, int]  # size -> (row's tuple, set of columns) pairs
    contributions: dict[str, float]  # share of the total score that MSUs with the column hold
    dis: float  # of the whole file

    def to_dict(self) -> dict[str, object]:
        """As JSON values: counts, no row."""
        return {
            "columns": list(self.columns),
            "max_size": self.max_size,
            "rows": len(self.scores),
            "special_uniques": int((self.smallest > 0).sum()),
            "rows_by_smallest_set": {
                str(size): int((self.smallest == size).sum()) for size in range(1, self.max_size + 1)
            },
            "minimal_uniques": {str(size): number for size, number in self.msus.items()},
            "contributions": self.contributions,
            "highest_score": float(self.scores.max(initial=0.0)),
            "dis": self.dis,
            "highest_dis": float(self.dis_scores.max(initial=0.0)),
        }


@dataclass(frozen=True, slots=True)
class Tuples:
    """Distinct tuples of the columns."""

    columns: list[tuple[Codes, int]]
    patient: Codes  # the only patient of the tuple, or MANY
    people: Codes  # patients of the tuple
    of_row: Codes  # tuple of every row


def suda(
    frame: pl.DataFrame,
    quasi: Sequence[str],
    *,
    patient: str | None = None,
    max_size: int = 3,
    sampling_fraction: float = 0.01,
) -> Suda:
    """Find the minimal sample uniques of up to `max_size` of the columns `quasi`.

    patient: column whose distinct values are people; None: every row is one. Raises ArgumentInvalid when there are
    more than MOST_SETS sets of columns to look at.
    """
    names = tuple(dict.fromkeys(quasi))
    require_columns(frame, [*names, *([patient] if patient else [])])
    check(len(names), max_size, sampling_fraction)
    tuples = tabulate(frame, names, patient)
    scores, smallest, counted, shares = scored(tuples, len(names), max_size)
    dis = data_intrusion(tuples.people, sampling_fraction)
    uniques = int((tuples.people == 1).sum())
    total = float(scores.sum())
    own = np.minimum(scores * (dis * uniques / total), 1.0) if total else scores
    return Suda(
        columns=names,
        max_size=max_size,
        scores=scores[tuples.of_row],
        dis_scores=own[tuples.of_row],
        smallest=smallest[tuples.of_row],
        msus=counted,
        contributions={name: share / total if total else 0.0 for name, share in zip(names, shares, strict=True)},
        dis=dis,
    )


def check(columns: int, max_size: int, fraction: float) -> None:
    """Raise ArgumentInvalid for a search that cannot be made."""
    if columns == 0:
        raise ArgumentInvalid("no quasi-identifier is named")
    if not 1 <= max_size <= columns:
        raise ArgumentInvalid(f"the largest set is {max_size}, asked is 1 to the {columns} columns")
    if not 0.0 < fraction <= 1.0:
        raise ArgumentInvalid(f"the sampling fraction is {fraction:g}, asked is above 0 and up to 1")
    sets = sum(comb(columns, size) for size in range(1, max_size + 1))
    if sets > MOST_SETS:
        raise ArgumentInvalid(f"{columns} columns make {sets} sets of up to {max_size}, {MOST_SETS} can be looked at")


def tabulate(frame: pl.DataFrame, names: Sequence[str], patient: str | None) -> Tuples:
    """Reduce the rows to distinct tuples, each with its patient where it is one person's."""
    coded = [number_values(frame[name]) for name in names]
    of_row, count = number_tuples(coded, frame.height)
    first = np.zeros(count, dtype=np.int64)
    first[of_row] = np.arange(frame.height)
    people = patients_per_class(frame, of_row, count, patient)
    ids = np.arange(frame.height) if patient is None else number_values(frame[patient])[0]
    owner = np.where(people == 1, ids[first], MANY)
    return Tuples([(codes[first], width) for codes, width in coded], owner, people, of_row)


def alone_on(tuples: Tuples, columns: Sequence[int]) -> Mask:
    """Tuples whose values in `columns` only their own patient has."""
    groups, count = number_tuples([tuples.columns[i] for i in columns], len(tuples.patient))
    owner = np.zeros(count, dtype=np.int64)
    owner[groups] = tuples.patient
    shared = np.zeros(count, dtype=np.bool_)
    shared[groups[(tuples.patient != owner[groups]) | (tuples.patient == MANY)]] = True
    return ~shared[groups]


def minimal_uniques(tuples: Tuples, columns: int, max_size: int) -> Iterator[tuple[tuple[int, ...], Mask]]:
    """Every set of columns with the tuples for which it is an MSU, small sets first.

    A superset of a unique set is unique, so a set is minimal when none of the sets with one column less is unique.
    """
    below: dict[tuple[int, ...], Mask] = {(): np.zeros(len(tuples.patient), dtype=np.bool_)}
    for size in range(1, max_size + 1):
        here: dict[tuple[int, ...], Mask] = {}
        for chosen in combinations(range(columns), size):
            alone = alone_on(tuples, chosen)
            here[chosen] = alone
            minimal = alone.copy()
            for less in combinations(chosen, size - 1):
                minimal &= ~below[less]
            yield chosen, minimal
        below = here


def scored(tuples: Tuples, columns: int, max_size: int) -> tuple[Shares, Codes, dict[int, int], list[float]]:
    """Score and smallest MSU of every tuple, MSUs per size, score per column."""
    scores = np.zeros(len(tuples.patient))
    smallest = np.zeros(len(tuples.patient), dtype=np.int64)
    counted = dict.fromkeys(range(1, max_size + 1), 0)
    shares = [0.0] * columns
    for chosen, minimal in minimal_uniques(tuples, columns, max_size):
        size = len(chosen)
        weight = float(prod(columns - i for i in range(size, min(max_size, columns - 1) + 1)))
        found = int(minimal.sum())
        scores[minimal] += weight
        smallest[minimal & (smallest == 0)] = size
        counted[size] += found
        for column in chosen:
            shares[column] += weight * found
    return scores, smallest, counted, shares


def data_intrusion(people: Codes, fraction: float) -> float:
    """DIS from the tuples of one patient (n1) and of two (n2): f n1 / (f n1 + 2 (1 - f) n2)."""
    alone, pairs = int((people == 1).sum()), int((people == 2).sum())
    seen = fraction * alone
    return seen / (seen + 2 * (1 - fraction) * pairs) if alone else 0.0
