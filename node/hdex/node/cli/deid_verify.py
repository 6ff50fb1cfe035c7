"""`hdex deid verify`."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, tell, usage


def verify(
    released: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Released Parquet or delimited text: a file, a folder of partitions, or a quoted pattern.",
        ),
    ],
    *,
    quasi: Annotated[str, typer.Option(help="Quasi-identifiers, separated by commas.")],
    k: Annotated[int, typer.Option(help="Smallest number of patients of a class.")] = 5,
    sensitive: Annotated[str, typer.Option(help="Sensitive columns for --l and --t, separated by commas.")] = "",
    l: Annotated[int | None, typer.Option(help="Distinct sensitive values of every class.")] = None,  # noqa: E741
    t: Annotated[float | None, typer.Option(help="Largest distance of a class from the table, 0-1.")] = None,
    whole: Annotated[Path | None, typer.Option(help="Table that --t is measured from; else FILE itself.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column whose distinct values k counts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count a released table again, by code that shares nothing with the engines. Exit 0 verified, 1 not."""
    from dataclasses import asdict

    from hdex.deid.content import require_readable
    from hdex.deid.verify import files_of, verify_release

    with usage():
        for file in files_of(released):
            require_readable(file)
        found = verify_release(
            released,
            names(quasi),
            k,
            patient=patient,
            sensitive=names(sensitive),
            least_values=l,
            distance=t,
            whole=whole,
        )
    tell(asdict(found), as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)
