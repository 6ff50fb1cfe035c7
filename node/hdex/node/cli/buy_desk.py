"""`hdex buy desk|desk-code`: the pages of a buying organisation, on the machine of one of its people."""

from pathlib import Path

import typer

from hdex.node.cli.node_desk import Port, Tls
from hdex.node.cli.options import Config


def desk(config: Config, port: Port = 8491, tls: Tls = False) -> None:
    """Serve your organisation's pages to this machine's browser. Prints an address that signs in once."""
    from hdex.node.cli.serving import prepare, until_stopped
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    heard = settings.dsp.callback_hosts if settings.dsp is not None else []
    prepare(settings.data_dir, [settings.exchange.endpoint, *heard])
    from hdex.node.compose.buyer_desk import serve_buyer_desk

    until_stopped(lambda stop: serve_buyer_desk(settings, port, tls=tls, stop=stop))


def desk_code(config: Config) -> None:
    """Print a new one-time code for a desk that is running."""
    from datetime import UTC, datetime

    from hdex.node.code_slot import post
    from hdex.node.config import BuyerConfig, load
    from hdex.node.errors import ConfigInvalid

    slot: Path = load(config, BuyerConfig).data_dir / "desk"
    if not slot.is_dir():
        raise ConfigInvalid("no desk was started from this configuration: hdex buy desk")
    print(post(slot, datetime.now(UTC)))


def register(app: typer.Typer) -> None:
    """Add these verbs to `hdex buy`."""
    app.command()(desk)
    app.command("desk-code")(desk_code)
