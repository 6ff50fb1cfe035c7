"""`hdex node requests list|show|decide|message`: access requests at a hospital; `contracts`, and the bare word, lists
the requests for contracts.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.buy_request import say
from hdex.node.cli.fallback import falling_back_to
from hdex.node.cli.options import OFFICER, STEWARD, Config, DeskFolder, Json
from hdex.node.cli.vetting import Csv, show_list, vetting_app

if TYPE_CHECKING:
    from hdex.node.reviewer import Reviewer

app = typer.Typer(cls=falling_back_to("contracts"), rich_markup_mode=None)
Role = Annotated[str, typer.Option("--as", help="Who signs: data_steward, privacy_officer or ethics_committee.")]
Name = Annotated[str, typer.Argument(help="Name of the request, as listed.")]
Words = Annotated[str, typer.Argument(metavar="TEXT", help="What is said to the other side.")]
Arrow = Annotated[str, typer.Argument(help="take, endorse, approve, refuse or return")]
LINE = ("id", "state", "next", "due", "overdue", "escalated_to", "applicant", "product", "version", "title",
        "precheck", "revision")  # fmt: skip


@app.callback()
def requests() -> None:
    """Review access requests; without a verb, list the requests for contracts."""


@app.command()
def contracts(config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """List the requests for this hospital's products and where they stand."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show_each

    records = staff(config, desk, OFFICER).desk.requests()
    rows = [
        {"contract": r.contract_id, "state": r.state, "product": r.asked["product"], "rule": r.rule} for r in records
    ]
    show_each("requests", rows, as_json=as_json, none="nobody has asked this hospital for a contract yet")


@app.command("list")
def list_all(config: Config, desk: DeskFolder, as_role: Role = STEWARD, csv: Csv = None, as_json: Json = False) -> None:
    """List access requests, whose turn it is and by when."""
    who = reviewer(config, desk, as_role)
    show_list("requests", who.reviews.list_requests(who.office), LINE, csv=csv, as_json=as_json)


@app.command("show")
def show_one(
    name: Name,
    config: Config,
    desk: DeskFolder,
    as_role: Role = STEWARD,
    document: Annotated[Path | None, typer.Option(help="Write the ethics approval (PDF) here.")] = None,
    as_json: Json = False,
) -> None:
    """Show a request whole: form, the terms' own answer, who said what."""
    from hdex.node.cli.serving import show

    who = reviewer(config, desk, as_role)
    show(who.reviews.request(who.office, name), as_json=as_json)
    if document is not None:
        document.write_bytes(who.reviews.request_document(who.office, name))


@app.command()
def decide(
    name: Name,
    arrow: Arrow,
    reason: Annotated[str, typer.Argument(help="Why; the applicant reads it.")],
    config: Config,
    desk: DeskFolder,
    as_role: Role = STEWARD,
    as_json: Json = False,
) -> None:
    """Sign a decision about a request as it reads now."""
    say(reviewer(config, desk, as_role).decide_request(name, arrow, reason), as_json=as_json)


@app.command()
def message(
    name: Name, text: Words, config: Config, desk: DeskFolder, as_role: Role = STEWARD, as_json: Json = False
) -> None:
    """Say something to the applicant: plain text, 4,000 characters at most."""
    say(reviewer(config, desk, as_role).message(name, text), as_json=as_json)


def reviewer(config: Path, desk: Path, role: str) -> "Reviewer":
    """Return the person of a hospital whose certificate lies in `desk`."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.client import open_reviewer

    return open_reviewer(settings, desk, role)


vetting = vetting_app(reviewer, STEWARD)
