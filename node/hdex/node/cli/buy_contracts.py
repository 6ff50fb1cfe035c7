"""`hdex buy status|renew|attest|withdraw`: what a buyer does with a contract it has, or no longer wants."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json

if TYPE_CHECKING:
    from hdex.node.holder import Holder

Contract = Annotated[str, typer.Argument(help="Contract id.")]
SHOWN = ("contract", "state", "life", "rule", "next_step", "grant", "expires", "due", "overdue", "transfer", "renews")


def status(contract: Contract, config: Config, as_json: Json = False) -> None:
    """Show where a contract stands, by the provider's own word once it is final, and what comes next."""
    from hdex.node.cli.serving import show

    found = holder(config).standing(contract)
    if as_json:
        show(found, as_json=True)
        return
    counts = {f"used {name}": f"{found['used'][name]:g} of {most:g}" for name, most in found.get("limits", {}).items()}
    show({name: found[name] for name in SHOWN if found.get(name) not in (None, "")} | counts, as_json=False)


def renew(
    contract: Contract,
    config: Config,
    rounds: Annotated[int | None, typer.Option(help="Federated rounds; as many as before if none.")] = None,
    statement: Annotated[str, typer.Option(help="What the data is for, in words.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for a contract of the same terms and a new term; it takes the old one's place when it is final."""
    from hdex.node.cli.serving import show

    record = holder(config).renew(contract, rounds=rounds, statement=statement)
    found = {"contract": record.contract_id, "renews": contract, "state": record.state, "rule": record.rule}
    show(found, as_json=as_json)


def attest(
    contract: Contract,
    config: Config,
    deleted: Annotated[list[str], typer.Option(help="What was deleted, and where; may stand several times.")],
    *,
    copies: Annotated[int, typer.Option(help="How many copies were destroyed, backups included.")] = 1,
    kept: Annotated[
        list[str] | None, typer.Option(help="What is kept, and the clause: 'derived_products: a risk model'.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete this contract's files on this machine first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign that the rows of a contract are deleted; one that still runs is given back by it."""
    from hdex.catalog.attestation import Kept
    from hdex.node.cli.serving import show, talk
    from hdex.node.errors import RequestInvalid

    kept_under = []
    for one in kept or []:
        clause, colon, what = one.partition(":")
        if not colon:
            raise RequestInvalid("what is kept is written as: clause: what")
        kept_under.append(Kept(what.strip(), clause.strip()))
    who = holder(config)
    here = len(who.held(contract)) if delete else 0
    found = who.attest(contract, deleted, copies=copies, kept=kept_under, delete=delete)
    if here:
        talk("deleted", f"{here} file(s) of this contract on this machine")
    show({name: found[name] for name in ("contract", "state", "life", "rule")}, as_json=as_json)


def withdraw(
    contract: Contract,
    config: Config,
    reason: Annotated[str, typer.Option(help="Why; the provider reads it.")] = "",
    as_json: Json = False,
) -> None:
    """End a negotiation that is not final; the provider is told."""
    from hdex.node.cli.serving import show

    record = holder(config).withdraw(contract, reason)
    show({"contract": contract, "state": record.state, "rule": record.rule}, as_json=as_json)


def holder(config: Path) -> "Holder":
    """Return the buyer of a configuration with the contracts it has."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_holder

    return open_holder(settings)


def register(app: typer.Typer) -> None:
    """Add these verbs to `hdex buy`."""
    for verb in (status, renew, attest, withdraw):
        app.command()(verb)
