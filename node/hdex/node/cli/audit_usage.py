"""`hdex audit usage`: what a contract used, counted again from evidence, and an invoice held against it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json

NOT_VERIFIED = 1


def usage(
    evidence: Annotated[Path, typer.Argument(help="Evidence file (zip) of `hdex audit export`, without a filter.")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    *,
    invoice: Annotated[Path | None, typer.Option(help="Invoice file (JSON) to hold against the count.")] = None,
    node: Annotated[str, typer.Option(help="Whose log, where no invoice is given.")] = "",
    contract: Annotated[str, typer.Option(help="Contract id, where no invoice is given.")] = "",
    month: Annotated[str, typer.Option(help="Month, as 2026-11, where no invoice is given.")] = "",
    as_json: Json = False,
) -> None:
    """Count a contract's usage from the logs, with no network. Exit 0 it holds, 1 it does not, 3 unreadable."""
    from hdex.ledger.bundle import read_evidence
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence
    from hdex.node.auditor_usage import Recount, audit_invoice, recount, told

    report = verify_evidence(evidence, read_trust(trust))
    held = read_evidence(evidence)
    if invoice is not None:
        found = audit_invoice(held, paper_of(invoice))
    else:
        require_named(node, contract, month)
        found = Recount(recount(held, node, contract, month), ("usage counted from the entries",), ())
    verified = report.verified and not found.offences
    document = {
        "verified": verified,
        "evidence_verified": report.verified,
        "checked": list(found.checked),
        "offences": list(found.offences),
        "usage": told(found.usage) if found.usage is not None else None,
    }
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print_found(document)
    raise typer.Exit(0 if verified else NOT_VERIFIED)


def paper_of(path: Path):  # type: ignore[no-untyped-def]  # Invoice, whose import is heavy
    """Return the invoice in a file, its figures checked. Raises RequestInvalid, InvoiceInvalid."""
    from hdex.catalog.invoice import Invoice
    from hdex.node.invoice_file import read_file

    return Invoice.from_document(read_file(path).document)


def require_named(node: str, contract: str, month: str) -> None:
    """Raise ConfigInvalid unless node, contract and month are named."""
    from hdex.catalog.invoice import MONTH
    from hdex.node.errors import ConfigInvalid

    if not (node and contract and MONTH.fullmatch(month)):
        raise ConfigInvalid("name an --invoice, or --node, --contract and --month (as 2026-11)")


def print_found(document: dict[str, object]) -> None:
    """Print a recount for people."""
    from hdex.node.cli.serving import plain

    print("verified" if document["verified"] else "NOT VERIFIED")
    if not document["evidence_verified"]:
        print("  logs         NOT VERIFIED: hdex audit verify says where")
    for name in ("checked", "offences"):
        lines = document[name]
        for line in lines if isinstance(lines, list) else []:
            print(f"  {name.removesuffix('s'):<12} {plain(line)}")
    counted = document["usage"]
    if isinstance(counted, dict):
        shown = ("contract", "month", "deliveries", "rows", "queries", "rounds", "bytes", "first", "last", "size")
        print("  usage        " + ", ".join(f"{name} {plain(counted[name])}" for name in shown))
