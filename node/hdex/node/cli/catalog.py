"""`hdex catalog ...`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Manifest = Annotated[Path, typer.Argument(help="Signed manifest, or the bare product document (JSON).")]


@app.callback()
def catalog() -> None:
    """Check and render product manifests."""


@app.command()
def check(manifest: Manifest, as_json: Json = False) -> None:
    """Check a manifest against the rules of its level, price and preview."""
    from hdex.catalog.product import DataProduct
    from hdex.node.cli.serving import show

    product = DataProduct.from_document(document_in(manifest))
    found = {"id": product.id, "version": product.version, "level": product.level, "digest": product.digest()}
    show(found, as_json=as_json)


@app.command()
def export(
    manifest: Manifest,
    form: Annotated[str, typer.Option("--format", help="dcat: DCAT-AP as JSON-LD.")] = "dcat",
    base: Annotated[str, typer.Option(help="Public address of the exchange.")] = "https://exchange.hdex.test",
) -> None:
    """Render a manifest in another form."""
    from hdex.catalog.dcat import dataset
    from hdex.catalog.product import DataProduct

    if form != "dcat":
        raise typer.BadParameter("dcat is the form known today", param_hint="--format")
    product = DataProduct.from_document(document_in(manifest))
    print(json.dumps(dataset(product, base=base), indent=1, ensure_ascii=False))


def document_in(path: Path) -> dict[str, object]:
    """Return the product document in a file, signed or bare."""
    from hdex.node.errors import ConfigInvalid

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{path} cannot be read as JSON") from error
    document = found.get("document", found) if isinstance(found, dict) else None
    if not isinstance(document, dict):
        raise ConfigInvalid(f"{path} holds no JSON object")
    return document
