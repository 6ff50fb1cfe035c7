"""`hdex exchange ...`"""

import typer

from hdex.node.cli.options import Config

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def exchange() -> None:
    """Catalogue, contracts, studies."""


@app.command()
def serve(config: Config) -> None:
    """Run the exchange and its pages until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    prepare(
        settings.data_dir,
        [*(peer.endpoint for peer in settings.witness_peers), settings.chain.url, *settings.searches.webhook_hosts],
    )
    from hdex.node.compose.exchange import serve_exchange

    standing = serve_exchange(settings)
    stop_on_signals(standing.stop)
    standing.run()
