"""`hdex exchange ...`"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hdex.node.cli.options import Config
from hdex.node.cli.vetting import vetting_app

if TYPE_CHECKING:
    from hdex.node.reviewer import Reviewer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def reviewer(config: Path, desk: Path, role: str) -> "Reviewer":
    """Return the person of the exchange whose certificate lies in `desk`."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.client import open_reviewer

    return open_reviewer(settings, desk, role)


app.add_typer(vetting_app(reviewer, "exchange_operator"), name="vetting")


@app.callback()
def exchange() -> None:
    """Catalogue, contracts, studies."""


@app.command()
def serve(config: Config) -> None:
    """Run the exchange and its pages until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    prepare(settings.data_dir, [*(peer.endpoint for peer in settings.witness_peers), settings.chain.url])
    from hdex.node.compose.exchange import serve_exchange

    standing = serve_exchange(settings)
    stop_on_signals(standing.stop)
    standing.run()
