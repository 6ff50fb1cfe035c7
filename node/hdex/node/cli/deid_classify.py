"""`hdex deid classify`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, usage

if TYPE_CHECKING:
    from hdex.deid.columns import ColumnProfile
    from hdex.deid.scheme import Scheme
    from hdex.deid.survey import Survey
    from hdex.node.sources import Export, Override

MOST_COLUMNS = 20_000  # a wide export is classified; the path into the node takes fewer


def classify(
    export: Annotated[Path, typer.Argument(help="Folder or file: CSV of any dialect, Parquet, FHIR NDJSON.")],
    *,
    scheme: Annotated[Path | None, typer.Option(help="Scheme file (TOML) instead of the house's five levels.")] = None,
    inclusion: Annotated[list[str] | None, typer.Option(help="What chose the patients: title, filter, codes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say role, category and level of every column of an export, with the evidence, and the level of the whole."""
    from hdex.deid.scheme import load_scheme
    from hdex.deid.survey import survey

    with usage():
        chosen = load_scheme(scheme)
        found = read(export)
        tables = {name: table.frame.select(table.columns) for name, table in found.tables.items()}
        made = survey(tables, inclusion=inclusion or [], scheme=chosen)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(answer(made, chosen), ensure_ascii=False, indent=2))
        return
    for profile in made.profiles:
        where = f"{profile.table}.{profile.name}"
        typer.echo(f"{profile.level}  {profile.role:<10} {where:<40} {'; '.join(profile.evidence)}")
    decision = made.decision
    typer.echo(f"data set: level {decision.level}, may lower to {decision.may_lower_to}, grade {decision.grade}")
    typer.echo("\n".join(f"  {reason}" for reason in decision.reasons))


def read(path: Path) -> "Export":
    """Return an export; files without a header row get the column names c1, c2, ..."""
    from hdex.node.sources import SourceUnknown, read_export
    from hdex.node.sources.export import Limits

    limits = Limits(max_columns=MOST_COLUMNS)
    try:
        return read_export(path, limits=limits)
    except SourceUnknown:
        numbered = headerless(path)
        if not numbered:
            raise
        return read_export(path, overrides=numbered, limits=limits)


def headerless(path: Path) -> "dict[str, Override]":
    """Return column names c1, c2, ... for each delimited file whose first record is data."""
    from hdex.node.sources import Override, sniff
    from hdex.node.sources.encoding import read_bytes, to_utf8
    from hdex.node.sources.export import Limits
    from hdex.node.sources.read import exported_files, kind_of, table_name

    named: dict[str, Override] = {}
    for file in exported_files(path):
        if kind_of(file) != "csv":
            continue
        text = to_utf8(read_bytes(file, Limits())[0], file.name, None)[0][: 2 * sniff.SAMPLE_CHARACTERS].decode(
            errors="ignore"
        )
        rows = [row for row in sniff.split(text, *sniff.delimiter_and_quote(text)) if row]
        if rows and not sniff.is_header(tuple(rows[0])):
            named[table_name(file)] = Override(header=tuple(f"c{number}" for number in range(1, len(rows[0]) + 1)))
    return named


def answer(made: "Survey", scheme: "Scheme") -> dict[str, object]:
    """Return what --json prints."""
    links, decision = made.links, made.decision
    return {
        "tables": [
            {"name": name, "rows": rows, "columns": [_column(profile, scheme) for profile in made.of(name)]}
            for name, rows in made.rows.items()
        ],
        "level": decision.level,
        "reasons": list(decision.reasons),
        "grade": decision.grade,
        "may_lower_to": decision.may_lower_to,
        "scheme": scheme.id,
        "flags": {"minor_under_14": decision.minor_under_14},
        "patients": made.patients,
        "k": made.k,
        "links": {
            "patient": dict(links.patient),
            "encounter": dict(links.encounter),
            "tables": {name: kind.value for name, kind in links.kinds.items()},
        },
    }


def _column(profile: "ColumnProfile", scheme: "Scheme") -> dict[str, object]:
    return {
        "name": profile.name,
        "role": profile.role,
        "category": scheme.category_code(profile.category),
        "level": profile.level,
        "evidence": list(profile.evidence),
        "confidence": profile.confidence,
    }
