"""`hdex buy quote`, `hdex buy invoices`, `hdex buy invoice verify|dispute`: what it would cost, and what it did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.catalog.quote import Quote
    from hdex.node.customer import Customer

app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Product = Annotated[str, typer.Argument(help="Product id.")]
PaperFile = Annotated[Path, typer.Argument(help="Invoice file (JSON), as `hdex buy invoices` keeps it.")]


@app.callback()
def invoice() -> None:
    """Check an invoice, or dispute it."""


def quote(
    product: Product,
    config: Config,
    *,
    plan: Annotated[
        str,
        typer.Option(help="one_off, per_query, per_1000_rows, subscription or per_round; none is the first offered."),
    ] = "",
    columns: Annotated[str, typer.Option(help="Columns, with commas between; none means all.")] = "",
    rows: Annotated[int, typer.Option(help="Rows of one delivery; 0: those of the product.", min=0)] = 0,
    months: Annotated[int, typer.Option(help="Months of a subscription.", min=1)] = 1,
    quantity: Annotated[int, typer.Option(help="Licences, queries, deliveries or rounds.", min=1)] = 1,
    lang: Annotated[str, typer.Option(help="en or zh")] = "en",
    as_json: Json = False,
) -> None:
    """Reckon what an order would cost, from the product's signed manifest, line by line."""
    from hdex.catalog.documents import to_document
    from hdex.catalog.quote import Amounts, quote
    from hdex.node.cli.buy import buyer
    from hdex.node.cli.serving import show

    found, _ = buyer(config).show(product)
    reckoned = quote(found, order_of(plan, columns), Amounts(quantity=quantity, rows=rows or None, months=months))
    if as_json:
        show(to_document(reckoned), as_json=True)
    else:
        print("\n".join(quote_lines(reckoned, lang)))


def order_of(plan: str, columns: str):  # type: ignore[no-untyped-def]  # Order, whose import is heavy
    """Return the order that these options name. Raises ConfigInvalid."""
    from hdex.catalog.price import PricePlan
    from hdex.catalog.quote import Order
    from hdex.node.errors import ConfigInvalid

    if plan and plan not in set(PricePlan):
        raise ConfigInvalid(f"a plan is one of {', '.join(PricePlan)}")
    names = tuple(name for name in (one.strip() for one in columns.split(",")) if name)
    return Order(plan=PricePlan(plan) if plan else None, columns=names)


def quote_lines(found: "Quote", lang: str) -> list[str]:
    """Return a quote as lines for a terminal."""
    from hdex.catalog.money import say

    def money(cents: int) -> str:
        return say(cents, found.currency, lang)

    words = ("小计", "税额", "合计") if lang == "zh" else ("subtotal", "tax", "total")
    told = [f"{found.product} {found.version}"]
    told += [f"  {line.text.say(lang)}: {line.quantity} x {money(line.unit_cents)} = {money(line.amount_cents)}"
             for line in found.lines]  # fmt: skip
    sums = (found.subtotal_cents, found.tax_cents, found.total_cents)
    told += [f"  {word}: {money(cents)}" for word, cents in zip(words, sums, strict=True)]
    return told + [f"  ({text.say(lang)})" for text in found.why]


def invoices(
    config: Config,
    provider: Annotated[str, typer.Option(help="One hospital; without it all of the directory.")] = "",
    as_json: Json = False,
) -> None:
    """Fetch the invoices and credit notes addressed to us, check each, and keep it as JSON and as pages."""
    from hdex.node.cli.serving import show_each

    who = customer(config)
    rows = []
    for file in who.invoices(provider):
        paper = file.document
        rows.append(
            {
                "number": file.number,
                "kind": paper["kind"],
                "contract": paper["agreement"]["request_id"],
                "currency": paper["currency"],
                "total_cents": paper["total_cents"],
                "paid_cents": file.paid_cents,
                "credited_cents": file.credited_cents,
                "state": file.state,
                "file": str(who.keep(file)),
            }
        )
    show_each("invoices", rows, as_json=as_json, none="no hospital that answered has billed your organisation")


@app.command()
def verify(
    file: PaperFile,
    config: Config,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: leave the agreement unchecked.")] = False,
    as_json: Json = False,
) -> None:
    """Hold an invoice against signature, log, our agreement and what we received. Exit 1: it does not hold."""
    from hdex.node.cli.serving import show
    from hdex.node.invoice_file import read_file

    found = customer(config).check(read_file(file), ask=not offline)
    paper = {
        "number": found.invoice.number,
        "currency": found.invoice.currency,
        "total_cents": found.invoice.total_cents,
    }
    show({"verified": True, **paper, "checked": list(found.checked), "not_checked": list(found.not_checked)},
         as_json=as_json)  # fmt: skip


@app.command()
def dispute(
    file: PaperFile,
    reason: Annotated[str, typer.Argument(help="What is wrong, for the hospital.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Tell the hospital, signed, why an invoice is wrong."""
    from hdex.node.cli.serving import show
    from hdex.node.invoice_file import read_file

    answered = customer(config).dispute(read_file(file), reason)
    show({"number": answered.number, "state": answered.state}, as_json=as_json)


def customer(config: Path) -> "Customer":
    """Return the buyer that a configuration names, about money."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_customer

    return open_customer(settings)
