"""`hdex deid verify`."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.deid_files import AsJson, names, tell, usage


def verify(
    released: Annotated[Path, typer.Argument(metavar="FILE", help="Released Parquet or delimited text.")],
    *,
    quasi: Annotated[str, typer.Option(help="Quasi-identifiers, separated by commas.")],
    k: Annotated[int, typer.Option(help="Smallest number of patients of a class.")] = 5,
    patient: Annotated[str | None, typer.Option(help="Column whose distinct values k counts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count a released file again, by code that shares nothing with the engines. Exit 0 verified, 1 not."""
    from dataclasses import asdict

    from hdex.deid.verify import verify_release

    with usage():
        found = verify_release(released, names(quasi), k, patient=patient)
    tell(asdict(found), as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)
