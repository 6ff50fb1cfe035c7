"""`hdex demo`: the whole story on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json


def demo(
    data: Annotated[list[Path] | None, typer.Option("--data", help="Export folder of a hospital; three times.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pages running and print their address.")] = False,
    folder: Annotated[Path | None, typer.Option("--dir", help="Work here instead of a throw-away folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated exports.")] = 7,
    patients: Annotated[int, typer.Option(help="Patients over the three hospitals.")] = 2550,
    as_json: Json = False,
) -> None:
    """Run the main job: three hospitals, an exchange, a key holder, a chain, a buyer, an auditor."""
    from hdex.node.demo.stage import DemoOptions, run_demo

    options = DemoOptions(tuple(data or ()), keep=keep, folder=folder, seed=seed, patients=patients, as_json=as_json)
    raise typer.Exit(run_demo(options))
