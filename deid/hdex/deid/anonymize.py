"""One file in, one generalised file out: what `hdex deid anonymize` does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from hdex.deid import hierarchy
from hdex.deid.anonymize_models import MEMBERS, Protection
from hdex.deid.classify import classify_columns
from hdex.deid.columns import Role
from hdex.deid.diversity import Model
from hdex.deid.errors import ArgumentInvalid, RiskTooHigh
from hdex.deid.evaluation import Progress
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import LatticeResult, anonymize
from hdex.deid.local import LocalResult, anonymize_local
from hdex.deid.presence import SampleK, read_sample, with_membership
from hdex.deid.risk import measure, unprotected_classes
from hdex.deid.table_files import read_table, require_writable, write_table
from hdex.deid.tuples import check_arguments, require_few_columns

UNPROTECTED = Protection()
ENGINES = ("exact", "local")
MOST_CLASSIFIED = 300  # columns that went through and are looked at


def anonymize_file(
    source: Path,
    *,
    out: Path,
    quasi: Sequence[str],
    k: int,
    suppression: float = 0.05,
    protection: Protection = UNPROTECTED,
    hierarchies: Path | None = None,
    patient: str | None = None,
    engine: str = "exact",
    progress: Progress | None = None,
) -> dict[str, object]:
    """Write `source` (delimited text or Parquet) generalised to `out`, and return what it cost.

    protection: what every class meets beside k; with a population both tables are generalised alike. hierarchies:
    folder of ARX-style files; a column without one gets a ladder by its type. engine: exact (one level per column) or
    local (levels per class; `transformation` then holds {column: {level: share of the released rows}}, and `start` says
    which start was better). The answer of the exact engine holds the proven `bound` and the `gap` above it, 0 where
    the optimum is proven. progress: called now and then on long searches. A failed run leaves no output file.
    """
    began = time.process_time()
    if engine not in ENGINES:
        raise ArgumentInvalid(f"engine {engine} is not there; there is {', '.join(ENGINES)}")
    require_few_columns(len(quasi))
    require_writable(out)
    if protection.population is not None and patient is not None:
        raise ArgumentInvalid("a population is counted by rows, one per person: leave the patient column out")
    sensitive = protection.sensitive
    frame, delimiter = read_table(source)
    require_columns(frame, [*quasi, *([sensitive] if sensitive else []), *([patient] if patient else [])])
    ready = frame if sensitive is None else frame.with_columns(typed(frame[sensitive]))
    search = Search(engine, k, suppression, protection.models(), hierarchies, patient, progress)
    found = searched(ready, list(dict.fromkeys(quasi)), search, protection.population)
    labels = found.labels.get_columns()
    write_table(frame.filter(found.kept).with_columns(labels), out, delimiter)
    released = ready.filter(found.kept).with_columns(labels)
    risk = measure(released, found.labels.columns, patient=patient, sensitive=sensitive)
    further = {"models": list(protection.further)} if protection.further else {}
    return found.told | further | {"risk": risk.to_dict(), "cpu_seconds": round(time.process_time() - began, 3)}


@dataclass(frozen=True, slots=True)
class Search:
    """What an engine is asked."""

    engine: str
    k: int
    suppression: float
    models: Sequence[Model]
    hierarchies: Path | None
    patient: str | None
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Searched:
    """What an engine answered: the rows that leave, their quasi-identifiers as they read, the command's answer."""

    kept: pl.Series
    labels: pl.DataFrame
    told: dict[str, object]


def searched(frame: pl.DataFrame, quasi: Sequence[str], search: Search, population: Path | None) -> Searched:
    """Generalise a table by itself, or with the population it was drawn from."""
    if population is not None:
        return searched_among(frame, read_table(population)[0], quasi, search)
    result = run(frame, {name: ladder(frame[name], search.hierarchies) for name in quasi}, search)
    return Searched(result.kept, result.frame.select(quasi), summary(search.engine, search.k, result, frame.height))


def searched_among(frame: pl.DataFrame, people: pl.DataFrame, quasi: Sequence[str], search: Search) -> Searched:
    """Generalise a table and its population alike. Loss, bound and gap are then over the population's rows.

    As many rows of the population may be suppressed as of the table, so that no more of the table's are.
    """
    require_columns(people, quasi)
    sample, population = alike(frame.select(quasi), people.select(quasi))
    ladders = {name: ladder(population[name], search.hierarchies) for name in quasi}
    check_arguments(sample, ladders, k=search.k, suppression=search.suppression, patient=None)
    marked = with_membership(sample, population, quasi, name=MEMBERS)
    share = search.suppression * sample.height / population.height
    models = [*search.models, SampleK(MEMBERS, search.k)]
    result = run(marked, ladders, replace(search, k=1, suppression=share, models=models))
    kept, labels = read_sample(sample, population, kept=result.kept, released=result.frame)
    told = summary(search.engine, search.k, result, frame.height)
    told |= {"suppressed": int((~kept).sum()), "classes": labels.n_unique(), "population": population.height}
    return Searched(kept, labels, told)


def run(frame: pl.DataFrame, ladders: Mapping[str, Hierarchy], search: Search) -> LatticeResult | LocalResult:
    """Ask the engine, and look once more at what it released. Raises RiskTooHigh for a class that misses a model."""
    engine = anonymize_local if search.engine == "local" else anonymize
    result: LatticeResult | LocalResult = engine(
        frame,
        ladders,
        k=search.k,
        patient=search.patient,
        suppression=search.suppression,
        models=search.models,
        progress=search.progress,
    )
    for model in search.models:
        if missed := unprotected_classes(result.frame, list(ladders), model, whole=frame[model.sensitive]):
            raise RiskTooHigh(f"classes without {type(model).__name__}", found=missed, asked=0)
    return result


def alike(sample: pl.DataFrame, population: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with the same types: where they differ (a text file beside Parquet) the column is text in both."""
    odd = [name for name in sample.columns if sample.schema[name] != population.schema[name]]
    one, other = ([hierarchy.as_text(table[name]) for name in odd] for table in (sample, population))
    return sample.with_columns(one), population.with_columns(other)


def identifying_columns(released: Path, quasi: Sequence[str]) -> tuple[list[str], int]:
    """Return the columns of a written file that identify directly or hold notes, and how many were not looked at.

    They were passed through unchanged. Looked at are the first MOST_CLASSIFIED columns that are no quasi-identifier.
    """
    frame, _ = read_table(released)
    passed = [name for name in frame.columns if name not in quasi]
    telling = (Role.DIRECT, Role.FREE_TEXT)
    found = classify_columns(frame.select(passed[:MOST_CLASSIFIED]))
    return [one.name for one in found if one.role in telling], max(len(passed) - MOST_CLASSIFIED, 0)


def summary(engine: str, k: int, result: LatticeResult | LocalResult, rows: int) -> dict[str, object]:
    """The stable keys of the command's answer, and what each engine adds."""
    more: dict[str, object]
    if isinstance(result, LocalResult):
        more = {"start": result.start}
    else:
        more = {"bound": result.bound, "gap": result.gap, "nodes_checked": result.nodes_checked}
    return more | {
        "engine": engine,
        "k": k,
        "loss": result.loss,
        "suppressed": result.suppressed,
        "rows": rows,
        "classes": result.classes,
        "transformation": result.transformation,
    }


def require_columns(frame: pl.DataFrame, asked: Sequence[str]) -> None:
    """Raise ArgumentInvalid for columns that are not in the file, naming those that are."""
    missing = [name for name in asked if name not in frame.columns]
    if missing:
        there = ", ".join(frame.columns[:20])
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the file; there are {there}")


def ladder(values: pl.Series, folder: Path | None) -> Hierarchy:
    """The column's hierarchy file, or a ladder that fits its values."""
    path = None if folder is None else hierarchy.find_csv(folder, values.name)
    return hierarchy.automatic(typed(values)) if path is None else hierarchy.from_file(path, values)


def typed(values: pl.Series) -> pl.Series:
    """Text that is plain numbers throughout as numbers; a leading zero makes a code, not a number."""
    if values.dtype != pl.String or values.drop_nulls().is_empty():
        return values
    present = values.drop_nulls()
    if present.str.contains(r"^-?(0|[1-9]\d{0,17})$").all():
        return values.cast(pl.Int64)
    return values.cast(pl.Float64) if present.str.contains(r"^-?(0|[1-9]\d*)\.\d+$").all() else values
