"""What the values of a column look like: evidence beside its name."""

from dataclasses import dataclass

import polars as pl

from hdex.node.harmonize.mapping import FieldMap
from hdex.node.harmonize.model import Kind
from hdex.node.harmonize.words import words
from hdex.node.sources.export import Table

SAMPLE_ROWS, SAMPLE_VALUES = 20_000, 300
NUMBER = r"^[<>≤≥]?\s*[+-]?\d+([.,]\d+)*$"
CODE_SHAPES = {
    "condition": (r"^[A-TV-Z]\d{2}(\.?[0-9A-Z]{0,4})?$", "codes of the shape of ICD-10"),
    "measurement": (r"^\d{1,5}-\d$", "codes of the shape of LOINC"),
    "drug": (r"^[A-Z]\d{2}[A-Z]{2}\d{2}$", "codes of the shape of ATC"),
}
MOSTLY = 0.8
FEW_WORDS = 25
LONG_TEXT = 40  # characters: below it a text column is no note


@dataclass(frozen=True, slots=True)
class Profile:
    """A table with distinct trimmed values of each column, looked up once."""

    table: Table
    samples: dict[str, pl.Series]

    @property
    def name(self) -> str:
        """Return the table's name."""
        return self.table.name


def profile(table: Table) -> Profile:
    """Return the table with at most SAMPLE_VALUES values of each column."""
    head = table.frame.head(SAMPLE_ROWS)
    return Profile(table, {column: _sample(head[column]) for column in table.columns})


def _sample(values: pl.Series) -> pl.Series:
    return values.drop_nulls().str.strip_chars().unique(maintain_order=True).head(SAMPLE_VALUES)


def fits(source: Profile, column: str, kind: Kind, field: str) -> tuple[float, str]:
    """Return (0 to 1, evidence) of how well values fit a kind; 0 rules the column out."""
    sample, dialect = source.samples[column], source.table.dialect
    if kind in (Kind.DATE, Kind.TIME):
        pattern = dialect.date_pattern(column)
        return (1.0, f"dates as {pattern}") if pattern else (0.0, "")
    if kind is Kind.NUMBER:
        return _numbers(sample)
    if kind is Kind.ENUM:
        return _closed(sample, field)
    if field == "text":
        long = sample.str.len_chars().mean()
        return (1.0, "long texts") if isinstance(long, float) and long >= LONG_TEXT else (0.0, "")
    if dialect.date_pattern(column):
        return 0.0, ""
    return 0.9, ""


def _numbers(sample: pl.Series) -> tuple[float, str]:
    share = sample.str.contains(NUMBER).mean()
    if not isinstance(share, float) or share < 0.3:
        return 0.0, ""
    return (1.0 if share >= MOSTLY else 0.7), f"{share:.0%} numbers"


def _closed(sample: pl.Series, field: str) -> tuple[float, str]:
    """Return how many of the words are known translations of a closed field."""
    if len(sample) > FEW_WORDS:
        return 0.0, ""
    known = words().values[field]
    share = sum(1 for word in sample if word.lower() in known) / max(1, len(sample))
    return (share, f"{share:.0%} of its words are known") if share > 0 else (0.0, "")


def code_evidence(source: Profile, model: str, fields: list[FieldMap]) -> tuple[float, list[str]]:
    """Return (1, evidence) when the codes are of the code system that belongs to the model table."""
    code = next((entry for entry in fields if entry.field == "code"), None)
    if code is None or model not in CODE_SHAPES:
        return 0.0, []
    shape, note = CODE_SHAPES[model]
    share = source.samples[code.columns[0]].str.contains(shape).mean()
    return (1.0, [note]) if isinstance(share, float) and share >= MOSTLY else (0.0, [])


def concept_share(source: Profile, entry: FieldMap) -> float:
    """Return the share of a column's values that are names of known measured things."""
    sample, known = source.samples[entry.columns[0]], words().values["concept"]
    return sum(1 for word in sample if word.lower() in known) / max(1, len(sample))
