"""Cohort counts of a draft as the two people see them who sign it: what everybody will be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hdex.catalog.cohort import Cohort, answer, breakdown
from hdex.catalog.documents import from_document
from hdex.catalog.web.cohort_page import band, reads


@dataclass(frozen=True, slots=True)
class DimensionShown:
    """One dimension: its column, and each label with its band."""

    column: str
    bands: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CohortReview:
    """A cube under review. `cells` of which `small` are told as no more than k."""

    k: int
    margin: int
    cells: int
    small: int
    everybody: str
    dimensions: tuple[DimensionShown, ...]
    digest: str


def cohort_review(draft: Mapping[str, Any] | None, lang: str) -> CohortReview | None:
    """Return the cube of a draft, None where it tells none. draft: a manifest's document."""
    if not draft or not draft.get("cohort"):
        return None
    cohort = from_document(Cohort, draft["cohort"])
    shown = (
        DimensionShown(
            one.column,
            tuple((reads(one, label, lang), band(found)) for label, found in breakdown(cohort, one.column, {})),
        )
        for one in cohort.dimensions
    )
    return CohortReview(
        k=cohort.k,
        margin=cohort.margin,
        cells=len(cohort.counts),
        small=sum(count == 0 for count in cohort.counts),
        everybody=band(answer(cohort, {})),
        dimensions=tuple(shown),
        digest=cohort.digest(),
    )
