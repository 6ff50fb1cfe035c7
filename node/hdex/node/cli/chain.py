"""`hdex chain ...`"""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Config, Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def chain() -> None:
    """The embedded chain and the contract on it."""


@app.command()
def serve(config: Config) -> None:
    """Run the embedded chain as JSON-RPC on loopback until it is told to stop."""
    import threading

    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import ChainConfig, load

    settings = load(config, ChainConfig)
    prepare(settings.data_dir, [])
    from hdex.node.wire.chain_rpc import serve as serve_chain

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = threading.Event()
    stop_on_signals(stop)
    serve_chain(
        settings.data_dir / "chain.db",
        settings.listen.host,
        settings.listen.http_port,
        genesis_accounts=settings.accounts,
        chain_id=settings.chain_id,
        ready=lambda url: typer.echo(f"serving {url}", err=True),
        stop=stop,
    )


@app.command()
def deploy(
    url: Annotated[str, typer.Option(help="JSON-RPC address of the chain.")],
    keystore: Annotated[Path, typer.Option(help="Keystore with the operator's chain key.")],
    passphrase_file: Annotated[Path, typer.Option(help="File with the keystore's passphrase, mode 600.")],
    operator: Annotated[str, typer.Option(help="Who runs the chain, in words.")],
    chain_id: Annotated[int, typer.Option(help="The id the chain must have.")] = 40426,
    as_json: Json = False,
) -> None:
    """Deploy the contract and print its address."""
    from hdex.node.cli.serving import show
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    key = KeyStore.open(keystore, read_passphrase(passphrase_file)).secret("chain")
    from hdex.ledger.chain_web3 import deploy as deploy_contract

    address = deploy_contract(url, key, operator, expect_chain_id=chain_id)
    show({"contract": address, "chain_id": chain_id, "operator": operator}, as_json=as_json)
