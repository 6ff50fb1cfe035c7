"""`hdex node desk|desk-code`, `hdex exchange desk|desk-code`: one person's pages, on that person's own machine."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Config, DeskFolder

Port = Annotated[int, typer.Option(help="Port on this machine's own address.", min=1, max=65535)]
Tls = Annotated[
    bool,
    typer.Option(
        "--tls", help="HTTPS with the participant's certificate; a browser with a client certificate signs in."
    ),
]


def desk(config: Config, desk: DeskFolder, port: Port = 8490, tls: Tls = False) -> None:
    """Serve a person's pages to this machine's browser until told to stop. Prints an address that signs in once."""
    from hdex.node.cli.serving import prepare, until_stopped
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.staff_desk import serve_desk

    until_stopped(lambda stop: serve_desk(settings, desk, port, tls=tls, stop=stop))


def office(config: Config, desk: DeskFolder, port: Port = 8495, tls: Tls = False) -> None:
    """Serve the pages of a person who vets organisations to this machine's browser until told to stop."""
    from hdex.node.cli.serving import prepare, until_stopped
    from hdex.node.config import ExchangeConfig, load

    settings = load(config, ExchangeConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.staff_desk import serve_office

    until_stopped(lambda stop: serve_office(settings, desk, port, tls=tls, stop=stop))


def desk_code(
    desk: Annotated[Path, typer.Option("--desk", help="Folder with the person's certificate and keystore.")],
) -> None:
    """Print a new one-time code for a desk that is running."""
    from datetime import UTC, datetime

    from hdex.node.code_slot import post
    from hdex.node.errors import ConfigInvalid

    if not (desk / "staff.pem").is_file():
        raise ConfigInvalid(f"{desk} holds no person's certificate: name the folder that the desk was started with")
    print(post(desk, datetime.now(UTC)))
