"""A site's columns as numbers: missing is NaN, a column with declared levels holds the index of its level.

Categorical encoding is agreed by declaration: the study lists the levels of a column, the first is the reference, and a
value outside the list is an error that names the column, never a silent extra class. Declare the union of what the
sites' code lists hold: levels that nobody has are found by the pooled counts and left out of a fit with a warning.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.kind import Asked, Floats

MISSING_TEXT = ("", "NA", "NaN", "nan", "null", "?")


def read_columns(frame: pl.DataFrame, names: Sequence[str], asked: Asked) -> dict[str, Floats]:
    """Return name -> (rows,) float64. Raises StudyInvalid naming the column that does not fit."""
    return {name: _column(frame, name, asked.levels.get(name)) for name in names}


def complete_rows(columns: Mapping[str, Floats]) -> tuple[dict[str, Floats], int]:
    """Return the rows without a missing value, and how many were dropped."""
    whole = ~np.isnan(np.column_stack(list(columns.values()))).any(axis=1)
    return {name: np.ascontiguousarray(column[whole]) for name, column in columns.items()}, int((~whole).sum())


def design_names(asked: Asked) -> tuple[str, ...]:
    """Return the names of the design's columns: a feature, or `feature=level` for each level but the reference."""
    return tuple(name for feature in asked.features for name in _design_of(feature, asked))


def design_factors(asked: Asked) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return (feature, positions in the design) of each feature with declared levels."""
    found, position = [], 0
    for feature in asked.features:
        width = len(_design_of(feature, asked))
        if feature in asked.levels:
            found.append((feature, tuple(range(position, position + width))))
        position += width
    return tuple(found)


def design(columns: Mapping[str, Floats], asked: Asked) -> Floats:
    """Return the design without intercept, shape (n, len(design_names))."""
    parts: list[Floats] = []
    for feature in asked.features:
        column = columns[feature]
        if feature in asked.levels:
            parts += [(column == code).astype(np.float64) for code in range(1, len(asked.levels[feature]))]
        else:
            parts.append(column)
    return np.column_stack(parts) if parts else np.zeros((0, 0))


def _design_of(feature: str, asked: Asked) -> list[str]:
    if feature not in asked.levels:
        return [feature]
    return [f"{feature}={level}" for level in asked.levels[feature][1:]]


def _column(frame: pl.DataFrame, name: str, levels: tuple[str, ...] | None) -> Floats:
    if name not in frame.columns:
        raise StudyInvalid(f"column {name} is absent")
    series = frame.get_column(name)
    return _numbers(series, name) if levels is None else _codes(series, name, levels)


def _numbers(series: pl.Series, name: str) -> Floats:
    if series.null_count() == len(series):
        return np.full(len(series), np.nan)  # a file without values says nothing about their type
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise StudyInvalid(f"column {name} is {series.dtype}, not numeric; declare its levels or leave it out")
    values: Floats = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if np.isinf(values).any():
        raise StudyInvalid(f"column {name} has an infinite value")
    return values


def _codes(series: pl.Series, name: str, levels: tuple[str, ...]) -> Floats:
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        values, known = _numbers(series, name), _as_numbers(levels, name)
        missing = np.isnan(values)
        codes = sum((np.where(values == level, code, 0.0) for code, level in enumerate(known)), np.zeros(len(values)))
        found = np.isin(values, known)
    else:
        texts = series.cast(pl.String).str.strip_chars()
        missing = (texts.is_null() | texts.is_in(MISSING_TEXT)).fill_null(value=True).to_numpy()
        mapped = texts.replace_strict(list(levels), list(range(len(levels))), default=None, return_dtype=pl.Float64)
        codes, found = mapped.fill_null(0.0).to_numpy(), mapped.is_not_null().to_numpy()
    if (~found & ~missing).any():
        raise StudyInvalid(f"column {name} holds a level the study does not declare; declare it or recode the column")
    return np.where(missing, np.nan, codes)


def _as_numbers(levels: tuple[str, ...], name: str) -> list[float]:
    try:
        return [float(level) for level in levels]
    except ValueError as error:
        raise StudyInvalid(f"column {name} is numeric here, but the study declares levels that are text") from error
