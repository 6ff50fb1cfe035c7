"""What a search counts of every product, as numpy columns in memory: state, time, and one small code per facet.

A product's values in a facet (often several) are one code; products with the same values share it. So a filter is one
look-up per code and a count one `bincount`, whatever the number of values: 100,000 products take 5 MB and a
millisecond per question.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdex.catalog.facets import FACETS
from hdex.catalog.ports import FacetCount, Facets, Place, Query

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_EPOCH_MS = 62_135_596_800_000  # 0001-01-01, so that every time is above 0
_TIME_BITS = 49


@dataclass(frozen=True, slots=True)
class Found:
    """The slots of one page, best first, the number of all hits, the counts, and the page's end where more follow."""

    slots: tuple[int, ...]
    total: int
    facets: Facets
    follows: Place | None


class Columns:
    """One row per slot (a small number from 0 that its keeper chose). Not safe for threads."""

    def __init__(self, room: int = 1024) -> None:
        self._ids: list[str] = [""] * room
        self._live: Bools = np.zeros(room, np.bool_)
        self._issued: Ints = np.zeros(room, np.int64)
        self._codes = {name: np.zeros(room, np.int32) for name in FACETS}
        self._values: dict[str, list[tuple[str, ...]]] = {name: [] for name in FACETS}
        self._code_of: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in FACETS}

    def put(self, slot: int, id: str, issued_ms: int, facets: Mapping[str, Sequence[str]], *, live: bool) -> None:
        """Set one row."""
        self._reserve(slot + 1)
        self._ids[slot], self._issued[slot], self._live[slot] = id, issued_ms, live
        for name in FACETS:
            self._codes[name][slot] = self._code(name, tuple(facets.get(name, ())))

    def mark(self, slot: int, *, live: bool) -> None:
        """Set whether a row is found."""
        self._live[slot] = live

    def find(self, query: Query, slots: Ints | None = None, scores: Ints | None = None) -> Found:
        """Return the page of `query` among these rows (all, where None), each with its score (1, where None)."""
        slots = np.flatnonzero(self._live) if slots is None else slots
        kept = self._live[slots]
        if not kept.all():
            slots, scores = slots[kept], scores if scores is None else scores[kept]
        scores = np.ones(len(slots), np.int64) if scores is None else scores
        fits = {name: self._fits(name, value, slots) for name, value in query.chosen().items()}
        hits = _every(fits, len(slots))
        rows, total = slots[hits], int(np.count_nonzero(hits))
        facets = {
            name: self._counts(name, slots[_every(fits, len(slots), without=name)] if name in fits else rows)
            for name in FACETS
        }
        page, follows = self._page(query, rows, scores[hits])
        return Found(page, total, facets, follows)

    def _page(self, query: Query, rows: Ints, scores: Ints) -> tuple[tuple[int, ...], Place | None]:
        keys = (scores << _TIME_BITS) + (self._issued[rows] + _EPOCH_MS)
        if query.after is not None:
            rows, keys = self._later(query.after, rows, keys)
        wanted = query.offset + query.limit
        if 0 < wanted < len(rows):
            bound = np.partition(keys, len(keys) - wanted)[len(keys) - wanted]
            best = keys >= bound  # with all of those that are equal to the last: their ids decide
            best_rows, best_keys = rows[best], keys[best]
        else:
            best_rows, best_keys = rows, keys
        ids = self._ids
        order = sorted(zip((-best_keys).tolist(), (ids[row] for row in best_rows), best_rows.tolist(), strict=True))
        page = order[query.offset : wanted]
        follows = None
        if page and len(rows) > wanted:
            key, id, row = page[-1]
            follows = Place(-key >> _TIME_BITS, int(self._issued[row]), id)
        return tuple(row for _, _, row in page), follows

    def _later(self, after: Place, rows: Ints, keys: Ints) -> tuple[Ints, Ints]:
        bound = (after.score << _TIME_BITS) + after.issued_ms + _EPOCH_MS
        later = keys < bound
        for at in np.flatnonzero(keys == bound):
            later[at] = self._ids[int(rows[at])] > after.id
        return rows[later], keys[later]

    def _fits(self, facet: str, value: str, slots: Ints) -> Bools:
        holds = np.fromiter((value in values for values in self._values[facet]), np.bool_)
        return holds[self._codes[facet][slots]] if len(slots) else np.zeros(0, np.bool_)

    def _counts(self, facet: str, slots: Ints) -> tuple[FacetCount, ...]:
        counts: Counter[str] = Counter()
        for code, count in enumerate(np.bincount(self._codes[facet][slots]).tolist()):
            if count:
                counts.update(dict.fromkeys(self._values[facet][code], count))
        return tuple(FacetCount(value, counts[value]) for value in sorted(counts))

    def _code(self, facet: str, values: tuple[str, ...]) -> int:
        codes = self._code_of[facet]
        if values not in codes:
            codes[values] = len(self._values[facet])
            self._values[facet].append(values)
        return codes[values]

    def _reserve(self, size: int) -> None:
        more = max(size, 2 * len(self._ids)) - len(self._ids)
        if size <= len(self._ids):
            return
        self._ids += [""] * more
        self._live, self._issued = np.pad(self._live, (0, more)), np.pad(self._issued, (0, more))
        self._codes = {name: np.pad(codes, (0, more)) for name, codes in self._codes.items()}


def _every(fits: Mapping[str, Bools], size: int, *, without: str = "") -> Bools:
    kept = np.ones(size, np.bool_)
    for name, fit in fits.items():
        if name != without:
            kept &= fit
    return kept
