"""What a hospital's export is after reading: tables of text with provenance, and the dialect they were written in."""

from dataclasses import asdict, dataclass, field

import polars as pl

FILE = "_file"  # provenance: name of the file a row comes from
ROW = "_row"  # provenance: line of that file, from 1, the header included
PROVENANCE = (FILE, ROW)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may cost before it is refused."""

    max_bytes: int = 4 << 30  # after decompression
    max_ratio: int = 250  # decompressed to compressed, asked from `ratio_from` bytes on
    ratio_from: int = 16 << 20
    max_columns: int = 2_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file was written, as sniffed or as overridden; shown to the steward."""

    kind: str  # csv, parquet, fhir
    encoding: str = "utf-8"
    compression: str = "none"
    delimiter: str = ""
    quote: str = ""  # empty: no field is quoted
    header: bool = True
    nulls: tuple[str, ...] = ()  # words that stood for "no value"
    decimal: str = "."
    dates: tuple[tuple[str, str], ...] = ()  # (column, pattern such as MM/DD/YYYY HH:MM)
    ambiguous: tuple[str, ...] = ()  # date columns in which day and month could change places

    def date_pattern(self, column: str) -> str | None:
        """Return the date pattern of a column, None when it holds no dates."""
        return dict(self.dates).get(column)

    def document(self) -> dict[str, object]:
        """Return the dialect as JSON values."""
        found = asdict(self)
        return found | {"nulls": list(self.nulls), "ambiguous": list(self.ambiguous), "dates": dict(self.dates)}


@dataclass(frozen=True, slots=True)
class Override:
    """What a person states about a file instead of the sniffer; None leaves it to the sniffer."""

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    header: tuple[str, ...] | None = None  # names of the columns of a file without a header row
    nulls: tuple[str, ...] | None = None
    decimal: str | None = None
    dates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table as exported: text columns, plus `_file` and `_row`."""

    name: str
    frame: pl.DataFrame = field(repr=False)  # cells never reach a log through a repr
    dialect: Dialect
    files: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Return the exported columns, without provenance."""
        return [name for name in self.frame.columns if name not in PROVENANCE]


@dataclass(frozen=True, slots=True)
class Export:
    """Everything one hospital exported."""

    kind: str  # csv, parquet, fhir or mixed
    tables: dict[str, Table]
    warnings: tuple[str, ...] = field(default=())

    def describe(self) -> list[dict[str, object]]:
        """Return one JSON-able line per table: name, files, rows, columns, dialect."""
        return [
            {
                "table": table.name,
                "files": list(table.files),
                "rows": table.frame.height,
                "columns": table.columns,
                "dialect": table.dialect.document(),
            }
            for table in self.tables.values()
        ]
