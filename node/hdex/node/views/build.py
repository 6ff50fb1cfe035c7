"""build_view: the common model and a declared view -> one row per patient, with the count of those left out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from hdex.node.harmonize.apply import Common
from hdex.node.sources.errors import ViewImpossible
from hdex.node.views.view import Codes, Column, View

ID, ANCHOR = "person_id", "_anchor"
DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "date": pl.Date(),
}


@dataclass(frozen=True, slots=True)
class ViewCounts:
    """Who is in a view and who is not, exactly: for inside the node only."""

    persons: int
    included: int
    excluded: dict[str, int]  # rule -> patients it left out, in the order of the rules
    missing: dict[str, int]  # column -> patients without a value among the included

    def document(self) -> dict[str, object]:
        """Return the counts as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ViewResult:
    """One row per patient, columns as the view declares them; identifiers still in."""

    view: View
    index_date: date
    frame: pl.DataFrame = field(repr=False)
    counts: ViewCounts


def build_view(common: Common, view: View, index_date: date | None = None) -> ViewResult:
    """Return the view over the common model.

    index_date: ages and last values are as of this day, for views anchored at an index; None takes the last day of
    the record. Raises ViewImpossible when the record has no patient or lacks a table the view's anchor needs.
    """
    day = index_date or last_day(common)
    people = _anchored(common, view, day)
    excluded = {"no implanted device": common["person"].height - people.height} if view.anchor == "device" else {}
    for column in view.columns:
        people = people.join(_BUILDERS[column.kind](common, people, column), on=ID, how="left", maintain_order="left")
        people = _filled(people, column)
    people = _included(common, people, view, excluded)
    frame = people.select(
        pl.col(f"={column.name}").cast(DTYPES[column.datatype]).alias(column.name) for column in view.columns
    )
    missing = {name: count for name in frame.columns if (count := frame[name].null_count())}
    return ViewResult(view, day, frame, ViewCounts(common["person"].height, frame.height, excluded, missing))


def last_day(common: Common) -> date:
    """Return the last day on which the record says anything. Raises ViewImpossible when it says nothing."""
    days = [common["visit"]["start"].dt.date().max(), common["measurement"]["time"].dt.date().max()]
    days += [common["device"]["implant_date"].max(), common["condition"]["start_date"].max()]
    known = [day for day in days if isinstance(day, date)]
    if not known:
        raise ViewImpossible("the record has no dated visit, measurement, device or condition: name an index date")
    return max(known)


def _anchored(common: Common, view: View, day: date) -> pl.DataFrame:
    """Return the patients with the day their values are taken at: implantation, or the index or death before it."""
    person = common["person"]
    if person.is_empty():
        raise ViewImpossible("the record has no patient")
    if view.anchor == "device":
        if common["device"].is_empty():
            raise ViewImpossible(f"view {view.id} needs implanted devices and the record has none")
        first = common["device"].group_by(ID).agg(pl.col("implant_date").min().alias(ANCHOR))
        return person.join(first, on=ID, how="inner", maintain_order="left")
    index = pl.min_horizontal(pl.lit(day), pl.col("death_date"))
    return person.filter(pl.col("birth_date") <= day).with_columns(index.alias(ANCHOR))


def _included(common: Common, people: pl.DataFrame, view: View, excluded: dict[str, int]) -> pl.DataFrame:
    """Return the patients who meet the view's rules; count who does not, rule by rule."""

    def keep(rule: str, fits: pl.Expr) -> None:
        nonlocal people
        kept = people.filter(fits)
        excluded[rule] = people.height - kept.height
        people = kept

    if view.min_age is not None:
        keep(f"younger than {view.min_age}", _age() >= view.min_age)
    if view.require:
        having = common["condition"].filter(_coded(view.require))[ID].unique()
        keep("without the required condition", pl.col(ID).is_in(having.implode()))
    for name in view.complete:
        keep(f"without {name}", pl.col(f"={name}").is_not_null())
    return people


def _filled(people: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Nothing recorded is 0 for flags and counts, unknown for everything else."""
    counted = column.kind in ("condition", "drug", "visit_count")
    return people.with_columns(pl.col(f"={column.name}").fill_null(0)) if counted else people


def _coded(codes: Codes) -> pl.Expr:
    code = pl.col("code")
    whole = code.is_in(list(codes.whole)) if codes.whole else pl.lit(False)
    return pl.any_horizontal(whole, *(code.str.starts_with(prefix) for prefix in codes.prefixes))


def _age() -> pl.Expr:
    """Return the age in full years at the anchor."""
    birth, at = pl.col("birth_date"), pl.col(ANCHOR)
    before = (at.dt.month() * 100 + at.dt.day()) < (birth.dt.month() * 100 + birth.dt.day())
    return at.dt.year() - birth.dt.year() - before.cast(pl.Int32)


def _person(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    return people.select(ID, pl.col(column.field).alias(f"={column.name}"))


def _flag(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    known = pl.when(pl.col(column.field) != "unknown").then(pl.col(column.field))
    return people.select(ID, known.is_in(list(column.words)).cast(pl.Int64).alias(f"={column.name}"))


def _years(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    return people.select(ID, _age().alias(f"={column.name}"))


def _events(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return 1 for patients with such a condition or drug: whenever, until the anchor, or so soon after it."""
    events = common[column.kind].filter(_coded(column.codes)).join(people.select(ID, ANCHOR), on=ID)
    days = (pl.col("start_date") - pl.col(ANCHOR)).dt.total_days()
    when = (
        pl.lit(True)
        if column.ever
        else days <= 0
        if column.after_days is None
        else days.is_between(1, column.after_days)
    )
    return events.filter(when).select(ID).unique().with_columns(pl.lit(1).alias(f"={column.name}"))


def _measured(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Return the first or last number at or before the anchor. Several at one moment: their mean."""
    value = "value_text" if column.datatype == "string" else "value"
    known = common["measurement"].filter(_coded(column.codes) & pl.col(value).is_not_null())
    before = known.join(people.select(ID, ANCHOR), on=ID).filter(pl.col("time").dt.date() <= pl.col(ANCHOR))
    edge = pl.col("time").min() if column.take == "first" else pl.col("time").max()
    at_edge = before.filter(pl.col("time") == edge.over(ID))
    taken = pl.col(value).sort().first() if value == "value_text" else pl.col(value).mean()
    return at_edge.group_by(ID).agg(taken.alias(f"={column.name}"))


def _implanted(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    first = common["device"].sort("implant_date", "serial", maintain_order=True).unique(ID, keep="first")
    return first.select(ID, pl.col(column.field).alias(f"={column.name}"))


def _visits(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    return common["visit"].group_by(ID).agg(pl.len().cast(pl.Int64).alias(f"={column.name}"))


def _last_visit(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    return common["visit"].group_by(ID).agg(pl.col("start").dt.date().max().alias(f"={column.name}"))


def _texts(common: Common, people: pl.DataFrame, column: Column) -> pl.DataFrame:
    ordered = common["note"].sort("date", maintain_order=True)
    return ordered.group_by(ID, maintain_order=True).agg(pl.col("text").str.join("\n\n").alias(f"={column.name}"))


_BUILDERS: dict[str, Callable[[Common, pl.DataFrame, Column], pl.DataFrame]] = {
    "person": _person,
    "flag": _flag,
    "age": _years,
    "condition": _events,
    "drug": _events,
    "measurement": _measured,
    "device": _implanted,
    "visit_count": _visits,
    "last_visit": _last_visit,
    "note": _texts,
}
