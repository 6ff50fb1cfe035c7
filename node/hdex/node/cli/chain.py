"""`hdex chain ...`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json

if TYPE_CHECKING:
    from hdex.node.config import ExchangeConfig, HospitalConfig, KeyholderConfig

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
def enroll(
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration of the participant to enrol.")],
    *,
    keystore: Annotated[Path, typer.Option(help="Keystore with the operator's chain key.")],
    passphrase_file: Annotated[Path, typer.Option(help="File with the keystore's passphrase, mode 600.")],
    as_json: Json = False,
) -> None:
    """Bind a participant's log to the account that may anchor for it (operator of the chain only)."""
    import hashlib

    from hdex.node.cli.serving import show
    from hdex.node.directory import load as load_directory
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    settings = logged_participant(config)
    directory = load_directory(
        settings.identity.directory, settings.identity.ca.read_bytes(), trust_domain=settings.trust_domain
    )
    member = directory.member(settings.id)
    key = KeyStore.open(keystore, read_passphrase(passphrase_file)).secret("chain")
    from hdex.ledger.chain_web3 import Web3Chain
    from hdex.node.errors import ConfigInvalid

    if settings.chain is None:
        raise ConfigInvalid(f"{config} names no chain")
    chain = Web3Chain(settings.chain.url, settings.chain.contract, key, settings.chain.chain_id)
    reference = chain.enroll(member.id, member.chain_address, hashlib.sha256(member.log_key).digest())
    show({"node": member.id, "account": member.chain_address, "tx": reference.tx.hex()}, as_json=as_json)


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


def logged_participant(config: Path) -> "HospitalConfig | ExchangeConfig | KeyholderConfig":
    """Return the configuration of a participant that keeps a log, of whichever kind it is."""
    from hdex.node.config import ExchangeConfig, HospitalConfig, KeyholderConfig, load
    from hdex.node.errors import ConfigInvalid

    try:
        return load(config, ExchangeConfig)
    except ConfigInvalid:
        pass
    try:
        return load(config, KeyholderConfig)
    except ConfigInvalid:
        return load(config, HospitalConfig)
