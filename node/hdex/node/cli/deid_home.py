"""What `hdex deid link`, `escrow` and `sign` take from a node's folder: keys, staff, directory, and its log."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hdex.node.compose.standing import Standing
    from hdex.node.config import HospitalConfig
    from hdex.node.identity import Identity

Home = Annotated[
    Path | None, typer.Option(help="Folder of a hospital's node (with config.toml): its keys and its log.")
]
Key = Annotated[Path | None, typer.Option(help="Without a node: file of mode 600 with 32 or more secret bytes.")]
Hospital = Annotated[str, typer.Option(help="Without a node: the hospital's id, as the staff sign for it.")]
Staff = Annotated[Path | None, typer.Option(help="Without a node: staff.json, roles and public keys.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a verb runs. standing: None outside a node; then there is no log."""

    hospital: str
    staff: dict[str, bytes]
    master: bytes = field(repr=False)
    standing: "Standing | None" = None


@contextmanager
def place(home: Path | None, key: Path | None, hospital: str = "", staff: Path | None = None) -> Iterator[Place]:
    """Open a node's folder, or take key and staff from files. A node that runs writes its log itself: refused."""
    from hdex.node.hospital.staff import read_staff

    if (home is None) == (key is None):
        raise typer.BadParameter("name --home of a node, or --key without one")
    if home is None:
        yield Place(hospital, read_staff(staff) if staff else {}, secret_of(key))
        return
    settings = settings_of(home)
    require_stopped(settings)
    from hdex.node.compose.standing import Standing

    standing = Standing(settings)
    try:
        yield Place(settings.id, read_staff(settings.staff), standing.keys.secret("pseudonym"), standing)
    finally:
        standing.log.close()


def master_of(home: Path | None, key: Path | None) -> bytes:
    """Return the master that keys are derived from, of a node that may run meanwhile or from a file."""
    from hdex.node.keys import read_passphrase
    from hdex.node.keystore import KeyStore

    if (home is None) == (key is None):
        raise typer.BadParameter("name --home of a node, or --key without one")
    if home is None:
        return secret_of(key)
    files = settings_of(home).identity
    return KeyStore.open(files.keystore, read_passphrase(files.passphrase_file)).secret("pseudonym")


def settings_of(home: Path) -> "HospitalConfig":
    """Return the configuration in a node's folder."""
    from hdex.node.config import HospitalConfig, load

    return load(home / "config.toml", HospitalConfig)


def require_stopped(settings: "HospitalConfig") -> None:
    """Raise AccessDenied while the node serves: two writers would tear its log."""
    import socket

    from hdex.node.errors import AccessDenied

    listen = settings.listen
    if not listen.grpc_port:
        return
    try:
        socket.create_connection((listen.host, listen.grpc_port), timeout=1).close()
    except OSError:
        return
    raise AccessDenied(
        "node.running", "stop the node, repeat this, start it again", f"the node {settings.id} runs and writes its log"
    )


def secret_of(path: Path | None) -> bytes:
    """Return the secret in a file that only its user may read."""
    from hdex.node.errors import KeyUnreadable
    from hdex.node.keys import require_private

    if path is None:
        raise typer.BadParameter("name --key")
    require_private(path)
    key = path.read_bytes().strip()
    if len(key) < 32:
        raise KeyUnreadable(f"{path.name} holds {len(key)} bytes, asked are 32 or more")
    return key


def acting(standing: "Standing", signer: str = "") -> "Identity":
    """Return who acts: the node, or the person `hospital/role`."""
    from hdex.node.identity import parse_spiffe

    domain, name = standing.config.trust_domain, signer or standing.config.id
    return parse_spiffe(f"spiffe://{domain}/hospital/{name}", domain)


def write_envelope(path: Path, envelope: dict[str, Any]) -> None:
    """Write a signed or unsigned document; a file that is there is replaced whole."""
    from hdex.node.durable import write_atomic

    write_atomic(path, json.dumps(envelope, indent=1, ensure_ascii=False).encode() + b"\n")
