"""`hdex catalog ...`"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli import catalog_policy
from hdex.node.cli.options import Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.catalog.product import DataProduct


class Form(StrEnum):
    """What a manifest is rendered as."""

    HEALTHDCAT = "healthdcat"
    DCAT = "dcat"
    DSP = "dsp"
    CROISSANT = "croissant"
    SHEET = "sheet"
    PACK = "pack"


class Language(StrEnum):
    """Languages of a sheet."""

    EN = "en"
    ZH = "zh"


app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
app.command()(catalog_policy.evaluate)
app.command()(catalog_policy.precheck)
SHOWN_DIGEST = "digest"  # `hdex buy show --json` says it beside the manifest's own fields
Manifest = Annotated[
    Path, typer.Argument(help="Manifest (JSON): signed, bare, or as `hdex buy show --json` prints it.")
]


@app.callback()
def catalog() -> None:
    """Check and render product manifests; ask what their policies permit."""


@app.command()
def check(manifest: Manifest, as_json: Json = False) -> None:
    """Check a manifest against the rules of its level, price and preview."""
    from hdex.node.cli.serving import show
    from hdex.node.json_file import read_object

    product = product_of(read_object(manifest), manifest)
    found = {"id": product.id, "version": product.version, "level": product.level, "digest": product.digest()}
    show(found, as_json=as_json)


@app.command()
def export(
    manifest: Manifest,
    form: Annotated[Form, typer.Option("--format", help="What to render; pack is a zip with all of them.")] = Form.DCAT,
    base: Annotated[str, typer.Option(help="Public address of the exchange.")] = "https://exchange.hdex.test",
    lang: Annotated[Language, typer.Option(help="Language of the sheet.")] = Language.EN,
    out: Annotated[Path | None, typer.Option(help="Write here instead of printing; a pack needs it.")] = None,
) -> None:
    """Render a manifest in another form: other catalogues' JSON-LD, a specification sheet, the evidence pack."""
    from hdex.node.json_file import read_object

    found = read_object(manifest)
    product = product_of(found, manifest)
    if form is Form.PACK and out is None:
        raise typer.BadParameter("a pack is a zip file: name it", param_hint="--out")
    rendered = render(product, form, base=base, lang=lang, envelope=found)
    if out is None:
        print(rendered.decode(), end="")
        return
    from hdex.node.durable import write_atomic

    write_atomic(out, rendered)


def render(product: "DataProduct", form: Form, *, base: str, lang: str, envelope: dict[str, object]) -> bytes:
    """Return a product in another form."""
    from hdex.catalog.renderings import render as rendered
    from hdex.catalog.web.sheet import evidence_pack

    if form is Form.PACK:
        return evidence_pack(product, envelope, base=base)
    return rendered(product, form.value, base=base, lang=lang)


def product_of(found: dict[str, object], path: Path) -> "DataProduct":
    """Return the product of a manifest: signed, bare, or as `hdex buy show --json` prints it. Raises ConfigInvalid."""
    from hdex.catalog.product import DataProduct
    from hdex.node.errors import ConfigInvalid

    document = found.get("document", found)
    if not isinstance(document, dict):
        raise ConfigInvalid(f"{path} holds no product document")
    product = DataProduct.from_document({name: value for name, value in document.items() if name != SHOWN_DIGEST})
    if document.get(SHOWN_DIGEST, product.digest()) != product.digest():
        raise ConfigInvalid(f"{path} was changed: it does not have the digest that it names")
    return product
