"""`hdex deid run`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, tell, usage

if TYPE_CHECKING:
    from hdex.deid.partition import Master
    from hdex.deid.partitions import Engine

SAMPLE_ROWS = 2_000


def run(  # noqa: PLR0913  every option is a parameter
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A Parquet file or a folder of partitions.")],
    *,
    quasi: Annotated[str, typer.Option(help="Quasi-identifiers, separated by commas.")],
    out: Annotated[Path, typer.Option(help="Folder to make: one file per partition.")],
    k: Annotated[int, typer.Option(help="Smallest number of patients of a class.")] = 5,
    sensitive: Annotated[str | None, typer.Option(help="Sensitive column for --l and --t; it stays as it is.")] = None,
    l: Annotated[int | None, typer.Option(help="Distinct sensitive values of every class.")] = None,  # noqa: E741
    t: Annotated[
        float | None, typer.Option(help="Largest distance of a class from the table of all partitions, 0-1.")
    ] = None,
    suppression: Annotated[float, typer.Option(help="Share of rows that may be left out, 0-1.")] = 0.05,
    hierarchies: Annotated[Path | None, typer.Option(help="Folder with <column>.csv files, ARX style.")] = None,
    patient: Annotated[
        str | None, typer.Option(help="Column whose distinct values k counts; a pseudonym then.")
    ] = None,
    drop: Annotated[str, typer.Option(help="Columns to leave out.")] = "",
    pseudonym: Annotated[str, typer.Option(help="Columns to replace by keyed pseudonyms.")] = "",
    shift: Annotated[str, typer.Option(help="Dates to move by the patient's secret number of days.")] = "",
    key: Annotated[Path | None, typer.Option(help="File with 32 or more secret bytes.")] = None,
    recipient: Annotated[str, typer.Option(help="Who receives it: keys are derived for it.")] = "",
    project: Annotated[str, typer.Option(help="For which project: keys are derived for it.")] = "",
    recipe: Annotated[Path | None, typer.Option(help="File to write the recipe to; it stays inside.")] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    workers: Annotated[int, typer.Option(help="Workers that ray starts on this machine.")] = 2,
    address: Annotated[str | None, typer.Option(help="Ray cluster to use instead; key and folders are shared.")] = None,
    as_json: AsJson = False,
) -> None:
    """De-identify partitioned Parquet, larger than memory or than a machine."""
    from hdex.deid import partitions
    from hdex.deid.recipe import Request

    with usage():
        chosen = engine_of(engine, workers, address, key)
        request = Request(
            quasi=tuple(dict.fromkeys(names(quasi))),
            k=k,
            suppression=suppression,
            sensitive=sensitive,
            l=l,
            t=t,
            patient=patient,
            drop=tuple(names(drop)),
            pseudonym=tuple(names(pseudonym)),
            shift=tuple(names(shift)),
            recipient=recipient,
            project=project,
        )
        answer = partitions.run(
            source,
            request,
            out=out,
            master=master_of(key),
            hierarchies=hierarchies,
            engine=chosen,
            progress=on_stderr,
            saved=recipe,
        )
    warn_of_identifiers(out, request.quasi, {*request.pseudonym, *([patient] if patient else [])})
    warn_of_sequences(out, request.patient, request.shift)
    tell({"engine": engine, **answer}, as_json=as_json)


def engine_of(name: str, workers: int, address: str | None, key: Path | None) -> "Engine":
    """Who applies the recipe."""
    if name == "local":
        from hdex.deid.partitions import in_turn

        return in_turn
    if name != "ray":
        raise typer.BadParameter(f"engine {name} is not there; there are local and ray")
    if key is None:
        raise typer.BadParameter("engine ray needs --key: its workers read the key from the file, it does not travel")
    from functools import partial

    from hdex.deid.run_ray import on_ray

    return partial(on_ray, workers=workers, address=address)


def master_of(key: Path | None) -> "Master":
    """The key in the file, or a random one for this run."""
    from secrets import token_bytes

    from hdex.deid.partition import Master, is_open_to_others, read_master

    if key is None:
        typer.echo("warning: no --key: order, pseudonyms and shifts of this run agree with no other run", err=True)
        return Master(token_bytes(32))
    if is_open_to_others(key):
        typer.echo(f"warning: key file {key.name} is open to others: chmod 600 {key.name}", err=True)
    return read_master(key)


def on_stderr(step: str, done: int, of: int) -> None:
    """Tell what is done."""
    typer.echo(f"{step}: {done}" + (f" of {of}" if of else ""), err=True)


def warn_of_identifiers(out: Path, quasi: tuple[str, ...], replaced: set[str]) -> None:
    """Name columns that look as if they identify directly or hold notes, and went through unchanged."""
    import polars as pl

    from hdex.deid.classify import classify_columns
    from hdex.deid.columns import Role

    sample = pl.scan_parquet(sorted(out.iterdir())).head(SAMPLE_ROWS).collect()
    telling = (Role.DIRECT, Role.FREE_TEXT)
    found = [p.name for p in classify_columns(sample) if p.role in telling and p.name not in {*quasi, *replaced}]
    if found:
        typer.echo(f"warning: columns that identify directly went through unchanged: {', '.join(found)}", err=True)


def warn_of_sequences(out: Path, patient: str | None, shifted: tuple[str, ...]) -> None:
    """Say that shifted days of one patient, told in several rows or columns, follow him by the days between them."""
    import polars as pl

    if patient is None or not shifted:
        return
    table = pl.scan_parquet(sorted(out.iterdir()))
    if patient not in table.collect_schema().names():
        return
    rows, people = table.select(pl.len(), pl.col(patient).n_unique().alias("people")).collect().row(0)
    if len(shifted) > 1 or people < rows:
        typer.echo(
            f"warning: {', '.join(shifted)} tell several shifted days of one patient: the days between single him out; "
            "generalise them (--quasi), or try hdex deid attack before it leaves",
            err=True,
        )
