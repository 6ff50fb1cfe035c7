"""`hdex node invoice|statement|payments`: a hospital bills what its log says was used, and settles."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdex.node.cli.options import Config, DeskFolder, Json
from hdex.node.cli.verbs import Verbs

if TYPE_CHECKING:
    from hdex.node.invoice_file import InvoiceFile
    from hdex.node.wire.remote_settlement import RemoteBilling

invoice_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
payments_app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None)
Contract = Annotated[str, typer.Argument(help="Contract id.")]
Number = Annotated[str, typer.Argument(help="Number of the invoice.")]
Month = Annotated[str, typer.Option(help="Month, as 2026-11.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the paper (JSON) and its pages (HTML, en and zh).")]


@invoice_app.callback()
def invoice() -> None:
    """Issue, list and credit invoices."""


@payments_app.callback()
def payments() -> None:
    """Read bank statements in; orders of what goes out lie in the node's data folder."""


@invoice_app.command()
def issue(
    contract: Contract,
    config: Config,
    desk: DeskFolder,
    month: Month = "",
    to_date: Annotated[
        bool, typer.Option("--to-date", help="This month so far, instead of a month that ended.")
    ] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Bill what a contract used: counted from the log, signed, its digest in the log. Again is the same invoice."""
    from hdex.node.errors import ConfigInvalid

    if bool(month) == to_date:
        raise ConfigInvalid("name a month that has ended with --month, or this month with --to-date, not both")
    tell(billing(config, desk).issue(contract, month), out, as_json=as_json)


@invoice_app.command("list")
def list_invoices(config: Config, desk: DeskFolder, out: Out = None, as_json: Json = False) -> None:
    """List every invoice and credit note with what was paid and credited."""
    from hdex.node.cli.serving import show_each
    from hdex.node.invoice_file import write_file

    files = billing(config, desk).issued()
    for file in files if out is not None else []:
        write_file(file, out or Path())
    rows = [about(file) for file in files]
    none = "no invoice was issued here yet; hdex node invoice due shows what could be"
    show_each("invoices", rows, as_json=as_json, none=none)


@invoice_app.command()
def due(config: Config, desk: DeskFolder, *, month: Month, as_json: Json = False) -> None:
    """Show what an invoice over a month would bill, by contract; nothing is issued."""
    found = billing(config, desk).due(month)
    tell_rows(found, "rows", as_json=as_json, none=f"nothing that was used in {month} waits for an invoice")


@invoice_app.command()
def answer(
    number: Number,
    reason: Annotated[str, typer.Argument(help="Why the invoice stands; the buyer reads it.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Answer an invoice's newest dispute by a signed word that it stands; what shall not stand is credited instead."""
    from hdex.node.errors import NotFound
    from hdex.node.invoice_file import newest_dispute
    from hdex.node.signed import digest

    node = billing(config, desk)
    dispute = next((newest_dispute(file) for file in node.issued() if file.number == number), None)
    if dispute is None:
        raise NotFound("no invoice of this number is disputed")
    tell(node.answer(number, reason, digest(dispute)), None, as_json=as_json)


@invoice_app.command()
def credit(
    number: Number,
    reason: Annotated[str, typer.Argument(help="Why; the buyer reads it.")],
    config: Config,
    desk: DeskFolder,
    *,
    amount: Annotated[str, typer.Option(help="With tax, as 480.00; without it all that is not credited yet.")] = "",
    currency: Annotated[str, typer.Option(help="Of the amount.")] = "CNY",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Take money back from an invoice by a signed credit note; what had been paid is ordered back."""
    from hdex.catalog.money import to_minor

    cents = to_minor(amount, currency) if amount else 0
    tell(billing(config, desk).credit(number, cents, reason, currency if amount else ""), out, as_json=as_json)


def statement(
    config: Config,
    desk: DeskFolder,
    month: Month,
    *,
    csv: Annotated[Path | None, typer.Option(help="Write the papers as CSV to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    lang: Annotated[str, typer.Option(help="Language of the page: en or zh")] = "en",
    as_json: Json = False,
) -> None:
    """Show a month: papers issued, what each earned and for whom, and what the log says was used."""
    from hdex.node.cli.serving import show
    from hdex.node.durable import write_atomic

    found = billing(config, desk).statement(month)
    if csv is not None:
        from hdex.node.hospital.statements import papers_csv

        write_atomic(csv, papers_csv(found), mode=0o644)
    if html is not None:
        from hdex.node.web.invoice_page import statement_page

        write_atomic(html, statement_page(found, lang).encode(), mode=0o644)
    show(found, as_json=as_json)


@payments_app.command("import")
def import_payments(
    file: Annotated[Path, typer.Argument(help="Bank statement, CSV: id,booked,amount,currency,payer,reference.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Match a bank statement to invoices by their numbers; each entry counts once. Exit 1: some paid no invoice."""
    found = billing(config, desk).import_payments(read(file))
    rows = found["entries"]
    tell_rows(found, "entries", as_json=as_json, none=f"{file} has no entry below its heads")
    raise typer.Exit(0 if all(row["invoice"] or row["outcome"] in {"known", "outgoing"} for row in rows) else 1)


@payments_app.command("preview")
def preview_payments(
    file: Annotated[Path, typer.Argument(help="Bank statement, CSV, as for import.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Show what a bank statement would do, entry by entry with its line; nothing counts."""
    found = billing(config, desk).preview_payments(read(file))
    tell_rows(found, "entries", as_json=as_json, none=f"{file} has no entry below its heads")


def read(file: Path) -> bytes:
    """Return a statement's bytes. Raises ConfigInvalid for one too large to be sent."""
    from hdex.node.errors import ConfigInvalid
    from hdex.node.hospital.payments_csv import MOST_BYTES
    from hdex.node.json_file import read_bytes

    found = read_bytes(file)
    if len(found) > MOST_BYTES:
        raise ConfigInvalid(f"{file} has more than {MOST_BYTES} bytes: divide it by days")
    return found


def tell(file: "InvoiceFile", out: Path | None, *, as_json: bool) -> None:
    """Print a paper, and write it where it was asked for."""
    from hdex.node.cli.serving import show
    from hdex.node.invoice_file import write_file

    written = {"file": str(write_file(file, out))} if out is not None else {}
    show(about(file) | written, as_json=as_json)


def tell_rows(found: dict[str, Any], name: str, *, as_json: bool, none: str) -> None:
    """Print an answer whole as JSON, or its rows one by one."""
    from hdex.node.cli.serving import show, show_each

    show(found, as_json=True) if as_json else show_each(name, found[name], as_json=False, none=none)


def about(file: "InvoiceFile") -> dict[str, object]:
    """Return what a list says of a paper."""
    paper = file.document
    usage = paper.get("usage") or {}
    return {
        "number": file.number,
        "kind": paper["kind"],
        "contract": paper["agreement"]["request_id"],
        "month": usage.get("month", ""),
        "currency": paper["currency"],
        "total_cents": paper["total_cents"],
        "paid_cents": file.paid_cents,
        "credited_cents": file.credited_cents,
        "state": file.state,
        "entry": file.proof.index,
    }


def billing(config: Path, desk: Path) -> "RemoteBilling":
    """Return one's own node about money, called with the certificate in `desk`."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.client import open_billing

    return open_billing(settings, desk)
