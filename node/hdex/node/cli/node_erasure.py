"""`hdex node erase` and `hdex node hold`: who stands behind events, erased when it may be, kept when it must be."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from hdex.node.cli.options import OFFICER, STEWARD, Config, DeskFolder, Json

Actor = Annotated[str, typer.Option(help="SPIFFE id of the person or process meant.")]
EventId = Annotated[str, typer.Option("--event", help="Id of the one event meant.")]
Before = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only records before this day (UTC).")]


def erase(
    name: Annotated[str, typer.Argument(help="What this order is called in your files.")],
    config: Config,
    desk: DeskFolder,
    *,
    actor: Actor = "",
    event: EventId = "",
    before: Before = None,
    second: Annotated[bool, typer.Option("--second", help="Sign as privacy officer what the steward signed.")] = False,
    as_json: Json = False,
) -> None:
    """Erase who stands behind events: the steward orders, the privacy officer orders the same with --second.

    The entries of the log and all proofs stay. Refused before the term of a record class, and under a legal hold.
    """
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    order = {"name": name, "scope": scope_of({"actor": actor, "event": event}, before)}
    show(staff(config, desk, OFFICER if second else STEWARD).sign("erasure", "", order), as_json=as_json)


def hold(
    name: Annotated[str, typer.Argument(help="Name of the hold: the case it is for.")],
    config: Config,
    desk: DeskFolder,
    *,
    actor: Actor = "",
    product: Annotated[str, typer.Option(help="Only events about this product.")] = "",
    contract: Annotated[str, typer.Option(help="Only events under this contract.")] = "",
    before: Before = None,
    lift: Annotated[bool, typer.Option("--lift", help="End the hold.")] = False,
    as_json: Json = False,
) -> None:
    """Keep what stands behind events whatever its term says, until the hold is lifted. Without a limit: everything."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    order = {"name": name, "scope": scope_of({"actor": actor, "product": product, "contract": contract}, before)}
    show(staff(config, desk, OFFICER).sign("hold.lift" if lift else "hold.place", "", order), as_json=as_json)


def scope_of(given: dict[str, str], before: datetime | None) -> dict[str, str]:
    """Return the scope of an order as it is signed."""
    from hdex.ledger.event import format_time

    scope = {key: value for key, value in given.items() if value}
    return scope if before is None else {**scope, "before": format_time(before.replace(tzinfo=UTC))}
