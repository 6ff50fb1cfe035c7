"""`hdex chain ...`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.ledger.chain_web3 import Web3Chain
    from hdex.node.config import ExchangeConfig, HospitalConfig, KeyholderConfig

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


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


Participant = Annotated[Path, typer.Option("--config", "-c", help="Configuration of the participant to bind.")]
Keystore = Annotated[Path, typer.Option(help="Keystore with the chain key that signs.")]
Passphrase = Annotated[Path, typer.Option(help="File with the keystore's passphrase, mode 600.")]


@app.command()
def enroll(config: Participant, *, keystore: Keystore, passphrase_file: Passphrase, as_json: Json = False) -> None:
    """Bind a participant's log to the account that may anchor for it (operator of the chain only)."""
    node, account, log_key_hash = binding(config)
    reference = open_contract(config, keystore, passphrase_file).enroll(node, account, log_key_hash)
    tell_bound(node, account, reference.tx, as_json=as_json)


@app.command()
def rotate(config: Participant, *, keystore: Keystore, passphrase_file: Passphrase, as_json: Json = False) -> None:
    """Bind a participant's log to its new account and log key, as its directory entry names them.

    The keystore is that of the participant with its old chain key, or of the chain's operator when that key is lost.
    """
    node, account, log_key_hash = binding(config)
    reference = open_contract(config, keystore, passphrase_file).rotate(node, account, log_key_hash)
    tell_bound(node, account, reference.tx, as_json=as_json)


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


def binding(config: Path) -> tuple[str, str, bytes]:
    """Return node id, account and log key hash of a participant, as the signed directory names them."""
    import hashlib

    from hdex.node.directory import load as load_directory

    settings = logged_participant(config)
    directory = load_directory(
        settings.identity.directory, settings.identity.ca.read_bytes(), trust_domain=settings.trust_domain
    )
    member = directory.member(settings.id)
    return member.id, member.chain_address, hashlib.sha256(member.log_key).digest()


def open_contract(config: Path, keystore: Path, passphrase_file: Path) -> "Web3Chain":
    """Return the contract that a participant is configured for, used with the keystore's account."""
    from hdex.node.errors import ConfigInvalid
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    settings = logged_participant(config)
    if settings.chain is None:
        raise ConfigInvalid(f"{config} names no chain")
    key = KeyStore.open(keystore, read_passphrase(passphrase_file)).secret("chain")
    from hdex.ledger.chain_web3 import Web3Chain

    return Web3Chain(settings.chain.url, settings.chain.contract, key, settings.chain.chain_id)


def tell_bound(node: str, account: str, tx: bytes, *, as_json: bool) -> None:
    """Print who may anchor for a node now."""
    from hdex.node.cli.serving import show

    show({"node": node, "account": account, "tx": tx.hex()}, as_json=as_json)


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
