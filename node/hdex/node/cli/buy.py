"""`hdex buy ...`: a buyer at the exchange."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli import buy_contracts, buy_desk, buy_invoices, buy_search, buy_use
from hdex.node.cli.buy_negotiate import negotiate
from hdex.node.cli.buy_request import app as request_app
from hdex.node.cli.buy_vetting import app as vetting_app
from hdex.node.cli.options import Config, Json
from hdex.node.cli.verbs import OfBuyer

if TYPE_CHECKING:
    from hdex.node.buyer import Buyer

app = typer.Typer(cls=OfBuyer, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(buy_search.app, name="search", help="Saved searches: new products by feed and webhook.")
Product = Annotated[str, typer.Argument(help="Product id.")]
Contract = Annotated[str, typer.Argument(help="Contract id.")]
app.add_typer(request_app, name="request")
app.add_typer(vetting_app, name="vetting")
app.add_typer(buy_invoices.app, name="invoice")
app.command()(negotiate)
app.command()(buy_invoices.quote)
app.command()(buy_invoices.invoices)


@app.callback()
def buy() -> None:
    """Find, request, receive and open data products."""


@app.command()
def find(
    text: Annotated[str, typer.Argument(help="Words in English or Chinese; none lists everything.")] = "",
    config: Config = Path("config.toml"),
    lang: Annotated[str, typer.Option(help="en or zh")] = "en",
    as_json: Json = False,
) -> None:
    """Search the catalogue."""
    from hdex.node.cli.serving import show_each

    rows = [
        {
            "id": product.id,
            "version": product.version,
            "level": product.level,
            "modes": [mode.value for mode in product.delivery_modes],
            "title": product.title.say(lang),
        }
        for product in buyer(config).find(text, lang=lang)
    ]
    show_each("products", rows, as_json=as_json, none="no product listed here holds every word; fewer words find more")


@app.command()
def show(
    product: Product,
    config: Config,
    out: Annotated[Path | None, typer.Option(help="Write the manifest here (JSON), for `hdex catalog`.")] = None,
    as_json: Json = False,
) -> None:
    """Show a product's manifest after checking its signature."""
    import json

    from hdex.node.cli.serving import show as show_document

    found, digest = buyer(config).show(product)
    if out is None:
        show_document({"digest": digest, **found.document()}, as_json=as_json)
        return
    out.write_text(json.dumps(found.document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show_document({"id": found.id, "version": found.version, "digest": digest, "out": str(out)}, as_json=as_json)


@app.command()
def accept(contract: Contract, config: Config, as_json: Json = False) -> None:
    """Check the provider's agreement against the request and sign it."""
    from hdex.node.cli.serving import show

    record = buyer(config).accept(contract)
    show({"contract": contract, "state": record.state, "grant": record.grant_id}, as_json=as_json)


@app.command()
def fetch(contract: Contract, config: Config, as_json: Json = False) -> None:
    """Receive the product, from where an earlier call stopped."""
    from hdex.node.cli.serving import show

    delivered = buyer(config).fetch(contract)
    show({"file": str(delivered.path), "received": delivered.received, "complete": delivered.complete}, as_json=as_json)


@app.command()
def study(
    question: Annotated[Path, typer.Argument(help="id, target, features, purpose and contracts by hospital (JSON).")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Have a question answered over several hospitals: only encrypted sums leave them."""
    import json

    from hdex.node.cli.serving import show, talk
    from hdex.node.errors import ConfigInvalid

    try:
        asked = json.loads(question.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{question} cannot be read as JSON") from error
    show(buyer(config).study(asked, talk), as_json=as_json)


@app.command("open")
def open_product(
    contract: Contract,
    config: Config,
    out: Annotated[Path | None, typer.Option(help="Write the rows here (.parquet or .csv).")] = None,
    as_json: Json = False,
) -> None:
    """Open a delivered product; with --out, write its rows."""
    from hdex.node.cli.serving import show

    require_table(out)
    frame = buyer(config).open(contract)
    if out is not None:
        frame.write_csv(out) if out.suffix == ".csv" else frame.write_parquet(out)
    show({"rows": frame.height, "columns": frame.columns, "out": str(out or "")}, as_json=as_json)


def require_table(out: Path | None) -> None:
    """Raise ConfigInvalid unless rows can be written there by its ending."""
    from hdex.node.errors import ConfigInvalid

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigInvalid(f"{out} ends in neither .csv nor .parquet: rows are written as one of these")


def buyer(config: Path) -> "Buyer":
    """Return the buyer that a configuration names."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_buyer

    return open_buyer(settings)


buy_contracts.register(app)
buy_use.register(app)
buy_desk.register(app)
