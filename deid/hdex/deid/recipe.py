"""What is to be done to every partition of a table, decided once.

The engine sees the distinct tuples of the quasi-identifiers with their weights, never the rows. Its answer becomes a
recipe: a JSON document that says for every column what becomes of it and lists the classes that may leave. The list is
of what is released, not of what is held back: a row whose class is not on it stays inside, and the recipe spells out no
rare combination. It holds no key; it does hold the values of the quasi-identifiers, so it stays where the rows stay and
only its digest goes out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

import numpy as np
import polars as pl

from hdex.deid.anonymize_models import diversity
from hdex.deid.diversity import Codes, Diversity, Model, Sensitive, distances, distinct_values
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.evaluation import Limits, Progress, finest
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import optimum
from hdex.deid.nested import require_shallow
from hdex.deid.treatment import Action
from hdex.deid.tuples import (
    MOST_QUASI,
    Mask,
    Node,
    Table,
    Unit,
    class_sizes,
    classes_of,
    encoded,
    packed,
    tabulate,
    weak_classes,
)

VERSION = 1
SHIFT_DAYS = 60  # as in the preset of level 3
UNSAID = ("sensitive", "l", "t", "least_values", "distance")  # where nothing is asked, the document is as it was
MOST_TUPLES = 1_000_000  # distinct tuples the engine is given: about half a gigabyte with eight columns


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. A column stands in one of quasi, drop, pseudonym and shift; the others are kept."""

    quasi: tuple[str, ...]
    k: int = 5
    suppression: float = 0.05  # share of rows that may be left out
    patient: str | None = None  # column whose distinct values k counts; becomes a pseudonym unless dropped
    drop: tuple[str, ...] = ()
    pseudonym: tuple[str, ...] = ()
    shift: tuple[str, ...] = ()  # dates that move by the patient's secret number of days
    shift_days: int = SHIFT_DAYS
    recipient: str = ""  # with project: what the keys are derived for
    project: str = ""
    sensitive: str | None = None  # a kept column, for l and t
    l: int | None = None  # noqa: E741  distinct sensitive values of every class
    t: float | None = None  # largest distance of a class from the table

    def models(self) -> list[Diversity]:
        """What every class meets beside k."""
        return diversity(self.sensitive, self.l, self.t)

    def __post_init__(self) -> None:
        if not self.quasi:
            raise ArgumentInvalid("no quasi-identifier is named")
        if len(self.quasi) > MOST_QUASI:
            raise ArgumentInvalid(f"{len(self.quasi)} quasi-identifiers, asked are up to {MOST_QUASI}: drop the rest")
        if self.k < 1:
            raise ArgumentInvalid(f"k is {self.k}, asked is 1 or more")
        if not 0.0 <= self.suppression <= 1.0:
            raise ArgumentInvalid(f"suppression is {self.suppression:g}, asked is a share from 0 to 1")
        if self.shift and self.patient is None:
            raise ArgumentInvalid("dates move by the patient's secret offset: name the patient column")
        self.models()  # says what l and t lack
        if self.sensitive in {*self.quasi, *self.drop, *self.pseudonym, *self.shift, self.patient} - {None}:
            raise ArgumentInvalid(f"sensitive column {self.sensitive} is kept as it is, it cannot be another one too")
        if self.patient in {*self.quasi, *self.shift}:
            raise ArgumentInvalid(f"patient column {self.patient} is a pseudonym or dropped, it cannot be generalised")


@dataclass(frozen=True, slots=True)
class SensitiveCounts:
    """A sensitive column over the distinct (tuple, value) pairs."""

    tuples: Codes
    values: Sensitive  # codes: one per pair; shares: over all rows of the table
    rows: Codes  # of every pair

    def over(self, numbers: Codes) -> SensitiveCounts:
        """The same where tuple i has become `numbers[i]`, by tuple."""
        width = len(self.values.shares)
        keys = numbers[self.tuples] * width + self.values.codes
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        tuples, codes = np.divmod(ordered[starts], width)
        return SensitiveCounts(tuples, replace(self.values, codes=codes), np.add.reduceat(self.rows[order], starts))


@dataclass(frozen=True, slots=True)
class Counts:
    """A table as its distinct tuples: sorted, no NaN. rows: of every tuple. people: (tuple, patient) pairs by tuple."""

    tuples: pl.DataFrame
    rows: Codes
    people: tuple[Codes, Codes] | None
    patients: int
    sensitive: SensitiveCounts | None = None


@dataclass(frozen=True, slots=True)
class Generalised:
    """One quasi-identifier: leaf i reads labels[groups[i]]; at level 0 the value itself is kept."""

    level: int
    leaves: list[str | None]
    groups: list[int]
    labels: list[str | None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of every column, and which classes may leave."""

    columns: list[tuple[str, Action]]  # every column, in the order of the table
    generalised: dict[str, Generalised]
    classes: dict[str, list[int]]  # released classes: a group number per quasi-identifier, sorted
    patient: str | None
    recipient: str
    project: str
    shift_days: int
    k: int
    rows: int
    suppressed: int
    loss: float
    gap: float | None  # how far the loss may be above the optimum; None: not known, for there are floors
    floors: dict[str, int]  # columns generalised before the search, for there were too many distinct tuples
    smallest: int  # patients of the smallest released class
    average: float  # mean over released rows of 1 / patients of the class
    source: str  # digest of the footers of the partitions it was decided for
    version: int = VERSION
    sensitive: str | None = None
    l: int | None = None  # noqa: E741  asked for
    t: float | None = None
    least_values: int | None = None  # distinct sensitive values of the poorest released class
    distance: float | None = None  # of the farthest released class from the table

    @property
    def transformation(self) -> dict[str, int]:
        """Column -> level."""
        return {name: one.level for name, one in self.generalised.items()}

    @property
    def digest(self) -> str:
        """SHA-256 of the document."""
        return sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The document: keys sorted, no spaces, so that equal recipes are equal bytes."""
        said = {name: value for name, value in asdict(self).items() if value is not None or name not in UNSAID}
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a document again. Raises InputInvalid for another version or for anything else."""
        try:
            raw = json.loads(require_shallow(text))
            if raw.get("version") != VERSION:
                raise InputInvalid(f"the recipe has version {raw.get('version')}, asked is {VERSION}")
            raw["columns"] = [(name, Action(action)) for name, action in raw["columns"]]
            raw["generalised"] = {name: Generalised(**one) for name, one in raw["generalised"].items()}
            return cls(**raw)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, InputInvalid):
                raise
            raise InputInvalid("the recipe is not a document of this program") from error


def actions(request: Request, columns: Sequence[str]) -> list[tuple[str, Action]]:
    """What becomes of every column. Raises ArgumentInvalid for a column that is not there or is named twice."""
    pseudonym = request.pseudonym
    if request.patient is not None and request.patient not in {*pseudonym, *request.drop}:
        pseudonym = (*pseudonym, request.patient)
    asked: dict[str, Action] = {}
    lists = (request.quasi, request.drop, pseudonym, request.shift)
    kinds = (Action.GENERALISE, Action.REMOVE, Action.PSEUDONYMISE, Action.SHIFT)
    for names, action in zip(lists, kinds, strict=True):
        for name in names:
            if name in asked:
                raise ArgumentInvalid(f"column {name} is named twice ({asked[name]}, {action}), asked is once")
            asked[name] = action
    if missing := sorted(set(asked) - set(columns)):
        there = ", ".join(list(columns)[:20])
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the partitions; there are {there}")
    return [(name, asked.get(name, Action.KEEP)) for name in columns]


def decide(
    request: Request,
    counts: Counts,
    ladders: Mapping[str, Hierarchy],
    *,
    columns: list[tuple[str, Action]],
    source: str = "",
    budget: int | None = None,
    progress: Progress | None = None,
) -> Recipe:
    """Find the transformation of least loss over the distinct tuples and list the classes that may leave.

    ladders: one per quasi-identifier. source: digest of what was counted. budget: most nodes to evaluate.
    Raises RiskTooHigh when fewer than k patients are there or no node fits.
    """
    if counts.patients < request.k:
        why = "the whole table has no more patients than that"
        raise RiskTooHigh("k", found=counts.patients, asked=request.k, because=why)
    ready = {name: with_null(ladders[name], counts.tuples[name]) for name in request.quasi}
    fewer, floor = coarsened(counts, ready, MOST_TUPLES)
    table = weighted(fewer, ready, request.models())
    limits = Limits(request.k, int(request.suppression * table.total + 1e-9), floor)
    found = optimum(table, limits, budget=budget, progress=progress)
    node = finest(table, found.node or floor, floor)
    classes, count = classes_of(table, node)
    sizes = class_sizes(table, classes, count)
    keep = ~weak_classes(table, classes, count, request.k)[classes]
    kept = sizes[classes[keep]]  # patients beside every kept tuple
    released = int(table.rows[keep].sum())
    least, farthest = poorest(fewer.sensitive, table.numbers, classes, keep)
    return Recipe(
        columns=columns,
        generalised={name: generalised(ready[name], level) for name, level in zip(request.quasi, node, strict=True)},
        classes=released_classes(table, node, keep),
        patient=request.patient,
        recipient=request.recipient,
        project=request.project,
        shift_days=request.shift_days,
        k=request.k,
        rows=table.total,
        suppressed=table.total - released,
        loss=round(found.loss, 12),  # the sum's last digits depend on its order
        gap=None if any(floor) else round(max(found.loss - found.bound, 0.0), 12),
        floors={name: level for name, level in zip(request.quasi, floor, strict=True) if level},
        smallest=int(kept.min()) if released else 0,
        average=round(float((table.rows[keep] / kept).sum()) / max(released, 1), 12),
        source=source,
        sensitive=request.sensitive,
        l=request.l,
        t=request.t,
        least_values=least,
        distance=farthest,
    )


def poorest(
    counted: SensitiveCounts | None, numbers: Codes, classes: Codes, keep: Mask
) -> tuple[int | None, float | None]:
    """Fewest values and farthest distance of the kept classes; None without a sensitive column or a kept class.

    numbers: the engine's tuple of every counted one. The distance is from the whole table, what is left out included.
    """
    if counted is None or not keep.any():
        return None, None
    mine = counted.over(numbers)
    inside = keep[mine.tuples]
    _, groups = np.unique(classes[mine.tuples[inside]], return_inverse=True)
    values = replace(mine.values, codes=mine.values.codes[inside])
    rows, count = mine.rows[inside], int(groups.max()) + 1
    least = distinct_values(groups, values, rows, count).min()
    return int(least), round(float(distances(groups, values, rows, count).max()), 12)


def with_null(ladder: Hierarchy, values: pl.Series) -> Hierarchy:
    """The ladder, able to hold NULL where the column does."""
    return ladder.with_null() if values.null_count() else ladder


def coarsened(counts: Counts, ladders: Mapping[str, Hierarchy], most: int) -> tuple[Counts, Node]:
    """At most `most` distinct tuples, and the lowest level of every column that this took.

    While there are more, the column goes up one level that costs least loss for the tuples it joins. A tuple then
    stands for its group: what the engine sees from that level on is what it would have seen.
    """
    floor = [0] * len(ladders)
    if len(counts.rows) <= most:
        return counts, tuple(floor)
    rungs = list(ladders.values())
    leaves = [encoded(counts.tuples[name], ladder)[1] for name, ladder in ladders.items()]
    pairs = zip(leaves, rungs, strict=True)
    weights = [rows_in(counts.rows, leaf, len(rung.levels[0])) for leaf, rung in pairs]
    groups = list(leaves)
    numbers, first = packed(groups)
    while len(first) > most and any(low < rung.height - 1 for low, rung in zip(floor, rungs, strict=True)):
        column = cheapest(rungs, weights, floor)
        floor[column] += 1
        groups[column] = rungs[column].codes(floor[column])[leaves[column]]
        numbers, first = packed(groups)
    rows = rows_in(counts.rows, numbers, len(first))
    people = None if counts.people is None else (numbers[counts.people[0]], counts.people[1])
    sensitive = None if counts.sensitive is None else counts.sensitive.over(numbers)
    return Counts(counts.tuples[first], rows, people, counts.patients, sensitive), tuple(floor)


def rows_in(rows: Codes, numbers: Codes, count: int) -> Codes:
    """Rows of each of `count` groups."""
    return np.bincount(numbers, weights=rows, minlength=count).astype(np.int64)


def cheapest(ladders: Sequence[Hierarchy], weights: Sequence[Codes], floor: Sequence[int]) -> int:
    """The column whose next level adds least loss for every halving of its groups."""

    def price(column: int) -> float:
        ladder, low = ladders[column], floor[column]
        if low == ladder.height - 1:
            return math.inf
        added = float((ladder.losses(low + 1) - ladder.losses(low)) @ weights[column])
        halvings = math.log2(ladder.levels[low].n_unique() / ladder.levels[low + 1].n_unique())
        return added / halvings if halvings else 0.0

    return min(range(len(ladders)), key=price)


def weighted(counts: Counts, ladders: Mapping[str, Hierarchy], models: Sequence[Model] = ()) -> Table:
    """The engine's table of distinct tuples, each with the rows it stands for; `numbers`: which is whose."""
    table = tabulate(counts.tuples.select(*ladders), ladders, patient=None, models=(), weights=None)
    rows = rows_in(counts.rows, table.numbers, len(table.rows))
    people = None if counts.people is None else (table.numbers[counts.people[0]], counts.people[1])
    units = []
    if counts.sensitive is not None:
        mine = counts.sensitive.over(table.numbers)
        units = [Unit(model, mine.tuples, mine.values, mine.rows) for model in models]
    return replace(table, rows=rows, people=people, units=units, total=int(rows.sum()))


def generalised(ladder: Hierarchy, level: int) -> Generalised:
    """One column of the recipe."""
    groups = ladder.codes(level)
    first = np.unique(groups, return_index=True)[1]
    return Generalised(level, ladder.levels[0].to_list(), groups.tolist(), ladder.levels[level].gather(first).to_list())


def released_classes(table: Table, node: Node, keep: Mask) -> dict[str, list[int]]:
    """The classes that hold a kept tuple, as group numbers per column, in a fixed order."""
    pairs = zip(table.ladders, node, table.leaves, strict=True)
    groups = [ladder.codes(level)[leaves[keep]] for ladder, level, leaves in pairs]
    first = packed(groups)[1]
    names = [ladder.column for ladder in table.ladders]
    frame = pl.DataFrame({name: codes[first] for name, codes in zip(names, groups, strict=True)}).sort(names)
    return {name: frame[name].to_list() for name in names}
