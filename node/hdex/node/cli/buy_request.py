"""`hdex buy request new|submit|status|message|withdraw`: ask people of a hospital for access.

`hdex buy request PRODUCT ...` asks for a contract, as ever; `contract` is its name in full.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from hdex.node.cli.buy_vetting import applicant
from hdex.node.cli.fallback import falling_back_to, rows_of
from hdex.node.cli.options import PURPOSE, Config, Json

app = typer.Typer(cls=falling_back_to("contract"), rich_markup_mode=None)
Product = Annotated[str, typer.Argument(help="Product id.")]
Name = Annotated[str, typer.Argument(help="Name of the request, as given to `new`.")]
Words = Annotated[str, typer.Argument(metavar="TEXT", help="What is said to the other side.")]
SHOWN = ("id", "state", "next", "due", "overdue", "escalated_to", "precheck", "precheck_rule", "revision")
TO_FILL: dict[str, Any] = {
    "title": "",
    "summary": "",
    "ethics": {"number": "", "expires": ""},
    "team": [{"name": "", "role": "", "trained": ""}],
    "contractors": [],
    "columns": [],
    "starts": "",
    "ends": "",
    "publication_plan": "",
    "protection": "",
}


@app.callback()
def request() -> None:
    """Ask for access that people of a hospital give, or (PRODUCT ...) for a contract."""


@app.command()
def contract(
    product: Product,
    config: Config,
    purpose: Annotated[str, typer.Option(help=PURPOSE)],
    mode: Annotated[str, typer.Option(help="sealed_file, query, enclave, download or federated")] = "sealed_file",
    disease: Annotated[str, typer.Option(help="ICD-10 code, for disease-specific purposes.")] = "",
    rounds: Annotated[int, typer.Option(help="Federated rounds asked for.")] = 0,
    statement: Annotated[str, typer.Option(help="What the data is for, in words.")] = "",
    plan: Annotated[str, typer.Option(help="Plan of the price; none is the first that the product offers.")] = "",
    columns: Annotated[str, typer.Option(help="Columns for federated use, with commas between; none means all.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for a contract; the hospital's rules answer at once, then a person decides."""
    from hdex.node.cli.buy import buyer
    from hdex.node.cli.buy_invoices import order_of
    from hdex.node.cli.serving import show

    who = buyer(config)
    from hdex.node.buyer import Wish

    access = access_of(who.me, purpose, disease)
    order = order_of(plan, columns)
    record = who.request(Wish(product, mode, access, max_rounds=rounds, statement=statement, order=order))
    show({"contract": record.contract_id, "state": record.state, "rule": record.rule}, as_json=as_json)


@app.command()
def new(
    product: Product,
    name: Annotated[str, typer.Argument(help="A name of your own for the request.")],
    config: Config,
    purpose: Annotated[str, typer.Option(help=PURPOSE)],
    mode: Annotated[str, typer.Option(help="sealed_file or federated")] = "sealed_file",
    disease: Annotated[str, typer.Option(help="ICD-10 code, for disease-specific purposes.")] = "",
    form: Annotated[Path | None, typer.Option(help="Fields of the form (JSON) to take over.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a request: the file it prints is yours to fill in."""
    from hdex.node.cli.buy import buyer
    from hdex.node.cli.serving import show
    from hdex.node.json_file import read_object

    said = read_object(form) if form else {}
    found, digest = buyer(config).show(product)
    from hdex.catalog.documents import to_document
    from hdex.node.compose.client import open_applicant
    from hdex.node.config import BuyerConfig, load

    who = open_applicant(load(config, BuyerConfig))
    asked = {"access": to_document(access_of(who.me, purpose, disease)), "delivery_mode": mode, **TO_FILL, **said}
    path = who.draft(name, found, digest, asked)
    then = f"fill it in, then: hdex buy request submit {name}"
    show({"id": name, "state": "DRAFT", "file": str(path), "next_step": then}, as_json=as_json)


@app.command()
def submit(
    name: Name,
    document: Annotated[Path, typer.Argument(help="The ethics approval (PDF). It goes to the hospital alone.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Sign the form and send it with the ethics approval; again after it was returned."""
    say(applicant(config)[0].submit(name, document), as_json=as_json)


@app.command()
def status(name: Name, config: Config, as_json: Json = False) -> None:
    """Show where a request stands, whose turn it is and by when."""
    say(applicant(config)[0].status(name), as_json=as_json)


@app.command()
def message(name: Name, text: Words, config: Config, as_json: Json = False) -> None:
    """Say something to the reviewers: plain text, 4,000 characters at most."""
    say(applicant(config)[0].message(name, text), as_json=as_json)


@app.command()
def withdraw(
    name: Name,
    config: Config,
    reason: Annotated[str, typer.Option(help="Why; the reviewers read it.")] = "",
    as_json: Json = False,
) -> None:
    """End a request."""
    say(applicant(config)[0].withdraw(name, reason), as_json=as_json)


def say(view: dict[str, Any], *, as_json: bool) -> None:
    """Print a request: whole as JSON, else its standing, the last reason and the messages."""
    from hdex.node.cli.serving import show

    if as_json:
        show(view, as_json=True)
        return
    reasons = [step["reason"] for step in view.get("history", []) if step["reason"]]
    show(rows_of(view, SHOWN) | {"reason": reasons[-1] if reasons else ""}, as_json=False)
    for told in view.get("messages", []):
        show({told["by"]: told["text"]}, as_json=False)


def access_of(me: str, purpose: str, disease: str) -> Any:
    """Return what the terms are asked."""
    from datetime import UTC, datetime

    from hdex.catalog.terms import AccessRequest
    from hdex.ledger.event import format_time

    return AccessRequest(purpose=purpose, recipient=me, at=format_time(datetime.now(UTC)), disease=disease or None)
