"""What a question counts, and what of it may be told: small cells, dominance, complements. Pure, over one frame.

Zero is a safe count. A blank is None. A breach names rule and limit, never the count found.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.federated.disclosure_cells import Partition
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import bin_breaches, concentration_breaches, small
from hdex.federated.disclosure_tables import suppress
from hdex.node.errors import AccessDenied
from hdex.node.question import ORDERING, Condition, Question

MOST_LEVELS = 50  # of a column to group by
Labels = NDArray[np.int64]
JSON_TYPES = (str, int, bool, type(None))  # other levels, days, are told as text
Line = dict[str, Any]
OTHERWISE = "ask a coarser table, or fewer columns"


@dataclass(frozen=True, slots=True)
class Cells:
    """Who is counted, cell by cell. labels: cell of each row of the frame, -1 outside; levels: of each cell."""

    labels: Labels
    levels: list[tuple[Any, ...]]
    is_ordered: bool = False

    @property
    def counts(self) -> Labels:
        """Rows of each cell."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.levels))

    def partition(self) -> Partition:
        """Return it as the register compares it."""
        return Partition(self.labels, self.is_ordered)


def cells_of(frame: pl.DataFrame, question: Question) -> Cells:
    """Return the cells of a question. Raises AccessDenied for columns that cannot be compared or grouped so."""
    inside = frame.select(population(frame, question).alias("inside"))["inside"].to_numpy()
    if question.kind == "histogram":
        return binned(frame[question.column].cast(pl.Float64).to_numpy(), inside, question.edges)
    sets = [levels_of(frame[name]) for name in question.by]
    labels, size = np.zeros(frame.height, np.int64), 1
    levels: list[tuple[Any, ...]] = [()]
    for codes, names in sets:
        labels, size = labels * len(names) + codes, size * len(names)
        levels = [(*known, name) for known in levels for name in names]
    return Cells(np.where(inside, labels, -1), levels)


def population(frame: pl.DataFrame, question: Question) -> pl.Expr:
    """Return which rows are counted: every condition holds, and the column that is measured is there."""
    held = [condition_of(frame.schema, one) for one in question.where]
    if question.column:
        require_number(frame.schema, question.column)
        held.append(pl.col(question.column).cast(pl.Float64).is_finite().fill_null(value=False))
    return pl.all_horizontal(held) if held else pl.repeat(value=True, n=frame.height, dtype=pl.Boolean)


def condition_of(schema: pl.Schema, condition: Condition) -> pl.Expr:
    """Return a condition over a column, false where the cell is empty. Raises AccessDenied where types do not meet."""
    column, dtype, values = pl.col(condition.column), schema[condition.column], condition.values
    if condition.op in ORDERING:
        require_number(schema, condition.column)
    number = dtype.is_numeric()
    if any(isinstance(one, bool) != (dtype == pl.Boolean) for one in values):
        raise AccessDenied("query.types", "compare true or false with flags only", "the values do not fit the column")
    if any(isinstance(one, str) == number for one in values):
        raise AccessDenied("query.types", "numbers with numbers, text with text", "the values do not fit the column")
    compared = column.cast(pl.Float64) if number else column
    wanted = [float(one) for one in values] if number else list(values)
    first = pl.lit(wanted[0])
    found = {
        "=": lambda: compared == first,
        "!=": lambda: compared != first,
        "in": lambda: compared.is_in(wanted),
        "<": lambda: compared < first,
        "<=": lambda: compared <= first,
        ">": lambda: compared > first,
        ">=": lambda: compared >= first,
        "between": lambda: compared.is_between(first, pl.lit(wanted[-1])),
    }[condition.op]()
    return found.fill_null(value=False)


def require_number(schema: pl.Schema, name: str) -> None:
    """Raise AccessDenied unless a column holds numbers."""
    if not schema[name].is_numeric():
        raise AccessDenied("query.types", "name a column of numbers", f"{name} holds no numbers")


def levels_of(column: pl.Series) -> tuple[Labels, list[Any]]:
    """Return the code of each row and the levels, an empty cell as one of its own. Raises AccessDenied on too many."""
    levels = column.unique().sort(nulls_last=True).to_list()
    if len(levels) > MOST_LEVELS or column.dtype.is_float():
        raise AccessDenied("query.levels", "ask a histogram, or group by a column with few values", "too many levels")
    codes = column.to_frame("level").join(
        pl.DataFrame({"level": pl.Series(levels, dtype=column.dtype), "code": range(len(levels))}),
        on="level", how="left", nulls_equal=True, maintain_order="left",
    )["code"]  # fmt: skip
    return codes.cast(pl.Int64).to_numpy(), [one if isinstance(one, JSON_TYPES) else str(one) for one in levels]


def binned(values: NDArray[np.float64], inside: NDArray[np.bool_], edges: tuple[float, ...]) -> Cells:
    """Return the bins between the edges, the last one closed, with one below and one above."""
    at = np.searchsorted(np.array(edges), values, side="right")
    at = np.where(values == edges[-1], len(edges) - 1, at)
    names = [("below", edges[0]), *itertools.pairwise(edges), (edges[-1], "above")]
    return Cells(np.where(inside, at, -1).astype(np.int64), [tuple(name) for name in names], is_ordered=True)


def answer(frame: pl.DataFrame, question: Question, cells: Cells, floors: Regime) -> list[Line]:
    """Return one line per cell: its levels, n, and what was asked; None where it may not be told.

    Raises AccessDenied where blanks cannot protect what must stay untold.
    """
    counts = cells.counts
    if question.kind == "histogram" and bin_breaches(len(counts), int(counts.sum()), floors):
        raise AccessDenied("query.bins", "ask fewer bins", f"more bins than {floors.bin_share:.0%} of the rows")
    told = tellable(counts, question, cells, floors)
    values = measured(frame, question, cells, told=told, floors=floors)
    lines = []
    for at, level in enumerate(cells.levels):
        names = ("from", "to") if question.kind == "histogram" else question.by
        line: Line = dict(zip(names, level, strict=True)) | {"n": int(counts[at]) if told[at] else None}
        lines.append(line | (values[at] if told[at] else dict.fromkeys(value_names(question))))
    return lines


def tellable(counts: Labels, question: Question, cells: Cells, floors: Regime) -> NDArray[np.bool_]:
    """Return which cells may be told: none too small, and none that gives such a one away."""
    few = np.array([small(float(count), floors) for count in counts])
    if not few.any():
        return ~few
    if not question.by and question.kind != "histogram":
        raise AccessDenied("query.small", "ask about more patients", f"fewer than {floors.cell} rows")
    if question.kind in ("count", "crosstab") and len(question.by) == 2:
        columns = len({level[1] for level in cells.levels})
        table = counts.reshape(-1, columns)
        blank = suppress([[int(one) for one in row] for row in table], floors.cell).cells
        return np.array([one is not None for row in blank[:-1] for one in row[:-1]])
    if len(question.by) > 1:
        raise AccessDenied("query.small", OTHERWISE, f"a cell has fewer than {floors.cell} rows")
    return ~with_complement(few, counts)


def with_complement(blank: NDArray[np.bool_], counts: Labels) -> NDArray[np.bool_]:
    """Return the blanks of a line whose total may be known: the smallest safe cell goes with them."""
    safe = np.flatnonzero(~blank & (counts > 0))
    if not len(safe):
        raise AccessDenied("query.small", OTHERWISE, "no cell is large enough to hide another one")
    both = blank.copy()
    both[safe[np.argmin(counts[safe])]] = True
    return both


def value_names(question: Question) -> list[str]:
    """Return what a line says beside n."""
    if question.kind == "quantile":
        return [f"q{probability:g}" for probability in question.probabilities]
    return [question.kind] if question.kind in ("mean", "sum") else []


def measured(
    frame: pl.DataFrame, question: Question, cells: Cells, *, told: NDArray[np.bool_], floors: Regime
) -> list[Line]:
    """Return what each cell says beside its count; takes cells that one or two patients make up from `told`."""
    if question.kind not in ("mean", "sum", "quantile"):
        return [{} for _ in cells.levels]
    values = frame[question.column].cast(pl.Float64).to_numpy()
    groups = [values[cells.labels == at] for at in range(len(cells.levels))]
    if question.kind == "quantile":
        return [quantiles(np.sort(group), question, floors) for group in groups]
    dominated = np.array([bool(concentration_breaches(np.abs(group).tolist(), floors)) for group in groups])
    if (dominated & told).any():
        if len(question.by) != 1:
            raise AccessDenied("query.dominance", OTHERWISE, "one or two rows make up most of a total")
        told[:] = ~with_complement(~told & (cells.counts > 0) | dominated, cells.counts)
    return [{question.kind: total(group, question.kind)} for group in groups]


def total(group: NDArray[np.float64], kind: str) -> float | None:
    """Return sum or mean; None of nobody."""
    if not len(group):
        return None
    return float(group.sum()) if kind == "sum" else float(group.mean())


def quantiles(ordered: NDArray[np.float64], question: Question, floors: Regime) -> Line:
    """Return quantiles as the mean of a block of neighbours, as many as a cell must have: no patient's own value.

    The blocks of one population do not overlap, so that no number of probabilities tells less than a block's mean. None
    where fewer than the floor stand on either side.
    """
    found: Line = {}
    for name, probability in zip(value_names(question), question.probabilities, strict=True):
        at = round(probability * (len(ordered) - 1))
        block = at // floors.cell * floors.cell
        enough = min(at, len(ordered) - 1 - at) >= floors.quantile_side
        found[name] = float(ordered[block : block + floors.cell].mean()) if enough else None
    return found
