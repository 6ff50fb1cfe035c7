"""`hdex deid <verb>`: de-identify files without a running node."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hdex.deid.columns import ColumnProfile
    from hdex.deid.ports import Detector
    from hdex.deid.text import Surrogates, Tags

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def files() -> None:
    """Classify, generalise, verify and redact files."""


@app.command()
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


@app.command()
def anonymize(
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
    engine: Annotated[str, typer.Option(help="exact; local follows.")] = "exact",
    as_json: AsJson = False,
) -> None:
    """Generalise a table to k with the least loss, and write what may leave."""
    from hdex.deid.anonymize import anonymize_file, identifying_columns

    with usage():
        answer = anonymize_file(
            source,
            out=out,
            quasi=_names(quasi),
            k=k,
            suppression=suppression,
            sensitive=sensitive,
            least_values=l,
            distance=t,
            hierarchies=hierarchies,
            patient=patient,
            engine=engine,
        )
    if passed := identifying_columns(out, _names(quasi)):
        typer.echo(f"warning: {', '.join(passed)} identify directly and went through unchanged", err=True)
    _tell(answer, as_json=as_json)


@app.command()
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
        found = verify_release(released, _names(quasi), k, patient=patient)
    _tell(asdict(found), as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def redact(
    source: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", help="One JSON object per line.")],
    *,
    text: Annotated[str, typer.Option(help="Field that holds the note.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    lang: Annotated[str, typer.Option(help="Language of the notes: en or zh.")] = "en",
    record: Annotated[str, typer.Option(help="Fields with the patient's own values, separated by commas.")] = "",
    replace: Annotated[str, typer.Option(help="surrogate or tag.")] = "surrogate",
    key: Annotated[Path | None, typer.Option(help="File with the project's key; none: a random one.")] = None,
    detector: Annotated[str, typer.Option(help="presidio or rules.")] = "presidio",
    spans: Annotated[bool, typer.Option("--spans", help="Add the spans found, as code points.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace identifiers in notes; the patient's own values are known where --record names them."""
    from hdex.deid.redaction import redact_file

    with usage():
        answer = redact_file(
            source,
            out=out,
            text=text,
            lang=lang,
            detector=_detector(detector),
            surrogate=_surrogate(replace, key),
            record=_names(record),
            with_spans=spans,
        )
    _tell(answer, as_json=as_json)


@contextmanager
def usage() -> Iterator[None]:
    """A wrong argument is a usage error (exit 2); everything else goes to the one table in node/errors.py."""
    from hdex.deid.errors import ArgumentInvalid

    try:
        yield
    except ArgumentInvalid as error:
        raise typer.BadParameter(str(error)) from error


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _detector(name: str) -> "Detector":
    if name == "rules":
        from hdex.deid.detector_rules import RulesDetector

        return RulesDetector()
    if name == "presidio":
        from hdex.deid.detector_presidio import PresidioDetector

        return PresidioDetector()
    raise typer.BadParameter(f"detector {name} is not known; there are presidio and rules")


def _surrogate(replace: str, key: Path | None) -> "Surrogates | Tags":
    from hdex.deid.text import Surrogates, Tags

    if replace == "tag":
        return Tags()
    if replace != "surrogate":
        raise typer.BadParameter(f"--replace is {replace}; there are surrogate and tag")
    return Surrogates(_key(key))


def _key(path: Path | None) -> bytes:
    """The key in the file, or a random one for this run."""
    from secrets import token_bytes

    if path is None:
        typer.echo("warning: no --key: surrogates of this run agree with no other run", err=True)
        return token_bytes(32)
    key = path.read_bytes().strip()
    if len(key) < 32:
        raise typer.BadParameter(f"{path.name} holds {len(key)} bytes, asked are 32 or more")
    return key


def _column(profile: "ColumnProfile") -> dict[str, object]:
    return {
        "name": profile.name,
        "role": profile.role,
        "category": profile.category,
        "level": profile.level,
        "evidence": list(profile.evidence),
        "confidence": profile.confidence,
    }


def _tell(answer: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(f"{name}: {value}" for name, value in answer.items()))
