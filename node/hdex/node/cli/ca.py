"""`hdex ca`: the consortium's certificate authority and its directory of participants."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.verbs import Verbs

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(help="The CA's folder.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="hospital/hospital-a, or hospital/hospital-a/data_steward.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; an existing file is not overwritten.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def init(
    folder: Folder,
    trust_domain: Annotated[str, typer.Option(help="The consortium's name in every identity.")] = "hdex.test",
    as_json: Json = False,
) -> None:
    """Make a CA: certificate, key, the key that signs the directory, an empty list of revoked serials."""
    from hdex.node import pki

    made = pki.init(folder, trust_domain)
    _say({"ca": str(folder / "ca.pem"), "trust_domain": made.trust_domain}, as_json)


@app.command()
def request(
    name: Name,
    out: Out,
    trust_domain: Annotated[str, typer.Option(help="The consortium's name.")] = "hdex.test",
    as_json: Json = False,
) -> None:
    """Make a key and a request for its certificate, at the node: the key stays there (OUT.key, OUT.csr)."""
    from hdex.node import pki

    csr, key = pki.make_request(trust_domain, name)
    _write_new(out.with_suffix(".key"), key, mode=0o600)
    _write_new(out.with_suffix(".csr"), csr, mode=0o644)
    _say({"request": str(out.with_suffix(".csr")), "private_key": str(out.with_suffix(".key"))}, as_json)


@app.command()
def issue(
    folder: Folder,
    name: Name,
    *,
    out: Out,
    request_file: Annotated[
        Path | None, typer.Option("--request", help="A request; without one a key is made.")
    ] = None,
    days: Annotated[float, typer.Option(help="Life in days, at most 90.")] = 90,
    as_json: Json = False,
) -> None:
    """Issue a certificate (OUT.pem, and OUT.key when no request is given)."""
    from hdex.node import pki

    authority = pki.load(folder)
    if request_file is None:
        certificate, key = pki.issue(authority, name, days=days)
        _write_new(out.with_suffix(".key"), key, mode=0o600)
    else:
        certificate = pki.issue_request(authority, _read(request_file), name, days=days)
    _write_new(out.with_suffix(".pem"), certificate, mode=0o644)
    _say({"certificate": str(out.with_suffix(".pem")), **_described(certificate)}, as_json)


@app.command()
def revoke(
    folder: Folder,
    certificate: Annotated[Path | None, typer.Option(help="The certificate to revoke.")] = None,
    serial: Annotated[str, typer.Option(help="Or its serial in hex.")] = "",
    as_json: Json = False,
) -> None:
    """Revoke a certificate: every participant that reads the list refuses it at the next call."""
    from hdex.node import pki

    if (certificate is None) == (not serial):
        raise typer.BadParameter("give --certificate or --serial")
    try:
        number = int(serial, 16) if certificate is None else int(str(_described(_read(certificate))["serial"]), 16)
    except ValueError as error:
        raise typer.BadParameter("a serial is a hexadecimal number") from error
    pki.revoke(pki.load(folder), number)
    _say({"revoked": f"{number:x}", "list": str(folder / "denied.txt")}, as_json)


@app.command()
def show(certificate: Annotated[Path, typer.Argument(help="A certificate.")], as_json: Json = False) -> None:
    """Print whom a certificate names and how long it holds."""
    _say(_described(_read(certificate)), as_json)


@app.command()
def member(
    name: Annotated[str, typer.Argument(metavar="NAME", help="hospital/hospital-a")],
    *,
    keystore: Annotated[Path, typer.Option(help="The participant's keystore.")],
    passphrase_file: Annotated[Path, typer.Option(help="Its passphrase, in a file of mode 600.")],
    organisation: Annotated[str, typer.Option(help="The organisation's name.")],
    out: Out,
    endpoint: Annotated[str, typer.Option(help="host:port of its gRPC server.")] = "",
    storage_country: Annotated[str, typer.Option(help="Where it stores what it receives: ISO 3166-1, as in CN.")] = "",
    trust_domain: Annotated[str, typer.Option(help="The consortium's name.")] = "hdex.test",
    as_json: Json = False,
) -> None:
    """Write a participant's entry for the directory: public keys only."""
    from hdex.node import directory, identity
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    known = identity.parse_spiffe(f"spiffe://{trust_domain}/{name}", trust_domain)
    keys = KeyStore.open(keystore, read_passphrase(passphrase_file))
    entry = directory.member_of(
        known.participant,
        known.kind,
        organisation=organisation,
        trust_domain=trust_domain,
        keys=keys,
        endpoint=endpoint,
        storage_country=storage_country,
    )
    _write_new(out, _json_bytes(entry.document()), mode=0o644)
    _say({"member": str(out), "id": entry.id}, as_json)


@app.command("directory")
def publish_directory(
    folder: Folder,
    members: Annotated[list[Path], typer.Argument(metavar="MEMBER.json...", help="Entries made by `hdex ca member`.")],
    out: Annotated[Path, typer.Option("--out", help="The signed directory; replaced.")],
    as_json: Json = False,
) -> None:
    """Sign the directory of participants that every process loads."""
    from datetime import UTC, datetime

    from hdex.node import directory, pki
    from hdex.node.durable import write_atomic
    from hdex.node.json_file import read_object

    entries = [directory.Member.from_document(read_object(path)) for path in members]
    envelope = directory.publish(pki.load(folder), entries, now=datetime.now(UTC))
    write_atomic(out, _json_bytes(envelope), mode=0o644)
    _say({"directory": str(out), "members": [entry.id for entry in entries]}, as_json)


def _described(certificate: bytes) -> dict[str, object]:
    from cryptography import x509

    from hdex.node.errors import IdentityRefused
    from hdex.node.identity import spiffe_id

    try:
        read = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise IdentityRefused("this is not a certificate") from error
    until = f"{read.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    return {"spiffe_id": spiffe_id(read), "serial": f"{read.serial_number:x}", "not_after": until}


def _read(path: Path) -> bytes:
    from hdex.node.errors import NotFound

    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}") from error


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    from hdex.node.durable import write_atomic
    from hdex.node.errors import AlreadyExists

    if path.exists():
        raise AlreadyExists(f"{path} is there already; it is not overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data, mode=mode)


def _json_bytes(document: object) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _say(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
