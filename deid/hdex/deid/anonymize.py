"""One file in, one generalised file out: what `hdex deid anonymize` does."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import polars as pl

from hdex.deid import hierarchy
from hdex.deid.classify import classify_columns
from hdex.deid.columns import Role
from hdex.deid.diversity import Diversity
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.evaluation import Progress
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.lattice import LatticeResult, anonymize
from hdex.deid.local import LocalResult, anonymize_local
from hdex.deid.risk import measure
from hdex.deid.tuples import require_few_columns

ENGINES = ("exact", "local")
MOST_CLASSIFIED = 300  # columns that went through and are looked at
DELIMITERS = (";", ",", "\t", "|")


def anonymize_file(
    source: Path,
    *,
    out: Path,
    quasi: Sequence[str],
    k: int,
    suppression: float = 0.05,
    sensitive: str | None = None,
    least_values: int | None = None,
    distance: float | None = None,
    hierarchies: Path | None = None,
    patient: str | None = None,
    engine: str = "exact",
    progress: Progress | None = None,
) -> dict[str, object]:
    """Write `source` (delimited text or Parquet) generalised to `out`, and return what it cost.

    least_values (distinct l) and distance (t) are over `sensitive`; where both are given both hold. hierarchies: folder
    of ARX-style files; a column without one gets a ladder by its type. engine: exact (one level per column) or local
    (levels per class; `transformation` then holds {column: {level: share of the released rows}}, and `start` says
    which start was better). The answer of the exact engine holds the proven `bound` and the `gap` above it, 0 where
    the optimum is proven. progress: called now and then on long searches. A failed run leaves no output file.
    """
    began = time.process_time()
    if engine not in ENGINES:
        raise ArgumentInvalid(f"engine {engine} is not there; there is {', '.join(ENGINES)}")
    require_few_columns(len(quasi))
    models = diversity(sensitive, least_values, distance)
    frame, delimiter = read_table(source)
    require_columns(frame, [*quasi, *([sensitive] if sensitive else []), *([patient] if patient else [])])
    ladders = {name: ladder(frame[name], hierarchies) for name in dict.fromkeys(quasi)}
    ready = frame if sensitive is None else frame.with_columns(typed(frame[sensitive]))
    result: LatticeResult | LocalResult
    if engine == "local":
        result = anonymize_local(
            ready, ladders, k=k, patient=patient, suppression=suppression, models=models, progress=progress
        )
    else:
        result = anonymize(
            ready,
            ladders,
            k=k,
            patient=patient,
            suppression=suppression,
            models=models,
            progress=progress,
        )
    labelled = [result.frame[name] for name in ladders]
    write_table(frame.filter(result.kept).with_columns(labelled), out, delimiter)
    risk = measure(result.frame, list(ladders), patient=patient, sensitive=sensitive)
    return summary(engine, k, result, frame.height) | {
        "risk": risk.to_dict(),
        "cpu_seconds": round(time.process_time() - began, 3),
    }


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


def diversity(sensitive: str | None, least_values: int | None, distance: float | None) -> list[Diversity]:
    """The models asked for, each of which every class satisfies."""
    if sensitive is None:
        if least_values is not None or distance is not None:
            raise ArgumentInvalid("l and t need the name of a sensitive column")
        return []
    asked = [(least_values, None)] if least_values is not None else []
    both: list[tuple[int | None, float | None]] = [*asked, *([(None, distance)] if distance is not None else [])]
    return [Diversity(sensitive, values, near) for values, near in both]


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


def read_table(path: Path) -> tuple[pl.DataFrame, str]:
    """A table and its delimiter ("" for Parquet). Text stays text: what is written out is what was read."""
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return non_empty(pl.read_parquet(path), path), ""
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        delimiter = max(DELIMITERS, key=head.count)
        return non_empty(pl.read_csv(path, separator=delimiter, infer_schema=False), path), delimiter
    except UnicodeDecodeError as error:
        raise InputInvalid(f"{path.name} is not UTF-8 text") from error
    except pl.exceptions.NoDataError as error:
        raise InputInvalid(f"{path.name} is empty") from error
    except pl.exceptions.PolarsError as error:
        raise InputInvalid(f"{path.name} cannot be read as a table with equal lines") from error


def non_empty(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The frame, when it has a row."""
    if frame.height == 0:
        raise InputInvalid(f"{path.name} has 0 rows")
    return frame


def write_table(frame: pl.DataFrame, out: Path, delimiter: str) -> None:
    """Write all or nothing: a file that is there is whole."""
    if not out.parent.is_dir():
        raise ArgumentInvalid(f"folder {out.parent} is not there")
    with NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
        part = Path(file.name)
    try:
        if out.suffix.lower() in {".parquet", ".pq"}:
            frame.write_parquet(part)
        else:
            frame.write_csv(part, separator=delimiter or ",")
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
