"""`hdex deid anonymize`."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, tell, usage


def anonymize(  # noqa: PLR0913  every option is a parameter
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Delimited text or Parquet.")],
    *,
    quasi: Annotated[str, typer.Option(help="Quasi-identifiers, separated by commas.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv or .parquet.")],
    k: Annotated[int, typer.Option(help="Smallest number of patients of a class.")] = 5,
    sensitive: Annotated[str | None, typer.Option(help="Sensitive column for --l and --t.")] = None,
    l: Annotated[int | None, typer.Option(help="Distinct sensitive values of every class.")] = None,  # noqa: E741
    t: Annotated[float | None, typer.Option(help="Largest distance of a class from the table, 0-1.")] = None,
    suppression: Annotated[float, typer.Option(help="Share of rows that may be left out, 0-1.")] = 0.05,
    hierarchies: Annotated[Path | None, typer.Option(help="Folder with <column>.csv files, ARX style.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column whose distinct values k counts.")] = None,
    engine: Annotated[str, typer.Option(help="exact: one level per column; local: levels per class.")] = "exact",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Further model of every class, as entropy-l=L, recursive-l=C,RANK, t-equal=T, t-ordered=T, beta=BETA, "
            "enhanced-beta=BETA, delta-disclosure=DELTA, delta-disclosure-present=DELTA; with --population k-map=K, "
            "delta-presence=LEAST,MOST. May be given again."
        ),
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Table of the people INPUT was drawn from, for k-map and delta-presence.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Generalise a table to k with the least loss, and write what may leave."""
    from hdex.deid.anonymize import anonymize_file, identifying_columns
    from hdex.deid.anonymize_models import Protection

    progress = tell_progress if sys.stderr.isatty() else None
    with usage():
        answer = anonymize_file(
            source,
            out=out,
            quasi=names(quasi),
            k=k,
            suppression=suppression,
            protection=Protection(sensitive, l, t, tuple(model or ()), population),
            hierarchies=hierarchies,
            patient=patient,
            engine=engine,
            progress=progress,
        )
    if progress:
        typer.echo("", err=True)
    is_empty = answer["suppressed"] == answer["rows"]
    passed, unseen = ([], 0) if is_empty else identifying_columns(out, names(quasi))
    if unseen:
        typer.echo(f"warning: {unseen} columns went through unchanged and were not looked at", err=True)
    if passed:
        typer.echo(f"warning: columns that identify directly went through unchanged: {', '.join(passed)}", err=True)
    if hierarchies is not None and (made := without_file(hierarchies, names(quasi))):
        typer.echo(f"note: no file of {hierarchies.name} is about {', '.join(made)}: hierarchies were made", err=True)
    if k == 1 and not (l or t or model):
        typer.echo("warning: k is 1: rows may single people out", err=True)
    tell(answer, as_json=as_json)


def without_file(hierarchies: Path, quasi: list[str]) -> list[str]:
    """The columns that have no hierarchy file in the folder."""
    from hdex.deid.hierarchy import find_csv

    return [name for name in quasi if find_csv(hierarchies, name) is None]


def tell_progress(checked: int, bound: float, best: float) -> None:
    """Write one line over the last one: nodes done, proven bound, best loss so far."""
    found = f"best loss {best:.4f}, at least {bound:.4f}" if math.isfinite(best) else "searching"
    typer.echo(f"\r{checked} nodes, {found}   ", nl=False, err=True)
