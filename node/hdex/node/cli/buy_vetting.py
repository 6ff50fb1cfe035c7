"""`hdex buy vetting apply|show`: have one's organisation vetted, before any contract."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.fallback import rows_of
from hdex.node.cli.options import Config, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.node.applicant import Applicant

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Office = Annotated[
    str, typer.Option("--at", help="The office: a hospital's id or the exchange's. The exchange if none.")
]
SHOWN = ("participant", "state", "next", "valid_until", "digest", "rules")


@app.callback()
def vetting() -> None:
    """Have your organisation vetted: nothing is agreed with one that is not."""


@app.command()
def apply(
    organisation: Annotated[Path, typer.Argument(help="What the organisation declares (JSON); see docs/buyer.md.")],
    config: Config,
    at: Office = "",
    renew: Annotated[bool, typer.Option("--renew", help="Sign the same declaration anew.")] = False,
    as_json: Json = False,
) -> None:
    """Sign the declaration and hand it to an office; two of its people decide."""
    from hdex.node.cli.serving import show
    from hdex.node.json_file import read_object

    declared = read_object(organisation)
    who, office = applicant(config, at)
    if renew:
        who.renew(office)
    view = who.apply(office, declared)
    show(view if as_json else rows_of(view, SHOWN), as_json=as_json)


@app.command("show")
def show_vetting(config: Config, at: Office = "", as_json: Json = False) -> None:
    """Show what an office holds of your organisation, with its reasons."""
    from hdex.node.cli.serving import show_each

    who, office = applicant(config, at)
    views = who.vettings(office)
    told = [
        rows_of(view, SHOWN) | {"reasons": [step["reason"] for step in view["history"] if step["reason"]]}
        for view in views
    ]
    none = f"your organisation has not applied at {office}; hdex buy vetting apply"
    show_each("vettings", views if as_json else told, as_json=as_json, none=none)


def applicant(config: Path, office: str = "") -> "tuple[Applicant, str]":
    """Return the organisation that a configuration names, and the office it means: the exchange where none is named."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_applicant

    return open_applicant(settings), office or settings.exchange.id
