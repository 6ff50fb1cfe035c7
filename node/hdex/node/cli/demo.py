"""`hdex demo`: the whole story on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json


def demo(
    more: Annotated[list[Path] | None, typer.Argument(metavar="[DIR]...", hidden=True)] = None,
    *,
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="DIR...", help="Export folders of the three hospitals.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pages running and print their address.")] = False,
    folder: Annotated[Path | None, typer.Option("--dir", help="Work here instead of a throw-away folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated exports.")] = 7,
    patients: Annotated[int, typer.Option(help="Patients over the three hospitals.")] = 2550,
    as_json: Json = False,
) -> None:
    """Run the main job: three hospitals, an exchange, a key holder, a chain, a buyer, an auditor."""
    if more and not data:
        raise typer.BadParameter("folders of exports follow --data: hdex demo --data DIR DIR DIR")
    if more and len(data or ()) > 1:  # which of them comes first could not be told
        raise typer.BadParameter("write --data once before all folders, or once before each")
    from hdex.node.demo.exports import require_exports
    from hdex.node.demo.stage import DemoOptions, run_demo

    exports = require_exports([*(data or ()), *(more or ())])  # --data A --data B, and --data A B
    options = DemoOptions(
        tuple(exports.values()), keep=keep, folder=folder, seed=seed, patients=patients, as_json=as_json
    )
    raise typer.Exit(run_demo(options))
