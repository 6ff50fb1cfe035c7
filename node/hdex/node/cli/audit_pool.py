"""`hdex audit pool`: what the hospitals of a study earned together, split anew, and who pays whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.options import Json

NOT_VERIFIED = 1


def pool(
    papers: Annotated[list[Path], typer.Argument(help="Invoices and credit notes (JSON) of the study's hospitals.")],
    study: Annotated[str, typer.Option(help="Digest of the study, as its result and the logs name it.")],
    evidence: Annotated[Path, typer.Option(help="Evidence file (zip) of `hdex audit export`, without a filter.")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    *,
    rule: Annotated[str, typer.Option(help="rows or shapley")] = "rows",
    scores: Annotated[Path | None, typer.Option(help="Coalition scores (JSON), for shapley.")] = None,
    fee: Annotated[int, typer.Option(help="The platform's fee, hundredths of a per cent.", min=0, max=10_000)] = 0,
    platform: Annotated[str, typer.Option(help="Who gets the fee.")] = "exchange",
    out: Annotated[Path | None, typer.Option(help="Write the settlement (JSON), which hospitals compare.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the shares as CSV.")] = None,
    same: Annotated[Path | None, typer.Option(help="Another hospital's settlement: it must say the same.")] = None,
    as_json: Json = False,
) -> None:
    """Split what a study's hospitals earned together, by rows or Shapley values, and say who pays whom.

    Exit 0 all of it holds, and is what --same says; 1 not.
    """
    from hdex.catalog.money import to_decimal
    from hdex.catalog.revenue import Revenue, SplitRule
    from hdex.catalog.spreadsheet import to_csv
    from hdex.federated.shapley import Scores
    from hdex.ledger.bundle import read_evidence
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence
    from hdex.node.auditor_pool import differences, pool_invoices, rows_of, settlement_of, told
    from hdex.node.cli.audit_usage import paper_of
    from hdex.node.cli.serving import show
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import read_object
    from hdex.node.signed import canonical, digest

    if rule not in {SplitRule.ROWS, SplitRule.SHAPLEY}:
        raise ConfigInvalid("a rule is rows or shapley; fixed shares are ordered by the node itself")
    report = verify_evidence(evidence, read_trust(trust))
    found = None
    if scores is not None:
        said = read_object(scores)
        found = Scores.from_document(said.get("coalition_scores", said))
    agreed = Revenue(rule=SplitRule(rule), fee_basis_points=fee, platform=platform)
    made = pool_invoices(read_evidence(evidence), [paper_of(path) for path in papers], study, agreed, found)
    settled, rows = settlement_of(made), rows_of(made)
    differs = differences(settled, read_object(same)) if same is not None else []
    verified = report.verified and not made.offences and not differs
    keep(out, canonical(settled) + b"\n")
    keep(csv, to_csv(list(rows[0]), (list(row.values()) for row in rows)))
    about = {"verified": verified, "evidence_verified": report.verified, "digest": digest(settled), "differs": differs}
    if as_json:
        show(about | told(made) | {"rows": rows}, as_json=True)
    else:
        show(about | {"offences": list(made.offences), "currency": made.currency}, as_json=False)
        print("\n".join(lines_of(rows)))
        for one in made.pool.transfers:
            print(f"{one.payer} pays {one.payee} {to_decimal(one.amount, made.currency)} {made.currency}")
    raise typer.Exit(0 if verified else NOT_VERIFIED)


def keep(path: Path | None, content: bytes) -> None:
    """Write a file where it was asked for."""
    from hdex.node.durable import write_atomic

    if path is not None:
        write_atomic(path, content, mode=0o644)


def lines_of(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return rows as a table of text, each column as wide as its widest cell."""
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
