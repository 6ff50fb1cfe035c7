"""`hdex audit pool`: what the hospitals of a study earned together, split anew, and who pays whom."""

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
    as_json: Json = False,
) -> None:
    """Split what a study's hospitals earned together, by rows or Shapley values. Exit 0 all of it holds, 1 not."""
    from hdex.catalog.revenue import Revenue, SplitRule
    from hdex.federated.shapley import Scores
    from hdex.ledger.bundle import read_evidence
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence
    from hdex.node.auditor_pool import pool_invoices, told
    from hdex.node.cli.audit_usage import paper_of
    from hdex.node.cli.serving import show
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import read_object

    if rule not in {SplitRule.ROWS, SplitRule.SHAPLEY}:
        raise ConfigInvalid("a rule is rows or shapley; fixed shares are ordered by the node itself")
    report = verify_evidence(evidence, read_trust(trust))
    found = None
    if scores is not None:
        said = read_object(scores)
        found = Scores.from_document(said.get("coalition_scores", said))
    agreed = Revenue(rule=SplitRule(rule), fee_basis_points=fee, platform=platform)
    made = pool_invoices(read_evidence(evidence), [paper_of(path) for path in papers], study, agreed, found)
    verified = report.verified and not made.offences
    show({"verified": verified, "evidence_verified": report.verified} | told(made), as_json=as_json)
    raise typer.Exit(0 if verified else NOT_VERIFIED)
