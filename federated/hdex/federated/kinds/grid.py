"""Time to event on a public grid: a time counts at the first grid point that is not before it.

Whoever is followed beyond the last point is censored there. Times that are grid points lose nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.columns import complete_rows, read_columns
from hdex.federated.kinds.kind import Asked
from hdex.federated.statistics import Floats

_MAX_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class Followed:
    """Complete rows: grid cell, event, and the other columns."""

    cell: NDArray[np.int64]  # (n,), index into the grid
    event: Floats  # (n,), 0 or 1
    columns: dict[str, Floats]
    dropped: int


def check_grid(asked: Asked) -> None:
    """Raise StudyInvalid unless the options `time` and `grid` are a column and rising positive numbers."""
    if not isinstance(asked.options["time"], str):
        raise StudyInvalid("the option time must name a column")
    grid = asked.options["grid"]
    rising = (
        isinstance(grid, Sequence)
        and 1 <= len(grid) <= _MAX_POINTS
        and all(isinstance(point, int | float) and math.isfinite(point) and point > 0 for point in grid)
        and all(low < high for low, high in pairwise(grid))
    )
    if not rising:
        raise StudyInvalid(f"the grid must be 1 to {_MAX_POINTS} rising positive numbers")


def read_followed(frame: pl.DataFrame, names: Sequence[str], asked: Asked) -> Followed:
    """Return the complete rows of `names`, which hold target and time. Raises StudyInvalid on foreign values."""
    columns, dropped = complete_rows(read_columns(frame, names, asked))
    time, event = columns[str(asked.options["time"])], columns[asked.target]
    if (time < 0).any():
        raise StudyInvalid("the time column has negative values")
    if not np.isin(event, (0.0, 1.0)).all():
        raise StudyInvalid(f"column {asked.target} has values other than 0 and 1")
    grid = points(asked)
    cell = np.searchsorted(grid, time, side="left")
    beyond = cell == len(grid)
    return Followed(np.where(beyond, len(grid) - 1, cell), np.where(beyond, 0.0, event), columns, dropped)


def points(asked: Asked) -> Floats:
    """Return the grid."""
    return np.array(asked.options["grid"], dtype=np.float64)


def per_cell(cell: NDArray[np.int64], weights: Floats, size: int) -> Floats:
    """Return the sum of `weights` in each grid cell."""
    return np.bincount(cell, weights=weights, minlength=size).astype(np.float64)


def at_risk(leaving: Floats) -> Floats:
    """Return what has not left before each cell: sums from the end. leaving: (..., cells)."""
    return np.asarray(np.flip(np.cumsum(np.flip(leaving, axis=-1), axis=-1), axis=-1))
