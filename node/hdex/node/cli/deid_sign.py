"""`hdex deid sign`: put one's name under a linkage agreement or the opening of an escrow."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.deid_files import AsJson, tell
from hdex.node.cli.deid_home import Home, settings_of, write_envelope


def sign(
    document: Annotated[Path, typer.Argument(help="What hdex deid agree or escrow ask wrote; signed in place.")],
    *,
    home: Home = None,
    desk: Annotated[Path | None, typer.Option(help="Folder with a person's keystore and passphrase.")] = None,
    name: Annotated[str, typer.Option("--as", help="With --desk: hospital/role, as staff.json lists the person.")] = "",
    as_json: AsJson = False,
) -> None:
    """Sign as a hospital (--home) or as one of its staff (--desk, --as). Signatures that are there stay."""
    from hdex.node.hospital.escrow_opening import SCHEMA as OPENING
    from hdex.node.hospital.escrow_opening import document_of
    from hdex.node.hospital.linkage_agreement import KIND, read
    from hdex.node.json_file import read_object
    from hdex.node.signed import countersign, signers

    envelope = read_object(document)
    inner = envelope.get("document")
    is_opening = isinstance(inner, dict) and inner.get("schema") == OPENING
    document_of(envelope) if is_opening else read(envelope)
    signer, key = whose(home, desk, name)
    signed = countersign(KIND, envelope, signer, key)
    write_envelope(document, signed)
    tell({"document": str(document), "signed_by": signers(signed)}, as_json=as_json)


def whose(home: Path | None, desk: Path | None, name: str) -> tuple[str, bytes]:
    """Return who signs and the Ed25519 seed, from a keystore."""
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    if (home is None) == (desk is None) or (desk is not None) != bool(name):
        raise typer.BadParameter("name --home of a node, or --desk of a person with --as hospital/role")
    if desk is not None:
        return name, KeyStore.open(desk / "keystore.json", read_passphrase(desk / "passphrase")).secret("sign")
    settings = settings_of(home or Path())
    files = settings.identity
    return settings.id, KeyStore.open(files.keystore, read_passphrase(files.passphrase_file)).secret("sign")
