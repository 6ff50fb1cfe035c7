"""`hdex trace`: whose copy of our data is this?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from hdex.node.cli.options import Config, DeskFolder, Json

NOT_OURS = 1


def trace(
    file: Annotated[Path, typer.Argument(help="A file that turned up somewhere: container, Parquet or CSV.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Tell whether this hospital delivered a file, and to whom: by its digest, its rows, or its fingerprint.

    Reads the hospital's own records on its machine, whether the node runs or not. Two buyers of one version hold the
    same rows, unless their contracts name a fingerprint: then the buyer is named from z = 6 on, and nobody below. Exit
    0 it is ours, 1 it is not.
    """
    from hdex.node.cli.serving import prepare, show
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.tracing import open_records, require_staff
    from hdex.node.hospital.tracing import trace as trace_file

    person = require_staff(settings, desk)
    found = trace_file(file, open_records(settings))
    if as_json:
        show(found | {"asked_by": person.spiffe_id}, as_json=True)
    else:
        typer.echo("\n".join(told(found)))
    raise typer.Exit(0 if found["ours"] else NOT_OURS)


def told(found: dict[str, Any]) -> list[str]:
    """Return a trace in lines for people."""
    lines = [f"{found['file']}: sha256 {found['sha256']}"]
    for match in found["matches"]:
        rows = f", {match['rows_found']} of {match['rows_in_file']} rows" if "rows_found" in match else ""
        lines.append(f"  {match['product']} {match['version']}: {match['how']}{rows}")
        for one in match["delivered"]:
            receipt = f"receipt {one['acknowledged']}" if one["acknowledged"] else "no receipt"
            lines.append(f"    to {one['consumer']} under {one['contract']}, last range {one['last']}, {receipt}")
        lines += verdict_lines(match["fingerprint"]) if "fingerprint" in match else []
        lines += [] if match["delivered"] else ["    delivered to nobody: this copy did not leave by a delivery"]
    return lines if len(lines) > 1 else [*lines, "  not released by this hospital"]


def verdict_lines(told: dict[str, Any]) -> list[str]:
    """Return what a fingerprint says, in lines."""
    named = [f"    fingerprint of {one['consumer']} under {one['contract']}: z = {one['z']:g}" for one in told["named"]]
    if named:
        return named
    highest = f", the likeliest has z = {told['likeliest']['z']:g}" if told["likeliest"] else ""
    return [f"    fingerprint: nobody is named below z = {told['threshold']:g}{highest}"]
