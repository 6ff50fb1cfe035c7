"""apply: an export and its mapping -> the common model, typed; rows that do not fit are quarantined and counted."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from hdex.node.harmonize.mapping import Conversion, FieldMap, Mapping, TableMap
from hdex.node.harmonize.model import ENUMS, MODEL, Field, Kind, empty, fields_of, schema_of
from hdex.node.sources.dates import parse_date, parse_datetime
from hdex.node.sources.errors import MappingIncomplete, MappingInvalid
from hdex.node.sources.export import FILE, ROW, Export, Table

REASON = "_reason"
TOO_MANY = 0.2  # a larger share of unreadable rows is a wrong mapping, not dirty rows
QUARANTINE = {"model": pl.String, "source": pl.String, "file": pl.String, "row": pl.UInt32, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What became of the rows of one source table: read = kept + quarantined."""

    model: str
    source: str
    read: int
    kept: int
    quarantined: int
    reasons: dict[str, int]
    unreadable: dict[str, int]  # optional fields whose text did not parse and became null

    def document(self) -> dict[str, object]:
        """Return the counts as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Common:
    """The common model of one hospital: every model table is there, those without a source are empty."""

    tables: dict[str, pl.DataFrame] = field(repr=False)
    counts: tuple[TableCounts, ...]
    quarantine: pl.DataFrame = field(repr=False)  # model, source, file, row, reason: no value of a record

    def __getitem__(self, table: str) -> pl.DataFrame:
        return self.tables[table]


def apply(export: Export, mapping: Mapping) -> Common:
    """Return the common model.

    Raises MappingInvalid when the mapping names what the export lacks, MappingIncomplete when a required field has
    no source, a closed field a word without translation, or more than a fifth of a table's rows do not fit.
    """
    typed = {index: _typed(export, table) for index, table in enumerate(mapping.tables)}
    people = _people([typed[index] for index, table in enumerate(mapping.tables) if table.model == "person"])
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in MODEL}
    left: list[pl.DataFrame] = []
    counts: list[TableCounts] = []
    for index, table in enumerate(mapping.tables):
        judged = _judged(typed[index], table, people)
        fits = judged.filter(pl.col(REASON).is_null())
        parts[table.model].append(fits.select(list(schema_of(table.model))))
        left.append(_quarantined(judged, table))
        counts.append(_counts(judged, table, export.tables[table.source]))
    tables = {name: pl.concat(found) if found else empty(name) for name, found in parts.items()}
    return Common(tables, tuple(counts), pl.concat(left) if left else pl.DataFrame(schema=QUARANTINE))


def _typed(export: Export, table: TableMap) -> pl.DataFrame:
    """Return the rows of one source as typed model fields with provenance; no row is left out yet."""
    source = _source(export, table)
    known = fields_of(table.model)
    mapped = {entry.field: entry for entry in table.fields}
    for needed in known.values():
        if needed.required and needed.name not in mapped:
            raise MappingIncomplete(f"{table.model}.{needed.name} is required and has no column of {table.source}")
    raw = source.frame.select(*[_text(entry).alias(entry.field) for entry in table.fields], FILE, ROW)
    for entry in table.fields:
        _require_translated(raw, table, entry, known[entry.field])
    typed = raw.with_columns(_value(known[entry.field], entry) for entry in table.fields)
    typed = typed.with_columns(_moments(raw[entry.field], known[entry.field], entry) for entry in _dated(table))
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema_of(table.model).items() if name not in mapped]
    unread = [
        (raw[entry.field].is_not_null() & typed[entry.field].is_null()).alias(f"_unread_{entry.field}")
        for entry in table.fields
        if known[entry.field].kind in (Kind.DATE, Kind.TIME, Kind.NUMBER)
    ]
    return _completed(typed.with_columns(*missing).with_columns(*unread), raw, table)


def _source(export: Export, table: TableMap) -> Table:
    if table.source not in export.tables:
        raise MappingInvalid(f"the export has no table {table.source!r}")
    source = export.tables[table.source]
    asked = {column for entry in table.fields for column in entry.columns}
    if missing := asked - set(source.columns):
        raise MappingInvalid(f"{table.source} has no column {', '.join(sorted(missing))}")
    return source


def _text(entry: FieldMap) -> pl.Expr:
    """Return the field's text, trimmed, empty as null, several columns joined by a blank."""
    if entry.constant is not None:
        return pl.lit(entry.constant)
    trimmed = [pl.col(column).str.strip_chars() for column in entry.columns]
    joined = trimmed[0] if len(trimmed) == 1 else pl.concat_str(trimmed, separator=" ", ignore_nulls=True)
    return pl.when(joined == "").then(None).otherwise(joined)


def _require_translated(raw: pl.DataFrame, table: TableMap, entry: FieldMap, field: Field) -> None:
    """Closed fields take only words the steward translated; counts are told, the words are not."""
    if field.kind is not Kind.ENUM:
        return
    known = {*entry.values, *ENUMS[field.name]}
    foreign = raw[field.name].drop_nulls().unique()
    foreign = foreign.filter(~foreign.is_in(list(known)))
    if len(foreign):
        place = f"{table.source}, columns {', '.join(entry.columns)}"
        raise MappingIncomplete(f"{place}: {len(foreign)} distinct values have no word of {table.model}.{field.name}")


def _value(field: Field, entry: FieldMap) -> pl.Expr:
    text = pl.col(field.name)
    if entry.values:
        text = text.replace(entry.values)
    if field.kind is Kind.NUMBER:
        return _number(text, entry.decimal).alias(field.name)
    if field.required and field.kind is Kind.ENUM and "unknown" in ENUMS[field.name]:
        return text.fill_null("unknown").alias(field.name)
    return text.alias(field.name)


def _dated(table: TableMap) -> list[FieldMap]:
    known = fields_of(table.model)
    return [entry for entry in table.fields if known[entry.field].kind in (Kind.DATE, Kind.TIME)]


def _moments(text: pl.Series, field: Field, entry: FieldMap) -> pl.Series:
    """Return the dates or times of a column. Each distinct text is parsed once: dates repeat."""
    parse = parse_date if field.kind is Kind.DATE else parse_datetime
    distinct = text.unique().to_frame().with_columns(parse(pl.col(text.name), entry.pattern or "").alias("_parsed"))
    joined = text.to_frame().join(distinct, on=text.name, how="left", maintain_order="left", nulls_equal=True)
    return joined["_parsed"].alias(text.name)


def _number(text: pl.Expr, decimal: str) -> pl.Expr:
    if decimal == ",":
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        text = text.str.replace_all(",", "", literal=True)
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _completed(typed: pl.DataFrame, raw: pl.DataFrame, table: TableMap) -> pl.DataFrame:
    """Return the rows with what follows from others: full names, text of values, one unit per concept."""
    if table.model == "person":
        return typed.with_columns(name=pl.coalesce("name", _full_name()))
    if table.model == "measurement":
        written = raw["value"] if "value" in raw.columns else pl.lit(None, pl.String)
        words = pl.when(pl.col("value").is_null()).then(written)
        typed = typed.with_columns(value_text=pl.coalesce("value_text", words))
        flags = [pl.lit(False).alias(name) for name in typed.columns if name == "_unread_value"]  # kept as text
        return _converted(typed.with_columns(flags), table.conversions)
    return typed


def _full_name() -> pl.Expr:
    """Return the name from its parts: family name first and without a blank where it is written in Han."""
    western = pl.concat_str([pl.col("given_name"), pl.col("family_name")], separator=" ", ignore_nulls=True)
    han = pl.concat_str([pl.col("family_name"), pl.col("given_name")], ignore_nulls=True)
    name = pl.when(pl.col("family_name").str.contains(r"\p{Han}")).then(han).otherwise(western)
    return pl.when(name != "").then(name)


def _converted(typed: pl.DataFrame, conversions: tuple[Conversion, ...]) -> pl.DataFrame:
    if not conversions:
        return typed
    keys = {"code": [one.code for one in conversions], "unit": [one.unit for one in conversions]}
    rule = {"_to": [c.to for c in conversions], "_factor": [c.factor for c in conversions]}
    rules = pl.DataFrame(keys | rule | {"_offset": [c.offset for c in conversions]})
    joined = typed.join(rules, on=["code", "unit"], how="left", maintain_order="left")
    value = pl.col("value") * pl.col("_factor").fill_null(1.0) + pl.col("_offset").fill_null(0.0)
    return joined.with_columns(value=value, unit=pl.coalesce("_to", "unit")).drop("_to", "_factor", "_offset")


def _people(persons: list[pl.DataFrame]) -> pl.Series:
    """Return the ids of all persons that will be kept; events of others are quarantined."""
    if not persons:
        raise MappingIncomplete("no table of the export feeds person")
    if len(persons) > 1:
        raise MappingInvalid(f"{len(persons)} tables feed person; one table says who the people are")
    return pl.concat([frame.filter(~_unfit("person")) for frame in persons])["person_id"].unique()


def _unfit(model: str) -> pl.Expr:
    return pl.any_horizontal(pl.col(field.name).is_null() for field in MODEL[model] if field.required)


def _judged(typed: pl.DataFrame, table: TableMap, people: pl.Series) -> pl.DataFrame:
    """Return the rows with the reason why one does not fit, null where it does."""
    reasons = [
        pl.when(pl.col(field.name).is_null()).then(pl.lit(f"{field.name} is missing or unreadable"))
        for field in MODEL[table.model]
        if field.required
    ]
    if table.model == "person":
        repeated = ~pl.col("person_id").is_first_distinct()
        reasons.append(pl.when(repeated).then(pl.lit("person_id stands in an earlier row")))
    else:
        reasons.append(pl.when(~pl.col("person_id").is_in(people.implode())).then(pl.lit("person_id is of no person")))
    return typed.with_columns(pl.coalesce(reasons).alias(REASON))


def _quarantined(judged: pl.DataFrame, table: TableMap) -> pl.DataFrame:
    left = judged.filter(pl.col(REASON).is_not_null())
    model, source = pl.lit(table.model).alias("model"), pl.lit(table.source).alias("source")
    return left.select(
        model, source, pl.col(FILE).alias("file"), pl.col(ROW).alias("row"), pl.col(REASON).alias("reason")
    )


def _counts(judged: pl.DataFrame, table: TableMap, source: Table) -> TableCounts:
    reasons = Counter(judged[REASON].drop_nulls().to_list())
    lost = reasons.total()
    unread = {name.removeprefix("_unread_"): int(judged[name].sum()) for name in judged.columns if "_unread_" in name}
    if lost > TOO_MANY * judged.height:
        worst, count = reasons.most_common(1)[0]
        raise MappingIncomplete(f"{table.source} as {table.model}: {count} of {judged.height} rows: {worst}")
    read = source.frame.height
    counts = {name: count for name, count in unread.items() if count}
    return TableCounts(table.model, table.source, read, read - lost, lost, dict(reasons), counts)
