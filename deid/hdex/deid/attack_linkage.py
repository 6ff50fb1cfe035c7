"""Attacks on a released table beside its original, by what its labels say: no key, no code of the engines.

Linkage: the attacker keeps every released row whose labels his target may carry, and points at one patient among them.
Where the release does not say who is who, a target counts as found with probability one in the patients left, as if
his row were always among them: the true rate is no higher. Attribute inference: he reads the sensitive value of the row
he points at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.attack_labels import Kind, Labels, Mask, kind_of, read_labels
from hdex.deid.attackers import Known
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.hierarchy import ANY, Hierarchy, as_text

Numbers = NDArray[np.int64]
Masks = dict[tuple[int, str | None], Mask]  # (column, value) -> labels that may hold it
SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one kind of attack reached. Rates are shares of the targets, 0-1; membership's is an AUC."""

    kind: str
    rate: float
    by_chance: float  # what a blind guess reaches
    bound: float  # what a release that keeps its promise allows
    targets: int
    succeeded: int = 0
    column: str | None = None  # what was inferred

    @property
    def is_within(self) -> bool:
        """Whether the release withstood."""
        return self.rate <= self.bound + 1e-12

    def to_dict(self) -> dict[str, object]:
        """As JSON values, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def bound_of(k: int, targets: int) -> float:
    """The highest rate that a release of classes of k may show on so many targets: 1/k and three standard errors."""
    share = 1 / k
    return min(1.0, share + SIGMAS * float((share * (1 - share) / max(targets, 1)) ** 0.5))


@dataclass(frozen=True, slots=True)
class Haystack:
    """The distinct tuples of a release over the columns an attacker knows, and who carries them."""

    known: tuple[Known, ...]
    labels: tuple[Labels, ...]
    codes: tuple[Numbers, ...]  # per column: label of every tuple
    rows: tuple[Numbers, Numbers]  # where each tuple's rows begin in the second array; row numbers by tuple
    people: Numbers  # per released row: number of the patient

    @classmethod
    def of(
        cls,
        original: pl.DataFrame,
        released: pl.DataFrame,
        known: Sequence[Known],
        *,
        patient: str | None = None,
        shift_days: int = 0,
        ladders: Mapping[str, Hierarchy] | None = None,
    ) -> Haystack:
        """Read the labels of `released`; `original` says what its columns held."""
        labels, codes = [], []
        for one in known:
            raw = original[one.column]
            read = read_labels(
                released[one.column],
                kind_of(raw),
                raw=raw,
                ladder=(ladders or {}).get(one.column),
                shift_days=shift_days,
            )
            labels.append(read)
            texts = as_text(released[one.column]).to_list()
            codes.append(np.fromiter((read.places[text] for text in texts), dtype=np.int64, count=len(texts)))
        tuples, of_row = distinct_tuples(codes, released.height)
        order = np.argsort(of_row, kind="stable")
        begins = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=tuples.shape[1]))]).astype(np.int64)
        return cls(tuple(known), tuple(labels), tuple(tuples), (begins, order), numbered(released, patient))

    def fitting(self, values: Sequence[str | None], masks: Masks) -> Numbers:
        """Released rows whose labels the values may read as. masks: what was read before, by column and value."""
        left = np.arange(len(self.rows[0]) - 1)
        for number, (text, known, labels) in enumerate(zip(values, self.known, self.labels, strict=True)):
            place = (number, text)
            if place not in masks:
                masks[place] = labels.holding(text, known.reads)
            left = left[masks[place][self.codes[number][left]]]
        begins, order = self.rows
        if len(left) == len(begins) - 1:
            return order
        parts = [order[begins[one] : begins[one + 1]] for one in left]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def unread(self) -> list[str]:
        """Columns with labels that say nothing without their hierarchy: the attacker gains nothing from those cells."""
        return [
            one.column
            for one, labels in zip(self.known, self.labels, strict=True)
            if any(labels.always[number] and text not in (None, ANY) for text, number in labels.places.items())
        ]

    def without_dates(self) -> Haystack:
        """The same for an attacker who found nobody and gives up on days: they were moved."""
        keep = [number for number, labels in enumerate(self.labels) if labels.kind is not Kind.DATE]
        return Haystack(
            tuple(self.known[number] for number in keep),
            tuple(self.labels[number] for number in keep),
            tuple(self.codes[number] for number in keep),
            self.rows,
            self.people,
        )


def distinct_tuples(codes: Sequence[Numbers], rows: int) -> tuple[NDArray[np.int64], Numbers]:
    """(columns x tuples, tuple of every row); no column: one tuple for all."""
    if not codes:
        return np.zeros((0, 1), dtype=np.int64), np.zeros(rows, dtype=np.int64)
    key = np.zeros(rows, dtype=np.int64)
    for column in codes:
        width = int(column.max()) + 1 if rows else 1
        key = np.unique(key * width + column, return_inverse=True)[1].astype(np.int64)
    first = np.unique(key, return_index=True)[1]
    return np.array([column[first] for column in codes], dtype=np.int64), key


def numbered(frame: pl.DataFrame, patient: str | None) -> Numbers:
    """A number per row, the same for the rows of one patient."""
    if patient is None or patient not in frame.columns:
        return np.arange(frame.height, dtype=np.int64)
    return frame[patient].cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64)


@dataclass(frozen=True, slots=True)
class Siege:
    """Everything an attack needs: two tables, what is known, and the targets drawn."""

    original: pl.DataFrame
    released: pl.DataFrame
    known: tuple[Known, ...]  # columns that are in both
    patient: str | None
    k: int
    seed: int
    aims: Numbers  # rows of `original`, one per target
    owners: Sequence[object] | None  # per released row: the patient, or original row, it is of; None: not known
    ladders: Mapping[str, Hierarchy]
    shift_days: int

    @classmethod
    def lay(
        cls,
        original: pl.DataFrame,
        released: pl.DataFrame,
        known: Sequence[Known],
        *,
        patient: str | None = None,
        k: int = 5,
        targets: int = 1000,
        seed: int = 0,
        owners: Sequence[object] | None = None,
        ladders: Mapping[str, Hierarchy] | None = None,
        shift_days: int = 0,
    ) -> Siege:
        """Draw the targets: patients where `patient` names them, else rows. Raises ArgumentInvalid for missing columns.

        owners: per released row the patient (or, without `patient`, the number of the original row) it came from.
        Known columns that were not released help nobody and are passed over.
        """
        asked = [one.column for one in known] + ([patient] if patient else [])
        missing = sorted(set(asked) - set(original.columns))
        if missing:
            raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the original table")
        if k < 1 or targets < 1 or shift_days < 0:
            raise ArgumentInvalid(f"k is {k}, targets {targets}, shift_days {shift_days}; asked are 1, 1 and 0 or more")
        used = tuple(one for one in known if one.column in released.columns)
        random = np.random.default_rng(seed)
        order = random.permutation(original.height)
        people = numbered(original, patient)[order]
        firsts = np.sort(np.unique(people, return_index=True)[1])  # one row of each, drawn at random
        aims = np.sort(order[firsts[:targets]])
        whose = owners_of(original, released, patient) if owners is None else owners
        return cls(original, released, used, patient, k, seed, aims, whose, ladders or {}, shift_days)

    def haystack(self) -> Haystack:
        """The release as the attacker reads it."""
        return Haystack.of(
            self.original,
            self.released,
            self.known,
            patient=self.patient,
            shift_days=self.shift_days,
            ladders=self.ladders,
        )

    def values(self) -> list[tuple[str | None, ...]]:
        """What is known of every target."""
        if not self.known:
            return [()] * len(self.aims)
        rows = self.original.select(as_text(self.original[one.column]) for one in self.known)[self.aims.tolist()]
        return list(rows.iter_rows())

    def true_owner(self, row: int) -> object:
        """Who the target of that row is, in the words of `owners`."""
        return row if self.patient is None else self.original[self.patient][row]

    @property
    def by_chance(self) -> float:
        """Share of a blind guess."""
        people = len(np.unique(numbered(self.original, self.patient)))
        return 1 / people if people else 0.0


def owners_of(original: pl.DataFrame, released: pl.DataFrame, patient: str | None) -> Sequence[object] | None:
    """The patients of the released rows where they left under their own numbers, which a release must not do."""
    if patient is None or patient not in released.columns or released.height == 0:
        return None
    same = released[patient].cast(pl.String).is_in(original[patient].cast(pl.String).unique().to_list()).all()
    return released[patient].cast(original[patient].dtype).to_list() if same else None


def each_target(siege: Siege) -> list[Numbers]:
    """The released rows that are left for every target; an attacker whom his days leave nobody goes without them.

    When days leave nobody for most targets he concludes that all of them were moved, and uses none.
    """
    haystack = siege.haystack()
    found = rows_fitting(siege, haystack)
    if not any(labels.kind is Kind.DATE for labels in haystack.labels):
        return found
    undated = rows_fitting(siege, haystack.without_dates())
    fitting, others = (sum(len(rows) > 0 for rows in side) for side in (found, undated))
    if fitting < others / 2:
        return undated
    return [rows if len(rows) else other for rows, other in zip(found, undated, strict=True)]


def rows_fitting(siege: Siege, haystack: Haystack) -> list[Numbers]:
    """The released rows that fit every target by the columns of `haystack`."""
    columns = [one.column for one in siege.known]
    places = [columns.index(one.column) for one in haystack.known]
    masks: Masks = {}
    return [haystack.fitting([values[place] for place in places], masks) for values in siege.values()]


def linkage(siege: Siege, found: Sequence[Numbers] | None = None) -> Attempt:
    """Point at one patient for every target. found: `each_target(siege)`, where it is at hand."""
    random = np.random.default_rng(siege.seed + 1)
    people = numbered(siege.released, siege.patient)
    hits = 0
    for row, rows in zip(siege.aims, each_target(siege) if found is None else found, strict=True):
        left, first = np.unique(people[rows], return_index=True)
        draw = random.random()
        if len(left) == 0:
            continue
        if siege.owners is None:
            hits += draw < 1 / len(left)
            continue
        pointed = rows[first[int(draw * len(left))]]
        hits += siege.owners[int(pointed)] == siege.true_owner(int(row))
    count = len(siege.aims)
    rate = hits / count if count else 0.0
    return Attempt("linkage", rate, siege.by_chance, bound_of(siege.k, count), count, int(hits))


def attribute(siege: Siege, sensitive: str, found: Sequence[Numbers] | None = None) -> Attempt:
    """Read the sensitive value of a row drawn among those that fit.

    rate: how often it is the target's, on average. bound: how often the value of another fitting row is (what the
    release teaches of his kind, with him or without), and one in k more for his own row.
    """
    told = as_text(siege.released[sensitive]).to_list()
    mine = as_text(siege.original[sensitive]).to_list()
    values, whole = np.unique([text or "" for text in told], return_inverse=True)
    shares = dict(zip(values, np.bincount(whole, minlength=len(values)) / max(len(told), 1), strict=True))
    rates, others, chances = [], [], []
    for row, rows in zip(siege.aims, each_target(siege) if found is None else found, strict=True):
        own = mine[int(row)] or ""
        chance = float(shares.get(own, 0.0))
        same = float(np.count_nonzero(values[whole[rows]] == own)) if len(rows) else 0.0
        chances.append(chance)
        rates.append(same / len(rows) if len(rows) else 0.0)
        others.append(max(same - 1, 0.0) / (len(rows) - 1) if len(rows) > 1 else chance)
    count = max(len(rates), 1)
    rate, base, chance = (float(np.sum(part)) / count for part in (rates, others, chances))
    bound = min(1.0, base + bound_of(siege.k, count))
    return Attempt("attribute", rate, chance, bound, len(rates), round(rate * len(rates)), sensitive)


def worst(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt that passed its bound, or the one that gained most over chance."""
    return max(attempts, key=gain, default=None)


def gain(attempt: Attempt) -> tuple[bool, float]:
    """Whether an attempt passed its bound, and what it reached beyond chance."""
    return not attempt.is_within, attempt.rate - attempt.by_chance
