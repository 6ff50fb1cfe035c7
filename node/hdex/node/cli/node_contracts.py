"""`hdex node contracts list|suspend|resume`: how contracts stand, and the officer's orders about them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hdex.node.cli.fallback import falling_back_to, rows_of
from hdex.node.cli.options import OFFICER, Config, DeskFolder, Json

app = typer.Typer(cls=falling_back_to("list"), rich_markup_mode=None)
Contract = Annotated[str, typer.Argument(help="Contract id.")]
Reason = Annotated[str, typer.Argument(help="Why; the consumer reads it.")]
LINE = ("contract", "consumer", "product", "version", "mode", "state", "life", "expires", "due", "overdue", "transfer",
        "next_step")  # fmt: skip


@app.callback()
def contracts() -> None:
    """Show how contracts stand, suspend and resume them; without a verb, list them."""


@app.command("list")
def list_all(
    config: Config,
    desk: DeskFolder,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only those whose attestation of deletion is late.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List contracts with their life, their end and what is due."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show_each

    found = staff(config, desk, OFFICER).desk.read("contracts")["contracts"]
    rows: list[dict[str, Any]] = [one for one in found if one.get("overdue") or not overdue]
    told = rows if as_json else [rows_of(one, LINE) for one in rows]
    late = "no attestation of deletion is late" if overdue else "nobody has asked this hospital for a contract yet"
    show_each("contracts", told, as_json=as_json, none=late)


@app.command()
def suspend(contract: Contract, reason: Reason, config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """Suspend a contract: nothing is delivered, answered or summed until it is resumed."""
    order("contract.suspend", contract, reason, config=config, desk=desk, as_json=as_json)


@app.command()
def resume(contract: Contract, reason: Reason, config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """Let a suspended contract serve again."""
    order("contract.resume", contract, reason, config=config, desk=desk, as_json=as_json)


def order(kind: str, contract: str, reason: str, *, config: Path, desk: Path, as_json: bool) -> None:
    """Sign an order and have the node carry it out."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    show(staff(config, desk, OFFICER).order_contract(kind, contract, reason), as_json=as_json)
