"""Differencing between the cells of studies: bins, groups and levels are populations too.

Two histograms whose edges differ by one year tell together who is of that age; two groups that differ by one patient
give that patient's value away. A cell, or a run of neighbouring ones, must not come closer than `threshold` people to
any union of cells that another study told of the same people, unless it is that union, or one study alone tells the
difference: then it is a cell like others and was held against the floor. Judged by a site on its own people, as the
populations of whole studies are (`disclosure_register`). Unions of several cells on both sides, beyond runs of
neighbours, are not compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # of each person: the cell, from 0; -1 where it is in none
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Partition:
    """Cells that a study tells: disjoint, over the people it sums."""

    labels: Labels  # (people,)
    is_ordered: bool = False  # bins and grid points: runs from the first cell on are told as well


def is_too_close(new: Partition, old: Partition, threshold: int) -> bool:
    """Return whether a cell of one is fewer than `threshold` people from a union of the other's; people as in both."""
    return any(_comes_close(one, other, threshold) for one, other in ((new, old), (old, new)))


def _comes_close(one: Partition, other: Partition, threshold: int) -> bool:
    others, sizes = _indices(other.labels)
    for mask in _told(one):
        inside = np.bincount(others[mask & (others >= 0)], minlength=len(sizes))
        nearest = 2 * inside > sizes  # the union that differs least
        if not nearest.any():
            continue
        apart = mask ^ ((others >= 0) & np.append(nearest, False)[others])
        if 0 < apart.sum() < threshold and not any(_is_union(apart, told.labels) for told in (one, other)):
            return True
    return False


def _told(partition: Partition) -> Iterator[Mask]:
    """Yield each cell with somebody in it, and each run from the first on."""
    for label in np.unique(partition.labels[partition.labels >= 0]):
        yield partition.labels == label
        if partition.is_ordered:
            yield (partition.labels >= 0) & (partition.labels <= label)


def _is_union(people: Mask, labels: Labels) -> bool:
    """Return whether these people are whole cells."""
    inside = labels >= 0
    touched = np.unique(labels[people & inside])
    return bool(np.array_equal(people, inside & np.isin(labels, touched)))


def _indices(labels: Labels) -> tuple[Labels, Labels]:
    """Return labels as 0.. without gaps, -1 kept, and how many people have each."""
    found, indices = np.unique(labels, return_inverse=True)
    shift = int(len(found) > 0 and found[0] < 0)
    indices = indices.astype(np.int64) - shift
    return indices, np.bincount(indices[indices >= 0], minlength=len(found) - shift)
