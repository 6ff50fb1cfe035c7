"""Quality of rows that have one line per patient: conformance, completeness, plausibility (OHDSI's three families)."""

from dataclasses import dataclass

import polars as pl

# Least and most a living person shows, by column of the views; units as the views declare them.
RANGES: dict[str, tuple[float, float]] = {
    "age": (0, 120),
    "bmi": (8, 90),
    "cd4": (0, 4_000),
    "diastolic": (20, 180),
    "hba1c": (2.5, 20),
    "ldl": (0.1, 20),
    "stent_length": (5, 200),
    "stent_size": (1, 30),
    "systolic": (50, 300),
    "viral_load": (0, 1e8),
}
WORDS: dict[str, tuple[str, ...]] = {"sex": ("male", "female", "other", "unknown")}
BIRTH, PATIENT = "birth_date", "person_id"


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """What one column is like; counts only, never a value."""

    name: str
    missing: int
    nonconforming: int  # a word outside the closed list
    implausible: int  # a number out of range, a day before birth


@dataclass(frozen=True, slots=True)
class Quality:
    """What the rows are like."""

    rows: int
    duplicates: int  # patients with a second row
    columns: tuple[ColumnQuality, ...]

    def document(self) -> dict[str, object]:
        """Return the counts and the share of cells that pass each family, as JSON values."""
        return {
            "rows": self.rows,
            "duplicates": self.duplicates,
            "scores": {
                "completeness": self._share("missing"),
                "conformance": self._share("nonconforming"),
                "plausibility": self._share("implausible"),
            },
            "columns": {
                column.name: {
                    "missing": column.missing,
                    "nonconforming": column.nonconforming,
                    "implausible": column.implausible,
                }
                for column in self.columns
            },
        }

    def _share(self, family: str) -> float:
        cells = self.rows * len(self.columns)
        failed = sum(getattr(column, family) for column in self.columns)
        return round(1 - failed / cells, 4) if cells else 1.0


def quality(rows: pl.DataFrame) -> Quality:
    """Return the counts of what is missing, outside closed words and implausible, column by column."""
    repeated = int(rows[PATIENT].is_duplicated().sum()) if PATIENT in rows.columns else 0
    return Quality(rows.height, repeated, tuple(_column(rows, name) for name in rows.columns))


def _column(rows: pl.DataFrame, name: str) -> ColumnQuality:
    column = rows[name]
    foreign = int((~column.is_in(list(WORDS[name]))).sum()) if name in WORDS else 0
    return ColumnQuality(name, column.null_count(), foreign, _implausible(rows, name))


def _implausible(rows: pl.DataFrame, name: str) -> int:
    column = rows[name]
    if name in RANGES and column.dtype.is_numeric():
        least, most = RANGES[name]
        return int((~column.is_between(least, most)).sum())
    if column.dtype == pl.Date and name != BIRTH and BIRTH in rows.columns:
        return int((column < rows[BIRTH]).sum())
    return 0
