"""`hdex keys`: a participant's keystore."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="KEYSTORE", help="The keystore file.")]
Passphrase = Annotated[Path, typer.Option(help="The passphrase, in a file of mode 600.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def create(file: File, passphrase_file: Passphrase, as_json: Json = False) -> None:
    """Make a keystore with every standard key of a participant."""
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    made = KeyStore.create(file, read_passphrase(passphrase_file))
    _say({"keystore": str(file), "keys": made.names()}, as_json)


@app.command("list")
def list_keys(file: File, passphrase_file: Passphrase, as_json: Json = False) -> None:
    """Print names, kinds and public halves; never a secret."""
    from hdex.node.errors import NotFound
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    store = KeyStore.open(file, read_passphrase(passphrase_file))
    found: dict[str, object] = {}
    for name in store.names():
        try:
            public = store.public(name).hex()
        except NotFound:
            public = ""
        found[name] = {"kind": store.kind(name).value, "public": public}
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, facts in found.items():
        typer.echo(f"{name}: {' '.join(facts.values()) if isinstance(facts, dict) else ''}".rstrip())


@app.command()
def rotate(
    file: File,
    passphrase_file: Passphrase,
    new_passphrase_file: Annotated[Path | None, typer.Option(help="The next passphrase; the same by default.")] = None,
    as_json: Json = False,
) -> None:
    """Wrap every key under a new key-encryption key. The keys stay; processes that have it open must restart."""
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    store = KeyStore.open(file, read_passphrase(passphrase_file))
    store.rotate(read_passphrase(new_passphrase_file or passphrase_file))
    _say({"rotated": str(file), "keys": store.names()}, as_json)


@app.command("replace-log")
def replace_log(
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration of the participant, which is stopped.")],
    witnesses: Annotated[int, typer.Option(help="Witnesses that must cosign the statement first.", min=0)] = 1,
    as_json: Json = False,
) -> None:
    """Replace the key that signs a participant's log; the old key's last statement names the new one.

    Stop the participant first. Tell everybody afterwards: the consortium's directory, the chain, trust files.
    """
    from hdex.node.cli.chain import logged_participant
    from hdex.node.cli.serving import prepare, show

    settings = logged_participant(config)
    chain = [settings.chain.url] if settings.chain else []
    prepare(settings.data_dir, [*(peer.endpoint for peer in settings.witness_peers), *chain])
    from hdex.node.compose.log_key import replace_key

    show(replace_key(settings, witnesses).document(), as_json=as_json)


@app.command()
def shred(
    file: File,
    name: Annotated[str, typer.Argument(help="The key to destroy.")],
    passphrase_file: Passphrase,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what the key protects is gone for good.")] = False,
    as_json: Json = False,
) -> None:
    """Destroy one key for good and remember that it was destroyed."""
    from hdex.node.errors import AccessDenied
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    if not yes:
        raise AccessDenied("shred-not-confirmed", "repeat with --yes", f"the key {name} was not destroyed")
    KeyStore.open(file, read_passphrase(passphrase_file)).shred(name)
    _say({"shredded": name}, as_json)


def _say(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
