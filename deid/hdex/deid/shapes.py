"""What the values of a column look like: shares of forms, never a value."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from hdex.deid.forms import HAN, forms_of, is_number, year_of
from hdex.deid.identifiers import kind_of

SAMPLE = 400  # distinct values looked at; enough for a share to 5 points, cheap on a wide export
SAMPLED_CELLS = 160_000  # of a whole table: 10,000 columns are looked at through 40 values each
LEAST_SAMPLE = 40
SHORT = 2_000  # rows
LONGEST = 2_000  # characters of a cell that are looked at: a cell of 10 MB costs no more than a note


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts and shares over the filled cells of one column. Shares are 0-1 over a sample of distinct values."""

    rows: int
    filled: int
    distinct: int
    shares: Mapping[str, float]  # form -> share
    kinds: Mapping[str, float]  # checkable identifier -> share
    low: float | None  # smallest and largest number, when the column is numeric
    high: float | None
    decimals: float  # median count of decimals
    length: float  # median characters
    words: float  # mean words, a Han character counts one half
    one_length: bool
    years: int | None  # span of years, when dates
    sampled: int = 0  # distinct values the shares are over
    first_year: int | None = None
    leads: int = 0  # distinct first characters in the sample
    middle: float | None = None  # median over the rows, when numeric

    @property
    def uniqueness(self) -> float:
        """Distinct values per filled cell, 0-1."""
        return self.distinct / self.filled if self.filled else 0.0

    def share(self, *forms: str) -> float:
        """Return the largest share of the sample that one of these forms has."""
        return max((self.shares.get(form, 0.0) for form in forms), default=0.0)

    @property
    def numeric(self) -> bool:
        """Say whether nearly all values are numbers."""
        return self.share("number") >= 0.95

    @property
    def reads_as_text(self) -> bool:
        """Say whether the values are sentences rather than terms of a list."""
        varied = self.uniqueness >= 0.3 or self.length >= 200 or self.share("sentence") >= 0.5
        return self.words >= 9 and self.length >= 25 and varied and self.distinct > 2


def sample_size(columns: int) -> int:
    """Return how many distinct values of each of `columns` columns are looked at."""
    return max(LEAST_SAMPLE, min(SAMPLE, SAMPLED_CELLS // max(1, columns)))


def observe(series: pl.Series, *, sample: int = SAMPLE) -> Shape:
    """Return the shape of a column from `sample` distinct values spread over it."""
    filled, distinct, chosen = _short(series, sample) if series.len() <= SHORT else _long(series, sample)
    forms = Counter(form for value in chosen for form in forms_of(value))
    kinds = Counter(kind for value in chosen if (kind := kind_of(value)))
    size = max(1, len(chosen))
    numbers = [float(v) for v in chosen if is_number(v)]
    years = [year for v in chosen if (year := year_of(v)) is not None]
    return Shape(
        rows=series.len(),
        filled=filled,
        distinct=distinct,
        shares={form: count / size for form, count in forms.items()},
        kinds={kind: count / size for kind, count in kinds.items()},
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        decimals=statistics.median([len(v.partition(".")[2]) for v in chosen] or [0]),
        length=statistics.median([len(v) for v in chosen] or [0]),
        words=sum(_words(v) for v in chosen) / size,
        one_length=len({len(v) for v in chosen}) == 1,
        years=max(years) - min(years) if years else None,
        sampled=len(chosen),
        leads=len({v[0] for v in chosen}),
        first_year=min(years, default=None),
        middle=_median(series) if len(numbers) == len(chosen) > 0 else None,
    )


def as_text(series: pl.Series) -> pl.Series:
    """Return the filled cells as stripped text; empty strings count as not filled."""
    if series.dtype in (pl.List, pl.Struct, pl.Array, pl.Object):
        series = pl.Series(series.name, [None if v is None else str(v) for v in series.to_list()], dtype=pl.String)
    if series.dtype == pl.Binary:  # bytes that are no text are a file in a cell
        series = pl.Series(
            series.name, [None if v is None else "bytes " * 12 for v in series.to_list()], dtype=pl.String
        )
    text = series.cast(pl.String, strict=False).str.strip_chars()
    return text.filter(text.is_not_null() & (text != ""))


def _short(series: pl.Series, sample: int) -> tuple[int, int, list[str]]:
    """Return (filled cells, distinct values, sample) of a short column: cheaper without a query for each question."""
    if series.dtype == pl.Binary:
        series = as_text(series)
    cells = [text for value in series.to_list() if value is not None and (text := str(value).strip())]
    distinct = list(dict.fromkeys(cells))
    return len(cells), len(distinct), [text[:LONGEST] for text in distinct[:: max(1, len(distinct) // sample)][:sample]]


def _long(series: pl.Series, sample: int) -> tuple[int, int, list[str]]:
    text = as_text(series)
    distinct = text.unique(maintain_order=True)
    chosen = distinct.gather_every(max(1, distinct.len() // sample)).head(sample).str.head(LONGEST)
    return text.len(), distinct.len(), chosen.to_list()


def _median(series: pl.Series) -> float | None:
    if series.len() <= SHORT:
        cells = [
            float(text) for value in series.to_list() if value is not None and is_number(text := str(value).strip())
        ]
        return statistics.median(cells) if cells else None
    found = as_text(series).cast(pl.Float64, strict=False).median()
    return float(found) if isinstance(found, (int, float)) else None


def _words(value: str) -> float:
    han = len(HAN.findall(value))
    return len(value.split()) + han / 2 if han else len(value.split())
