"""`hdex buy search ...`: searches that the exchange answers again whenever a product is listed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.node.wire.remote_searches import RemoteSearches

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Search = Annotated[str, typer.Argument(help="Id of a saved search.")]


@app.callback()
def search() -> None:
    """Save searches at the exchange; new products that match are told by feed and webhook."""


@app.command()
def save(
    text: Annotated[str, typer.Argument(help="Words in English or Chinese; none matches every product.")] = "",
    config: Config = Path("config.toml"),
    name: Annotated[str, typer.Option(help="What the search is called.")] = "",
    level: Annotated[int, typer.Option(help="Level of the product.")] = 0,
    provider: Annotated[str, typer.Option(help="Hospital's id.")] = "",
    mode: Annotated[str, typer.Option(help="Delivery mode.")] = "",
    purpose: Annotated[str, typer.Option(help="Permitted purpose: a DUO code.")] = "",
    webhook: Annotated[str, typer.Option(help="https://... that notices are posted to.")] = "",
    as_json: Json = False,
) -> None:
    """Keep a search. The key that signs its webhook's notices is shown once."""
    from hdex.catalog.ports import Query
    from hdex.node.cli.serving import show

    query = Query(text=text, level=level or None, provider=provider or None, mode=mode or None, purpose=purpose or None)
    show(searches(config).save(query, name=name or text or "every product", webhook=webhook), as_json=as_json)


@app.command("list")
def list_searches(config: Config, as_json: Json = False) -> None:
    """Show the searches of your organisation."""
    from hdex.node.cli.serving import show_each

    rows = searches(config).list()
    show_each("searches", rows, as_json=as_json, none="your organisation keeps no search: hdex buy search save")


@app.command()
def remove(search: Search, config: Config, as_json: Json = False) -> None:
    """Forget a search, its feed and the notices that wait."""
    from hdex.node.cli.serving import show

    searches(config).remove(search)
    show({"removed": search}, as_json=as_json)


@app.command()
def feed(search: Search, config: Config, as_json: Json = False) -> None:
    """Show the path of a search's Atom feed on the exchange's pages. Who knows it may read it."""
    from hdex.node.cli.serving import show
    from hdex.node.errors import NotFound

    found = next((row for row in searches(config).list() if row["id"] == search), None)
    if found is None:
        raise NotFound("your organisation keeps no search of this id: hdex buy search list")
    show({"id": search, "feed": found["feed"]}, as_json=as_json)


def searches(config: Path) -> "RemoteSearches":
    """Return the saved searches at the exchange that a configuration names."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_searches

    return open_searches(settings)
