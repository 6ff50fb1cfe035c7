"""`hdex deid classify`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, usage

if TYPE_CHECKING:
    from hdex.deid.columns import ColumnProfile


def classify(
    export: Annotated[Path, typer.Argument(help="Folder or file: CSV of any dialect, Parquet, FHIR NDJSON.")],
    *,
    inclusion: Annotated[list[str] | None, typer.Option(help="What chose the patients: title, filter, codes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say role, category and level of every column of an export, with the evidence, and the level of the whole."""
    from hdex.deid.classify import classify_columns, classify_dataset
    from hdex.node.sources import read_export

    with usage():
        tables = read_export(export).tables
        found = {
            name: (table.frame.height, classify_columns(table.frame.select(table.columns), name))
            for name, table in tables.items()
        }
        everything = [profile for _, profiles in found.values() for profile in profiles]
        decision = classify_dataset(everything, inclusion=inclusion or [], k_without_suppression=None)
    answer = {
        "tables": [
            {"name": name, "rows": rows, "columns": [_column(profile) for profile in profiles]}
            for name, (rows, profiles) in found.items()
        ],
        "level": decision.level,
        "reasons": list(decision.reasons),
        "grade": decision.grade,
        "may_lower_to": decision.may_lower_to,
    }
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for profile in everything:
        where = f"{profile.table}.{profile.name}"
        typer.echo(f"{profile.level}  {profile.role:<10} {where:<40} {'; '.join(profile.evidence)}")
    typer.echo(f"data set: level {decision.level}, may lower to {decision.may_lower_to}, grade {decision.grade}")
    typer.echo("\n".join(f"  {reason}" for reason in decision.reasons))


def _column(profile: "ColumnProfile") -> dict[str, object]:
    return {
        "name": profile.name,
        "role": profile.role,
        "category": profile.category,
        "level": profile.level,
        "evidence": list(profile.evidence),
        "confidence": profile.confidence,
    }
