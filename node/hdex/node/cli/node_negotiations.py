"""`hdex node negotiations offer`: answer a request over the Dataspace Protocol with other terms."""

from typing import Annotated

import typer

from hdex.node.cli.options import OFFICER, Config, DeskFolder, Json
from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def negotiations() -> None:
    """Bargain over a request before it is decided."""


@app.command()
def offer(
    contract: Annotated[str, typer.Argument(help="Contract id.")],
    reason: Annotated[str, typer.Argument(help="Why; the consumer reads it.")],
    config: Config,
    desk: DeskFolder,
    *,
    plan: Annotated[str, typer.Option(help="Plan of the price that is offered; none leaves it.")] = "",
    columns: Annotated[str, typer.Option(help="Columns that are offered, with commas; none leaves them.")] = "",
    rounds: Annotated[int | None, typer.Option(help="Federated rounds that are offered; none leaves them.")] = None,
    until: Annotated[str, typer.Option(help="Latest end of the contract: 2027-06-30T00:00:00Z; none leaves it.")] = "",
    as_json: Json = False,
) -> None:
    """Sign an offer that answers a request; the consumer accepts it, counters it or withdraws."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    terms = {"plan": plan, "columns": columns, "rounds": "" if rounds is None else str(rounds), "until": until}
    show(staff(config, desk, OFFICER).offer(contract, reason, terms), as_json=as_json)
