"""Local recoding: every class of the release has its own levels, so most cells stay finer than full-domain recoding.

Start by peeling (peel.py) and refine (refine.py). Where a model of the sensitive column is asked, or the exact optimum
loses less, start a second time from that optimum, split its classes downwards, refine, and keep the better of the two:
peeling looks at k first and uses up the rare sensitive values early. On lattices of up to MOST_VISITS nodes, and
wherever a model is asked, the loss is never above the exact engine's.

A released class is a set of rows that read the same, so k, l and t hold as for the exact engine. Classes may overlap
in meaning (`60-69` beside `60-79`): average risk and homogeneity are higher than with full-domain recoding, so the
presets for the public do not use it without l or t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from hdex.deid.diversity import Codes, Model
from hdex.deid.errors import RiskTooHigh
from hdex.deid.evaluation import TOLERANCE, Limits, Progress, kept_at, silent, top_of
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import MOST_NODES, optimum, run, start
from hdex.deid.peel import MOST_VISITS, Recoding, at_node, peel, specialise
from hdex.deid.refine import refine
from hdex.deid.tuples import Table, check_arguments, packed, part_of, tabulate, weak_classes, without_nan


@dataclass(frozen=True, slots=True)
class LocalResult:
    """The released table and what it cost."""

    frame: pl.DataFrame  # kept rows in input order, quasi-identifiers as labels of their class's levels
    transformation: dict[str, dict[int, float]]  # column -> level -> share of the released rows, finest level first
    loss: float  # ARX's Loss, arithmetic mean over rows and quasi-identifiers, 0-1
    suppressed: int  # rows left out
    classes: int  # sets of rows that read the same
    start: str  # peel or exact: which of the two was better
    kept: pl.Series  # one Boolean per input row


def anonymize_local(
    frame: pl.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    *,
    k: int,
    patient: str | None = None,
    suppression: float = 0.05,
    models: Sequence[Model] = (),
    weights: Mapping[str, float] | None = None,
    floors: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> LocalResult:
    """Return a table in which every class holds k patients and satisfies `models`, each class at its own levels.

    Arguments as `lattice.anonymize`. A good answer, not a proven optimum; the same table always gives the same one.
    A column in which any cell is generalised comes back as text. Raises RiskTooHigh as the exact engine does.
    """
    check_arguments(frame, hierarchies, k=k, suppression=suppression, patient=patient)
    table = tabulate(frame, hierarchies, patient=patient, models=models, weights=weights)
    floor = tuple((floors or {}).get(name, 0) for name in hierarchies)
    limits = Limits(k, int(suppression * table.total + 1e-9), floor)
    start, found = better(table, limits, progress or silent)
    return released(frame, table, found, limits, start=start)


def better(table: Table, limits: Limits, progress: Progress) -> tuple[str, Recoding]:
    """The better of the ways to start that leaves out no more rows than allowed; raises RiskTooHigh for none."""
    peeled = refine(table, peel(table, limits, progress), limits)
    fits = peeled.suppressed(table) <= limits.allowed
    if fits and not table.units and math.prod(table.heights) > MOST_VISITS:
        return "peel", peeled  # the optimum would take long and seldom be better
    if fits and not table.units:
        search = start(table, limits)
        search.best_loss = peeled.loss(table)  # only a node that loses less is looked for
        best = run(search, budget=MOST_NODES, progress=progress)
        if best.node is None:
            return "peel", peeled
    else:
        best = optimum(table, limits, progress=progress)
    node = best.node or top_of(table)
    coarse = at_node(table, node, kept_at(table, node, limits.k))
    split = refine(table, specialise(table, coarse, limits), limits)
    if fits and peeled.loss(table) <= split.loss(table) + TOLERANCE:
        return "peel", peeled
    return "exact", split


def released(frame: pl.DataFrame, table: Table, found: Recoding, limits: Limits, *, start: str) -> LocalResult:
    """Write the labels; count the classes once more as they read, since labels of different levels may coincide."""
    inside = np.flatnonzero(found.classes >= 0)
    words = [pl.concat(ladder.levels) for ladder in table.ladders]
    cells = [
        levels[found.classes[inside]] * len(ladder.levels[0]) + leaves[inside]
        for ladder, levels, leaves in zip(table.ladders, found.levels, table.leaves, strict=True)
    ]
    numbers, first = packed([word_numbers(word)[cell] for word, cell in zip(words, cells, strict=True)])
    part = table if len(inside) == len(table.rows) else part_of(table, inside)
    weak = weak_classes(part, numbers, len(first), limits.k)
    if weak.any():
        inside, cells = inside[~weak[numbers]], [cell[~weak[numbers]] for cell in cells]
    place = np.full(len(table.rows), -1, dtype=np.int64)
    place[inside] = np.arange(len(inside))
    final = replace(found, classes=np.where(place >= 0, found.classes, -1))
    require_few(final.suppressed(table), limits, table.total)
    kept = pl.Series("kept", place[table.numbers] >= 0)
    own = place[table.numbers]
    own = own[own >= 0]
    kept_frame = frame.filter(kept)
    columns = [
        without_nan(kept_frame[ladder.column]) if is_fine(ladder, cell) else word.gather(cell[own]).alias(ladder.column)
        for ladder, word, cell in zip(table.ladders, words, cells, strict=True)
    ]
    return LocalResult(
        frame=kept_frame.with_columns(columns),
        transformation=level_shares(table, final),
        loss=final.loss(table),
        suppressed=final.suppressed(table),
        classes=int((~weak).sum()),
        start=start,
        kept=kept,
    )


def require_few(suppressed: int, limits: Limits, total: int) -> None:
    """Raise RiskTooHigh when more rows are left out than allowed."""
    if suppressed > limits.allowed:
        raise RiskTooHigh("share of suppressed rows", found=suppressed / total, asked=limits.allowed / total)


def word_numbers(words: pl.Series) -> Codes:
    """A number for every label: equal text, equal number; NULL is one of its own."""
    return words.rank("dense").fill_null(0).to_numpy().astype(np.int64)


def is_fine(ladder: Hierarchy, cells: Codes) -> bool:
    """Whether every cell is a value itself."""
    return int(cells.max(initial=0)) < len(ladder.levels[0])


def level_shares(table: Table, found: Recoding) -> dict[str, dict[int, float]]:
    """Share of the released rows at every level of every column that is used."""
    inside = found.classes >= 0
    rows, classes = table.rows[inside], found.classes[inside]
    shares = {}
    for ladder, levels in zip(table.ladders, found.levels, strict=True):
        counts = np.bincount(levels[classes], weights=rows, minlength=ladder.height) / max(int(rows.sum()), 1)
        shares[ladder.column] = {level: float(share) for level, share in enumerate(counts) if share > 0}
    return shares
