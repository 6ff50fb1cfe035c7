"""`hdex keyholder ...`"""

import typer

from hdex.node.cli.options import Config
from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def keyholder() -> None:
    """Opens encrypted sums of a study, never one site's."""


@app.command()
def serve(config: Config) -> None:
    """Run the key holder until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import KeyholderConfig, load

    settings = load(config, KeyholderConfig)
    chain = [settings.chain.url] if settings.chain else []
    prepare(settings.data_dir, [*(peer.endpoint for peer in settings.witness_peers), *chain])
    from hdex.node.compose.keyholder import serve_keyholder

    standing = serve_keyholder(settings)
    stop_on_signals(standing.stop)
    standing.run()
