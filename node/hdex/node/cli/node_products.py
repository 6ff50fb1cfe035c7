"""`hdex node withdraw|suspend|resume`: orders about a listed product, signed by the privacy officer."""

from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Config, DeskFolder, Json

OFFICER = "privacy_officer"
Product = Annotated[str, typer.Argument(help="Product id, as the catalogue lists it.")]
Reason = Annotated[str, typer.Argument(help="Why; whoever holds a contract is told.")]
Version = Annotated[str, typer.Option("--version", help="One version; without it all that the order fits.")]


def withdraw(
    product: Product, reason: Reason, config: Config, desk: DeskFolder, *, version: Version = "", as_json: Json = False
) -> None:
    """Take a product off the list for good: no new contract, and the next range and round of old ones are refused."""
    order("product.withdraw", product, reason, version, config=config, desk=desk, as_json=as_json)


def suspend(
    product: Product, reason: Reason, config: Config, desk: DeskFolder, *, version: Version = "", as_json: Json = False
) -> None:
    """Close a product for a while: nothing is agreed, delivered or summed until it is resumed."""
    order("product.suspend", product, reason, version, config=config, desk=desk, as_json=as_json)


def resume(
    product: Product, reason: Reason, config: Config, desk: DeskFolder, *, version: Version = "", as_json: Json = False
) -> None:
    """Open a suspended product again."""
    order("product.resume", product, reason, version, config=config, desk=desk, as_json=as_json)


def order(kind: str, product: str, reason: str, version: str, *, config: Path, desk: Path, as_json: bool) -> None:
    """Sign an order and have the node carry it out."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    show(staff(config, desk, OFFICER).order(kind, product, reason, version=version), as_json=as_json)
