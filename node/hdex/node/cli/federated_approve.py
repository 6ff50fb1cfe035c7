"""`hdex federated list|approve|deny`: what a hospital's people say to studies at their own node."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.federated import app
from hdex.node.cli.node import staff
from hdex.node.cli.options import OFFICER, Config, DeskFolder, Json

if TYPE_CHECKING:
    from hdex.node.steward import Desk

__all__ = ["app"]

Study = Annotated[str, typer.Argument(help="Study id as listed, or the digest of its document.")]
Role = Annotated[str, typer.Option("--as", help="Who signs: privacy_officer or ethics_committee.")]
OfContract = Annotated[bool, typer.Option("--contract", help="The name is a contract: a rule for its studies.")]
Kind = Annotated[str, typer.Option(help="Kind of study that a rule is about.")]


@app.command("list")
def list_studies(config: Config, desk: DeskFolder, role: Role = OFFICER, as_json: Json = False) -> None:
    """List the studies that asked without approval, and what was said to them."""
    from hdex.node.cli.serving import show_each

    studies = staff(config, desk, role).desk.status()["studies"]
    show_each("studies", studies, as_json=as_json, none="no study waits for this hospital")


@app.command()
def approve(
    name: Study,
    config: Config,
    desk: DeskFolder,
    role: Role = OFFICER,
    contract: OfContract = False,
    kind: Kind = "logistic",
    days: Annotated[int, typer.Option(min=1, max=366, help="Days for which a rule holds.")] = 30,
    as_json: Json = False,
) -> None:
    """Let a study run here, or by rule the studies under a contract (level 1-3). Level 4 and 5 need two persons."""
    _say("approve", name, config=config, desk=desk, role=role, rule=(contract, kind, days), as_json=as_json)


@app.command()
def deny(
    name: Study,
    config: Config,
    desk: DeskFolder,
    role: Role = OFFICER,
    contract: OfContract = False,
    kind: Kind = "logistic",
    as_json: Json = False,
) -> None:
    """Refuse a study, or end a rule: from the next round on nothing is answered."""
    _say("deny", name, config=config, desk=desk, role=role, rule=(contract, kind, 1), as_json=as_json)


def _say(
    verdict: str, name: str, *, config: Any, desk: Any, role: str, rule: tuple[bool, str, int], as_json: bool
) -> None:
    from hdex.ledger.event import format_time
    from hdex.node.cli.serving import show
    from hdex.node.hospital.study_approvals import PAPER, Said

    who = staff(config, desk, role)
    of_contract, kind, days = rule
    if of_contract:
        until = format_time(datetime.now(UTC) + timedelta(days=days))
        said = Said(verdict, contract=name, kind=kind, expires=until)
    else:
        said = Said(verdict, study_digest=digest_of(who.desk, name))
    show(who.sign(PAPER, name, said.document()), as_json=as_json)


def digest_of(desk: "Desk", name: str) -> str:
    """Return the digest of the study a person names: the one that waits under this id, or the digest itself."""
    from hdex.node.errors import NotFound
    from hdex.node.hospital.study_approvals import DIGEST

    if DIGEST.fullmatch(name):
        return name
    found = [str(row["digest"]) for row in desk.status()["studies"] if row["study"] == name]
    if len(found) == 1:
        return found[0]
    many = "several studies of this id wait: name one by its digest" if found else "no study of this id waits here"
    raise NotFound(f"{many} (hdex federated list shows them)")
