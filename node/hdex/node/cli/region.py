"""`hdex region ...`"""

import typer

from hdex.node.cli.options import Config
from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def region() -> None:
    """Adds the encrypted sums of its hospitals and passes on one; it holds no key and learns nothing."""


@app.command()
def serve(config: Config) -> None:
    """Run the region until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import RegionConfig, load

    settings = load(config, RegionConfig)
    chain = [settings.chain.url] if settings.chain else []
    prepare(
        settings.data_dir, [settings.exchange.endpoint, *(peer.endpoint for peer in settings.witness_peers), *chain]
    )
    from hdex.node.compose.region import serve_region

    standing = serve_region(settings)
    stop_on_signals(standing.stop)
    standing.run()
