"""`hdex node vetting ...` and `hdex exchange vetting ...`: the office that vets organisations."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.fallback import rows_of
from hdex.node.cli.options import Config, DeskFolder, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.node.reviewer import Reviewer

Organisation = Annotated[str, typer.Argument(help="The organisation's id in the directory.")]
Arrow = Annotated[str, typer.Argument(help="endorse (first role), approve (second role), refuse or revoke")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the list here, harmless in a spreadsheet.")]
Open = Callable[[Path, Path, str], "Reviewer"]
NOBODY = {
    "vettings": "no organisation has applied to this office",
    "requests": "nobody has asked this hospital for access",
}
LINE = ("participant", "state", "next", "code", "name", "country", "valid_until", "digest")


def vetting_app(open_reviewer: Open, first: str) -> typer.Typer:
    """Return the verbs of an office whose first role signs as `first` unless --as says otherwise."""
    app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
    role_option = typer.Option("--as", help="Who signs: the office's first or second role.")
    role = Annotated[str, role_option]

    @app.callback()
    def vetting() -> None:
        """Vet organisations: two people of two roles, before any contract."""

    @app.command("list")
    def list_all(
        config: Config, desk: DeskFolder, as_role: role = first, csv: Csv = None, as_json: Json = False
    ) -> None:
        """List the applications and whose turn it is."""
        who = open_reviewer(config, desk, as_role)
        show_list("vettings", who.vettings.list_vettings(who.office), LINE, csv=csv, as_json=as_json)

    @app.command("show")
    def show_one(
        organisation: Organisation, config: Config, desk: DeskFolder, as_role: role = first, as_json: Json = False
    ) -> None:
        """Show an organisation's applications whole: declaration, rules that apply, who said what."""
        from hdex.node.cli.serving import show_each

        who = open_reviewer(config, desk, as_role)
        views = who.vettings.vettings_of(who.office, organisation)
        show_each("vettings", views, as_json=as_json, none=f"{organisation} has not applied to this office")

    @app.command()
    def decide(
        organisation: Organisation,
        arrow: Arrow,
        reason: Annotated[str, typer.Argument(help="Why; the organisation reads it.")],
        config: Config,
        desk: DeskFolder,
        as_role: role = first,
        until: Annotated[str, typer.Option(help="Last day of an approval, as in 2027-06-30.")] = "",
        as_json: Json = False,
    ) -> None:
        """Sign a decision about an organisation's newest application."""
        from hdex.node.cli.serving import show

        ends = end_of(until) if until else ""
        view = open_reviewer(config, desk, as_role).decide_vetting(organisation, arrow, reason, until=ends)
        show(view if as_json else rows_of(view, LINE), as_json=as_json)

    return app


def show_list(
    name: str, views: list[dict[str, Any]], columns: tuple[str, ...], *, csv: Path | None, as_json: bool
) -> None:
    """Print a list, and write it as CSV where that is asked."""
    from hdex.catalog.spreadsheet import to_csv
    from hdex.node.cli.serving import show_each

    rows = [rows_of(view, columns) for view in views]
    if csv is not None:
        csv.write_bytes(to_csv(columns, ([row.get(name) for name in columns] for row in rows)))
    show_each(name, rows, as_json=as_json, none=NOBODY[name])


def end_of(day: str) -> str:
    """Return the end of a day as RFC 3339 UTC. Raises ConfigInvalid."""
    from datetime import date

    from hdex.ledger.event import format_time
    from hdex.node.errors import ConfigInvalid
    from hdex.node.vetting_record import end_of_day

    try:
        ends = end_of_day(date.fromisoformat(day))
    except ValueError as error:
        raise ConfigInvalid("--until is a day as in 2027-06-30") from error
    return format_time(ends) if ends else ""
