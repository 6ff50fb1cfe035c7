"""Differencing: two releases, each safe alone, tell by subtraction what neither tells.

A version without one withdrawn patient, or a second product over the same people with other groups: a class of one
release that classes of the other fill exactly must hold as many patients in both, or differ by enough of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.attack_labels import MASKED, Kind, Labels, Mask, date_interval, number_interval, read_labels
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.hierarchy import ANY, as_text

Numbers = NDArray[np.int64]
WHO, ALL, ROWS = "\0who", "\0all", "\0rows"
BLOCK = 4_000_000  # pairs of classes compared at a time


@dataclass(frozen=True, slots=True)
class Classes:
    """The equivalence classes of one release."""

    labels: Mapping[str, Labels]
    codes: Mapping[str, Numbers]  # per column: label of every class
    sizes: Numbers  # patients of every class
    members: Sequence[frozenset[object]] | None  # who they are, where both releases name them alike


def differences(
    release_a: pl.DataFrame, release_b: pl.DataFrame, quasi: Sequence[str], *, patient: str | None = None
) -> int:
    """Return the smallest number of patients, above 0, by which the two releases differ in a class; 0: in none.

    Compared is every class of one release that classes of the other fill exactly (the same class, or the finer ones it
    is made of, or none at all), and every group of classes that overlap each other. Safe are 0 and at least the
    threshold of the house. quasi: columns that form classes; those that only one release has are passed over, for it is
    the coarser one. patient: column that names a patient alike in both; then who leaves and who enters are counted
    apart, else only numbers of rows. Labels are read as `attack_labels` reads them; group names match themselves only.
    """
    lacking = sorted(one for one in quasi if one not in release_a.columns and one not in release_b.columns)
    if lacking:
        raise ArgumentInvalid(f"columns {', '.join(lacking)} are in neither release")
    shared = [one for one in dict.fromkeys(quasi) if one in release_a.columns and one in release_b.columns]
    if patient is not None and not {patient} <= set(release_a.columns) & set(release_b.columns):
        raise ArgumentInvalid(f"patient column {patient} is not in both releases")
    kinds = {one: common_kind(release_a[one], release_b[one]) for one in shared}
    a, b = (classes_of(frame, kinds, patient) for frame in (release_a, release_b))
    pairs = overlapping(a, b)
    found = [*tiled(a, b, pairs), *tiled(b, a, [(y, x, inside_b, inside_a) for x, y, inside_a, inside_b in pairs])]
    found += grouped(a, b, pairs)
    return min((size for size in found if size > 0), default=0)


def common_kind(first: pl.Series, second: pl.Series) -> Kind:
    """What two released columns hold: days or numbers where every label of both reads as such, else text."""
    labels = pl.concat([as_text(first), as_text(second)]).drop_nulls().unique(maintain_order=True)
    texts = [text for text in labels.to_list() if text != ANY]
    days = [date_interval(text) is not None for text in texts]
    is_typed = any(one.dtype.is_temporal() for one in (first, second))
    if is_typed or (all(days) and any(len(text) > len("2024") for text in texts)):
        return Kind.DATE
    numbers = [number_interval(text) is not None for text in texts]
    cut = [MASKED.fullmatch(text) is not None for text in texts]
    is_numeric = any(numbers) and all(one or other for one, other in zip(numbers, cut, strict=True))
    return Kind.NUMBER if is_numeric else Kind.TEXT


def classes_of(frame: pl.DataFrame, kinds: Mapping[str, Kind], patient: str | None) -> Classes:
    """Count a release by class."""
    names = list(kinds)
    none = pl.zeros(frame.height, dtype=pl.Int64, eager=True)
    who = none if patient is None else frame[patient]
    keyed = pl.DataFrame([who.alias(WHO), none.alias(ALL), *(as_text(frame[one]).alias(one) for one in names)])
    counted = keyed.group_by(ALL, *names, maintain_order=True).agg(pl.len().alias(ROWS), pl.col(WHO).unique())
    labels = {one: read_labels(counted[one], kinds[one]) for one in names}
    codes = {
        one: np.array([labels[one].places[text] for text in counted[one].to_list()], dtype=np.int64) for one in names
    }
    members = None if patient is None else [frozenset(one) for one in counted[WHO].to_list()]
    sizes = counted[ROWS] if members is None else pl.Series([len(one) for one in members], dtype=pl.Int64)
    return Classes(labels, codes, sizes.to_numpy().astype(np.int64), members)


def overlapping(a: Classes, b: Classes) -> list[tuple[int, int, bool, bool]]:
    """(class of a, class of b, a lies in b, b lies in a) for all pairs that share a value in every column."""
    relations = {one: compared(a.labels[one], b.labels[one]) for one in a.labels}
    pairs: list[tuple[int, int, bool, bool]] = []
    step = max(1, BLOCK // max(len(b.sizes), 1))
    for start in range(0, len(a.sizes), step):
        stop = min(start + step, len(a.sizes))
        shape = (stop - start, len(b.sizes))
        meets, a_in_b, b_in_a = (np.ones(shape, dtype=np.bool_) for _ in range(3))
        for one, (meet, inside, around) in relations.items():
            cells = np.ix_(a.codes[one][start:stop], b.codes[one])
            meets &= meet[cells]
            a_in_b &= inside[cells]
            b_in_a &= around[cells]
        rows, columns = np.nonzero(meets)
        flags = zip(a_in_b[rows, columns].tolist(), b_in_a[rows, columns].tolist(), strict=True)
        places = zip((rows + start).tolist(), columns.tolist(), strict=True)
        pairs += [(x, y, in_b, in_a) for (x, y), (in_b, in_a) in zip(places, flags, strict=True)]
    return pairs


def compared(a: Labels, b: Labels) -> tuple[Mask, Mask, Mask]:
    """(overlap, a's label lies in b's, b's in a's) for every pair of labels, shape (labels of a, labels of b)."""
    meets, inside, around = (np.zeros((len(a.places), len(b.places)), dtype=np.bool_) for _ in range(3))
    low_a, high_a = a.low[:, None], a.high[:, None]
    inside |= (b.low <= low_a) & (high_a <= b.high)
    around |= (low_a <= b.low) & (b.high <= high_a)
    meets |= (low_a <= b.high) & (b.low <= high_a)
    for text, place in a.places.items():
        other = b.places.get(text)
        if other is not None:
            inside[place, other] = around[place, other] = True
    begun(a, b, inside)
    begun(b, a, around.T)
    inside[:, b.always] = True
    around[a.always, :] = True
    return meets | inside | around, inside, around


def begun(finer: Labels, coarser: Labels, inside: Mask) -> None:
    """Mark the labels of `finer` that lie in a prefix (I63*) of `coarser`."""
    for start, length, number in coarser.starts:
        for text, place in finer.places.items():
            if text is not None and text.startswith(start) and length in (0, len(text)):
                inside[place, number] = True


def tiled(a: Classes, b: Classes, pairs: Iterable[tuple[int, int, bool, bool]]) -> list[int]:
    """Differences of every class of a whose overlap with b consists of whole classes of b."""
    inside: dict[int, list[int]] = {number: [] for number in range(len(a.sizes))}
    broken: set[int] = set()
    for x, y, _, b_in_a in pairs:
        inside[x].append(y)
        if not b_in_a:
            broken.add(x)
    return [size for x, parts in inside.items() if x not in broken for size in apart(a, [x], b, parts)]


def grouped(a: Classes, b: Classes, pairs: Iterable[tuple[int, int, bool, bool]]) -> list[int]:
    """Differences of every group of classes that hang together by overlaps."""
    parent = list(range(len(a.sizes) + len(b.sizes)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for x, y, _, _ in pairs:
        parent[root(x)] = root(len(a.sizes) + y)
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for number in range(len(parent)):
        of_a, of_b = groups.setdefault(root(number), ([], []))
        if number < len(a.sizes):
            of_a.append(number)
        else:
            of_b.append(number - len(a.sizes))
    return [size for of_a, of_b in groups.values() for size in apart(a, of_a, b, of_b)]


def apart(a: Classes, of_a: Sequence[int], b: Classes, of_b: Sequence[int]) -> tuple[int, ...]:
    """By how many patients two sets of classes differ: who left and who entered, or the difference of counts."""
    if a.members is None or b.members is None:
        return (abs(int(a.sizes[list(of_a)].sum()) - int(b.sizes[list(of_b)].sum())),)
    first = frozenset[object]().union(*(a.members[one] for one in of_a))
    second = frozenset[object]().union(*(b.members[one] for one in of_b))
    return len(first - second), len(second - first)
