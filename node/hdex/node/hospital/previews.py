"""Previews of a data set's versions: synthetic rows, charged to one privacy budget of the data set.

Each version draws its own noise, so what all previews tell of one patient adds up. Once the budget is spent, a new
version shows the rows of the last preview again, which costs nothing, or none where they do not fit its columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from hdex.catalog.documents import from_document
from hdex.catalog.errors import PreviewRefused
from hdex.catalog.preview import aggregate_preview, synthetic_preview
from hdex.catalog.product import Preview, PreviewKind

EPSILON = 1.0  # of one preview
BUDGET = 10.0  # of all previews of a data set together
MARK = "synthetic"


def preview_of(frame: pl.DataFrame | None, drawn: Sequence[Preview]) -> Preview:
    """Return the preview of a version's rows. drawn: the earlier ones of the same data set, oldest first."""
    if frame is None:
        return Preview(kind=PreviewKind.AGGREGATE)
    if spent(drawn) + EPSILON > BUDGET:
        return shown_again(frame, drawn)
    generator = np.random.default_rng()  # from the system's entropy: a seed would let noise be subtracted
    try:
        return synthetic_preview(frame, epsilon=EPSILON, generator=generator)
    except PreviewRefused:
        return aggregate_preview(frame)


def spent(drawn: Iterable[Preview]) -> float:
    """Return the epsilon that previews cost together; the same preview shown again costs once."""
    different: list[Preview] = []
    for preview in drawn:
        if preview not in different:
            different.append(preview)
    return sum(preview.epsilon or 0.0 for preview in different)


def shown_again(frame: pl.DataFrame, drawn: Sequence[Preview]) -> Preview:
    """Return the newest preview whose columns a version still has, without any where there is none."""
    for preview in reversed(drawn):
        names = {name for row in preview.rows for name in row} - {MARK}
        if preview.kind is PreviewKind.SYNTHETIC and names <= set(frame.columns):
            return preview
    return Preview(kind=PreviewKind.AGGREGATE)


def drawn_before(manifests: Iterable[Mapping[str, Any]], product: str) -> list[Preview]:
    """Return the previews in all drafts of a product, oldest version first."""
    own = [one for one in manifests if one.get("id") == product]
    own.sort(key=lambda one: [int(part) for part in str(one["version"]).split(".")])
    return [from_document(Preview, one["preview"]) for one in own]
