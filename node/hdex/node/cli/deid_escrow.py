"""`hdex deid escrow`: reversible pseudonyms, sealed by one, opened by two."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.deid_files import AsJson, tell, usage
from hdex.node.cli.deid_home import (
    Home,
    Hospital,
    Key,
    Place,
    Staff,
    acting,
    master_of,
    place,
    settings_of,
    write_envelope,
)
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    import polars as pl

    from hdex.deid.escrow import Escrow
    from hdex.node.hospital.escrow_opening import Question

KIND = "escrow_opening"  # of the node's documents: requests that were used
app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Table = Annotated[Path, typer.Argument(metavar="TABLE", help="Delimited text or Parquet.")]
Column = Annotated[str, typer.Option(help="The column.")]
Recipient = Annotated[str, typer.Option(help="Who receives the tokens.")]
Project = Annotated[str, typer.Option(help="For which project.")]
Kind = Annotated[str, typer.Option(help="What the column names: patient, encounter, device ...")]
Out = Annotated[Path, typer.Option(help="File to write.")]


@app.callback()
def escrow() -> None:
    """Reversible pseudonyms: the hospital alone finds its patient again, and it takes two people."""


@app.command()
def seal(
    table: Table,
    *,
    column: Column,
    recipient: Recipient,
    project: Project,
    out: Out,
    kind: Kind = "patient",
    home: Home = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Replace a column of ids by tokens (AES-SIV) of one recipient's project; the other columns stay as they are."""
    from hdex.deid.table_files import write_table

    with usage():
        frame, delimiter = read(table, column)
        tokens = escrow_of(master_of(home, key), recipient, project, kind).seal(frame[column])
        write_table(frame.with_columns(tokens.alias(column)), out, delimiter)
    tell({"rows": frame.height, "sealed": tokens.drop_nulls().n_unique()}, as_json=as_json)


@app.command()
def ask(
    table: Table,
    *,
    column: Column,
    recipient: Recipient,
    project: Project,
    reason: Annotated[str, typer.Option(help="Why they are to be opened; it stays in this file.")],
    out: Out,
    kind: Kind = "patient",
    home: Home = None,
    hospital: Hospital = "",
    as_json: AsJson = False,
) -> None:
    """Write the request to open the tokens of a column; two people sign it (hdex deid sign)."""
    from hdex.node.hospital import escrow_opening

    with usage():
        frame, _ = read(table, column)
        name = settings_of(home).id if home is not None else hospital
        if not name:
            raise typer.BadParameter("name --home of a node, or --hospital")
        question = question_of(name, frame, column, recipient=recipient, project=project, kind=kind)
        envelope = escrow_opening.ask(question, reason, datetime.now(UTC))
    write_envelope(out, envelope)
    tell({"request": str(out), "tokens": question.count, "until": envelope["document"]["until"]}, as_json=as_json)


@app.command("open")
def open_tokens(
    table: Table,
    *,
    column: Column,
    recipient: Recipient,
    project: Project,
    approval: Annotated[list[Path], typer.Option(help="The signed request; one file for each person, or one of both.")],
    out: Out,
    kind: Kind = "patient",
    home: Home = None,
    key: Key = None,
    hospital: Hospital = "",
    staff: Staff = None,
    as_json: AsJson = False,
) -> None:
    """Replace tokens by the ids they stand for, once two people of the staff approved; an event with --home."""
    from hdex.deid.table_files import write_table
    from hdex.node.json_file import read_object

    envelopes = [read_object(path) for path in approval]
    with usage():
        frame, delimiter = read(table, column)
        with place(home, key, hospital, staff) as here:
            question = question_of(here.hospital, frame, column, recipient=recipient, project=project, kind=kind)
            told, people = approved(here, question, envelopes)
            ids = escrow_of(here.master, recipient, project, kind).open(frame[column])
            remember(here, question, told, people)
        write_table(frame.with_columns(ids.alias(column)), out, delimiter)
    tell({"rows": frame.height, "opened": question.count, "approved_by": list(people)}, as_json=as_json)


def approved(here: Place, question: "Question", envelopes: list[dict[str, object]]) -> tuple[str, tuple[str, ...]]:
    """Return (digest of the request, who approved it); a refusal is an event where there is a log."""
    from hdex.node.errors import AccessDenied, NotFound
    from hdex.node.hospital.escrow_opening import require_approved

    now = datetime.now(UTC)
    if here.standing is None:
        return require_approved(envelopes, question, here.staff, now)
    ground = here.standing
    with ground.recorder.refusals("key.release", acting(ground), product=question.project, rows=question.count):
        told, people = require_approved(envelopes, question, here.staff, now)
        with suppress(NotFound):
            ground.documents.get(KIND, told)
            raise AccessDenied("escrow.used", "ask anew and let two people sign", "it was opened under this request")
    return told, people


def remember(here: Place, question: "Question", told: str, people: tuple[str, ...]) -> None:
    """Put the opening into the log, durable on return, before a single id is written; the request is used then."""
    if here.standing is None:
        typer.echo("warning: without --home no log remembers this opening", err=True)
        return
    ground = here.standing
    facts = {"product": question.project, "rows": question.count, "request_digest": told}
    with ground.recorder.release("key.release", acting(ground, people[0]), **facts):  # type: ignore[arg-type]  # Facts
        ground.documents.put(KIND, told, {"approved_by": list(people), "tokens": question.count})


def question_of(
    hospital: str, frame: "pl.DataFrame", column: str, *, recipient: str, project: str, kind: str
) -> "Question":
    """Return what is to be opened."""
    import polars as pl

    from hdex.node.hospital.escrow_opening import Question

    tokens = frame[column].cast(pl.String).drop_nulls().to_list()
    return Question.of(hospital, tokens, recipient=recipient, project=project, kind=kind)


def escrow_of(master: bytes, recipient: str, project: str, kind: str) -> "Escrow":
    """Return the escrow of one recipient's project and kind of column."""
    from hdex.deid.escrow import derive_escrow

    return derive_escrow(master, recipient=recipient, project=project, kind=kind)


def read(table: Path, column: str) -> "tuple[pl.DataFrame, str]":
    """Return a table that has the column, and its delimiter."""
    from hdex.deid.content import require_readable
    from hdex.deid.errors import ArgumentInvalid
    from hdex.deid.table_files import read_table

    require_readable(table)
    frame, delimiter = read_table(table)
    if column not in frame.columns:
        raise ArgumentInvalid(f"column {column} is not in {table.name}; there are {', '.join(frame.columns[:20])}")
    return frame, delimiter
