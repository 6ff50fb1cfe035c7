"""Cohort counts before any contract: one frozen table of rounded counts in the manifest, and its answer to a question.

The provider rounds every cell to a multiple of k before it signs; the catalogue adds up what was told and tells a band:
from the sum less what it may be off, to the sum and what it may be off. No answer says more than the table, so the same
question has the same answer for as long as the version stands.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from hdex.catalog.documents import Json, digest, to_document
from hdex.catalog.errors import CohortInvalid, NoCohort, ProductInvalid
from hdex.catalog.terms import Text

LEAST_K, MOST_K = 10, 1_000
WIDEST = 5  # margin, in k
MOST_CELLS = 1_000
MOST_COUNT = 10**9
MOST_LABELS = 16
LONGEST_LABEL = 60
DIMENSIONS = (2, 5)
HIGHEST_LEVEL = 3  # of a column by which counts are told to everybody
NEAR = 20  # records of a manifest are told in tens, and stay while a version differs by fewer than twenty


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortColumn:
    """By what counts are asked for: a column in bands between rising edges, or by its words or how they begin."""

    column: str
    edges: tuple[float, ...] | None = None
    prefix: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRecipe:
    """What a hospital asks of a cube when it offers a product: 2 to 5 coarse dimensions, no cell below k."""

    dimensions: tuple[CohortColumn, ...]
    k: int = LEAST_K


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortDimension:
    """One dimension as it is told."""

    column: str
    labels: tuple[str, ...]
    edges: tuple[float, ...] | None = None
    prefix: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The frozen table: counts of individuals, rounded to multiples of k, the last dimension running fastest."""

    dimensions: tuple[CohortDimension, ...]
    k: int
    margin: int  # how far a sum of cells may be from the true count; one cell is off by k at most
    counts: tuple[int, ...]

    def recipe(self) -> CohortRecipe:
        """Return what was asked for when the table was made."""
        asked = (CohortColumn(column=one.column, edges=one.edges, prefix=one.prefix) for one in self.dimensions)
        return CohortRecipe(dimensions=tuple(asked), k=self.k)

    def digest(self) -> str:
        """Return the SHA-256 of the table's canonical document, lower-case hex: what its reviewers sign."""
        document = to_document(self)
        return digest(document if isinstance(document, Mapping) else {})


@dataclass(frozen=True, slots=True)
class CohortAnswer:
    """How many individuals fit, as a band. `at_least` 0 is never told as none: `at_most` stands beside it."""

    where: Mapping[str, str]
    told: int  # the rounded count, 0 where it is suppressed
    at_least: int
    at_most: int

    def text(self) -> Text:
        """Return the answer as a sentence in both languages."""
        if self.told == 0:
            return Text(
                f"No more than {self.at_most:,} individuals; how few is not told.",
                f"不超过 {self.at_most:,} 人；具体人数不予公布。",
            )
        if self.at_least == 0:
            return Text(f"No more than {self.at_most:,} individuals.", f"不超过 {self.at_most:,} 人。")
        return Text(
            f"Between {self.at_least:,} and {self.at_most:,} individuals.",
            f"{self.at_least:,} 至 {self.at_most:,} 人之间。",
        )

    def document(self) -> Json:
        """Return the answer as JSON values."""
        said = self.text()
        band = {"at_least": self.at_least, "at_most": self.at_most, "suppressed": self.told == 0}
        return {"where": dict(self.where), **band, "text": {"en": said.en, "zh": said.zh}}


def answer(cohort: Cohort | None, where: Mapping[str, str]) -> CohortAnswer:
    """Return the band of how many individuals have one label of each dimension named, any of the others.

    Raises CohortInvalid for a dimension or a label that the table does not have, NoCohort where there is no table.
    """
    table = _require(cohort)
    places = [_places(one, where.get(one.column)) for one in table.dimensions]
    unknown = sorted(where.keys() - {one.column for one in table.dimensions})
    if unknown:
        known = ", ".join(one.column for one in table.dimensions)
        raise CohortInvalid(f"dimension {unknown[0][:40]!r} is asked; there are {known}")
    sizes = [len(one.labels) for one in table.dimensions]
    told = sum(table.counts[_offset(cell, sizes)] for cell in product(*places))
    off = table.k if all(len(held) == 1 for held in places) else table.margin
    return CohortAnswer(dict(where), told, max(0, told - off), told + off)


def breakdown(cohort: Cohort | None, column: str, where: Mapping[str, str]) -> tuple[tuple[str, CohortAnswer], ...]:
    """Return each label of one dimension with its answer, the others as `where` names them."""
    table = _require(cohort)
    (found,) = (one for one in table.dimensions if one.column == column)
    return tuple((label, answer(table, {**where, column: label})) for label in found.labels)


def read_where(words: Sequence[str]) -> dict[str, str]:
    """Return conditions written as `column=label`. Raises CohortInvalid."""
    found: dict[str, str] = {}
    for word in words:
        column, sign, label = word.partition("=")
        if not sign or not column or column in found:
            raise CohortInvalid("a condition is written column=label, each column once")
        found[column] = label
    return found


def check_cohort(cohort: Cohort, columns: Mapping[str, int], records: int) -> None:
    """Raise ProductInvalid unless a stranger's table can be told: sizes, labels, and no cell below k.

    columns: the level of each column of the product.
    """
    names = [one.column for one in cohort.dimensions]
    low, high = DIMENSIONS
    require(low <= len(names) <= high, f"{low} to {high} dimensions are asked")
    require(len(set(names)) == len(names), "a dimension stands twice")
    require(LEAST_K <= cohort.k <= MOST_K, f"k is {cohort.k}, {LEAST_K} to {MOST_K} are asked")
    widths = [cohort.k * number for number in range(1, WIDEST + 1)]
    require(cohort.margin in widths, "margin: a small multiple of k is asked")
    for one in cohort.dimensions:
        require(columns.get(one.column, HIGHEST_LEVEL + 1) <= HIGHEST_LEVEL, f"no column {one.column[:40]!r} to tell")
        _check_dimension(one)
    cells = math.prod(len(one.labels) for one in cohort.dimensions)
    require(cells <= MOST_CELLS and len(cohort.counts) == cells, f"{len(cohort.counts)} counts, {cells} are asked")
    require(all(0 <= count <= MOST_COUNT for count in cohort.counts), "a count is below 0 or endless")
    require(all(count % cohort.k == 0 for count in cohort.counts), f"a count is no multiple of k, {cohort.k}")
    off = abs(sum(cohort.counts) - records)
    require(off <= cohort.margin + NEAR, "the counts are not those of the product's records")


def require(condition: bool, problem: str) -> None:
    """Raise ProductInvalid with the problem unless the condition holds."""
    if not condition:
        raise ProductInvalid(f"cohort: {problem}")


def _check_dimension(dimension: CohortDimension) -> None:
    where, labels = f"dimension {dimension.column[:40]!r}", dimension.labels
    require(2 <= len(labels) <= MOST_LABELS, f"{where}: 2 to {MOST_LABELS} labels are asked")
    require(len(set(labels)) == len(labels), f"{where}: a label stands twice")
    require(all(0 < len(label) <= LONGEST_LABEL and label.isprintable() for label in labels), f"{where}: a label")
    edges = dimension.edges or ()
    require(all(before < after for before, after in pairwise(edges)), f"{where}: edges do not rise")
    require(not edges or len(edges) < len(labels), f"{where}: more edges than labels")
    require(dimension.prefix is None or 1 <= dimension.prefix <= LONGEST_LABEL, f"{where}: prefix")
    require(dimension.prefix is None or dimension.edges is None, f"{where}: edges or a prefix, not both")


def _require(cohort: Cohort | None) -> Cohort:
    if cohort is None:
        raise NoCohort("this product tells no cohort counts; ask its provider")
    return cohort


def _places(dimension: CohortDimension, label: str | None) -> Sequence[int]:
    if label is None:
        return range(len(dimension.labels))
    if label not in dimension.labels:
        raise CohortInvalid(f"{dimension.column}: {label[:40]!r} is asked; there are {', '.join(dimension.labels)}")
    return (dimension.labels.index(label),)


def _offset(cell: Sequence[int], sizes: Sequence[int]) -> int:
    place = 0
    for index, size in zip(cell, sizes, strict=True):
        place = place * size + index
    return place
