"""How likely somebody is to be singled out in a table, and what its classes tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from hdex.deid.diversity import Model, distances, distinct_values, encode_sensitive, unprotected
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import Codes, number_rows, number_values
from hdex.deid.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class RiskProfile:
    """Risk of one table over its quasi-identifiers. Sizes count patients; shares are 0-1.

    prosecutor: the attacker knows that the target is in the table; marketer: the share of all patients an attacker
    who goes for everybody gets right. l, t: the worst class of the worst sensitive column; None without one.
    """

    k: int  # patients of the smallest class; 0 for an empty table
    classes: int
    patients: int
    rows: int
    unique_rows: int  # rows of classes of one patient
    prosecutor_max: float
    prosecutor_avg: float
    marketer: float
    l: int | None  # noqa: E741  the models' own name
    t: float | None
    class_sizes: dict[int, int]  # size -> number of classes

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), "class_sizes": {str(size): count for size, count in self.class_sizes.items()}}


def measure(
    frame: pl.DataFrame,
    quasi: Sequence[str],
    *,
    patient: str | None = None,
    sensitive: Sequence[str] | str | None = None,
) -> RiskProfile:
    """Return the risk of `frame` for an attacker who knows the columns `quasi`.

    patient: column whose distinct values count as people; None: every row is one. No quasi-identifier: one class.
    """
    columns = [sensitive] if isinstance(sensitive, str) else list(sensitive or [])
    require_columns(frame, [*quasi, *columns, *([patient] if patient else [])])
    groups, count = number_rows(frame, quasi)
    sizes = patients_per_class(frame, groups, count, patient)
    patients = frame.height if patient is None else frame[patient].n_unique()
    rows = np.bincount(groups, minlength=count)
    values, number = np.unique(sizes, return_counts=True)
    least, farthest = weakest(frame, columns, groups, count)
    average = float((rows / sizes).sum() / frame.height) if frame.height else 0.0
    smallest = int(sizes.min()) if count else 0
    return RiskProfile(
        k=smallest,
        classes=count,
        patients=patients,
        rows=frame.height,
        unique_rows=int(rows[sizes == 1].sum()),
        prosecutor_max=1 / smallest if smallest else 0.0,
        prosecutor_avg=average,
        marketer=min(count / patients, 1.0) if patients else 0.0,
        l=least,
        t=farthest,
        class_sizes={int(size): int(n) for size, n in zip(values, number, strict=True)},
    )


def unprotected_classes(frame: pl.DataFrame, quasi: Sequence[str], model: Model, *, whole: pl.Series) -> int:
    """Number of classes that miss `model`; `whole`: the sensitive column before rows were suppressed."""
    require_columns(frame, [*quasi, model.sensitive])
    groups, count = number_rows(frame, quasi)
    both = encode_sensitive(pl.concat([whole, frame[model.sensitive]]))
    shares = np.bincount(both.codes[: len(whole)], minlength=len(both.shares)) / max(len(whole), 1)
    own = Sensitive(both.codes[len(whole) :], shares, both.is_ordered)
    return int(unprotected(model, groups, own, np.ones(frame.height, dtype=np.int64), count).sum())


def require_columns(frame: pl.DataFrame, asked: Sequence[str]) -> None:
    """Raise ArgumentInvalid for columns the table does not have."""
    missing = sorted(set(asked) - set(frame.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the table")


def patients_per_class(frame: pl.DataFrame, groups: Codes, count: int, patient: str | None) -> Codes:
    """Distinct patients in every class."""
    if patient is None:
        return np.bincount(groups, minlength=count)
    return np.bincount(patient_pairs(groups, frame[patient])[0], minlength=count)


def patient_pairs(groups: Codes, patients: pl.Series) -> tuple[Codes, Codes]:
    """Distinct (class, patient) pairs."""
    ids, width = number_values(patients)
    if width == len(ids):
        return groups, ids
    pairs = np.unique(groups * max(width, 1) + ids)
    return pairs // max(width, 1), pairs % max(width, 1)


def weakest(frame: pl.DataFrame, columns: Sequence[str], groups: Codes, count: int) -> tuple[int | None, float | None]:
    """Fewest distinct values and farthest distance over classes and sensitive columns."""
    if not columns or count == 0:
        return None, None
    weights = np.ones(frame.height, dtype=np.int64)
    coded = [encode_sensitive(frame[name]) for name in columns]
    least = min(int(distinct_values(groups, one, weights, count).min()) for one in coded)
    farthest = max(float(distances(groups, one, weights, count).max()) for one in coded)
    return least, farthest
