"""`hdex exchange ...`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.node_desk import desk_code, office
from hdex.node.cli.options import Config
from hdex.node.cli.verbs import Verbs
from hdex.node.cli.vetting import vetting_app

if TYPE_CHECKING:
    from hdex.node.reviewer import Reviewer

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


def reviewer(config: Path, desk: Path, role: str) -> "Reviewer":
    """Return the person of the exchange whose certificate lies in `desk`."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.client import open_reviewer

    return open_reviewer(settings, desk, role)


app.add_typer(vetting_app(reviewer, "exchange_operator"), name="vetting")
app.command("desk")(office)
app.command("desk-code")(desk_code)


@app.callback()
def exchange() -> None:
    """Catalogue, contracts, studies."""


@app.command()
def serve(config: Config) -> None:
    """Run the exchange and its pages until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    hosts = [*(settings.dsp.callback_hosts if settings.dsp is not None else []), *settings.searches.webhook_hosts]
    prepare(settings.data_dir, [*(peer.endpoint for peer in settings.witness_peers), settings.chain.url, *hosts])
    from hdex.node.compose.exchange import serve_exchange

    standing = serve_exchange(settings)
    stop_on_signals(standing.stop)
    standing.run()


@app.command()
def supernode(
    public_key: Annotated[Path, typer.Argument(help="The SuperNode's public key (PEM, elliptic curve).")],
    config: Config,
) -> None:
    """Register a hospital's SuperNode at the SuperLink and print its node id, for [[supernodes]]."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from hdex.node.config import ExchangeConfig, load
    from hdex.node.egress import quiet
    from hdex.node.errors import ConfigInvalid

    settings = load(config, ExchangeConfig)
    if settings.superlink is None:
        raise ConfigInvalid("the exchange's configuration names no [superlink]")
    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{public_key} cannot be read as a public key in PEM") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise ConfigInvalid(f"{public_key} holds no elliptic curve key")
    quiet(settings.data_dir)
    from hdex.federated.apps.superlink import Control, Endpoint

    control = Control(Endpoint(settings.superlink.address, settings.superlink.ca.read_bytes()))
    typer.echo(str(control.register(key)))
    control.close()
