"""`hdex deid attack`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, tell, usage

if TYPE_CHECKING:
    import polars as pl

    from hdex.deid.hierarchy import Hierarchy


def attack(
    original: Annotated[Path, typer.Argument(metavar="ORIGINAL", help="The table before: delimited text or Parquet.")],
    released: Annotated[Path, typer.Argument(metavar="RELEASED", help="What is to leave.")],
    *,
    attacker: Annotated[
        str,
        typer.Option(
            "--as", help="device_maker, insurer, distributor, employer, neighbour, acquaintance, or a TOML file."
        ),
    ],
    targets: Annotated[int, typer.Option(min=1, help="People the attacker goes for.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides which people, and every guess.")] = 0,
    patient: Annotated[str | None, typer.Option(help="Column that names the patient; else every row is one.")] = None,
    k: Annotated[int, typer.Option(min=2, help="Smallest class the release claims: it may be found with 1/k.")] = 5,
    hierarchies: Annotated[Path | None, typer.Option(help="Folder with <column>.csv files, ARX style.")] = None,
    shift_days: Annotated[int, typer.Option(min=0, help="Widest secret shift of dates, where it is known.")] = 0,
    outsiders: Annotated[Path | None, typer.Option(help="People who are not in it: adds membership inference.")] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a release as a named recipient who knows some columns exactly. Exit 0 within its bound, 1 not."""
    from hdex.deid.attack_tables import attack as attack_tables
    from hdex.deid.attackers import load
    from hdex.deid.table_files import read_table

    with usage():
        profile = load(attacker)
        before, after = (read_table(path)[0] for path in (original, released))
        found = attack_tables(
            before,
            after,
            profile,
            patient=patient,
            k=k,
            targets=targets,
            seed=seed,
            outsiders=read_table(outsiders)[0] if outsiders else None,
            ladders=_ladders(before, hierarchies),
            shift_days=shift_days,
        )
    if not found.columns:
        typer.echo("note: the release has none of the columns this attacker knows", err=True)
    if found.unread:
        columns = ", ".join(found.unread)
        typer.echo(f"note: labels of {columns} are names of groups; --hierarchies tells what they hold", err=True)
    tell(found.to_dict(), as_json=as_json)
    if not found.is_within:
        raise typer.Exit(1)


def _ladders(frame: "pl.DataFrame", folder: Path | None) -> "dict[str, Hierarchy]":
    from hdex.deid.hierarchy import find_csv, from_csv

    if folder is None:
        return {}
    paths = {name: find_csv(folder, name) for name in frame.columns}
    return {name: from_csv(path, name) for name, path in paths.items() if path is not None}
