"""`hdex audit study`: a study's receipt held against the evidence of all logs, offline."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hdex.node.cli.options import Json

if TYPE_CHECKING:
    from hdex.node.signed import Envelope

NOT_VERIFIED = 1


def study(
    receipt: Annotated[Path, typer.Argument(help="receipt.zip of the study, from the exchange's data folder.")],
    evidence: Annotated[Path, typer.Argument(help="Evidence file (zip) of `hdex audit export`.")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    config: Annotated[
        Path | None, typer.Option(help="The auditor's configuration: its directory names who signed the study.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay a study: every signature, every sum, every event. Exit 0 verified, 1 not, 2 or 3 unreadable."""
    from hdex.federated.receipts import Receipt, parse_events, replay
    from hdex.ledger.bundle import read_evidence
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence

    report = verify_evidence(evidence, read_trust(trust))
    logs: dict[str, list[Mapping[str, Any]]] = {}
    for log in sorted(read_evidence(evidence).logs, key=lambda one: one.origin):  # a participant's years one by one
        logs.setdefault(log.node, []).extend(parse_events(log.entries))
    kept = Receipt.from_bytes(read(receipt))
    found = replay(kept, logs)
    signers = [] if config is None else signed_by(kept.envelope, kept.study.coordinator.id, config)
    verified = report.verified and found.verified
    if as_json:
        more = {"verified": verified, "evidence_verified": report.verified, "signed_by": signers}
        print(json.dumps({**found.document(), **more}))
    else:
        print("verified" if verified else "NOT VERIFIED")
        print(f"  study        {found.study_id}, {found.rounds} rounds")
        print(f"  digest       {found.study_digest}")  # by which `hdex audit pool --study` names it
        print(f"  aggregates   {found.recomputed} of {found.rounds} recomputed from the sites' signed contributions")
        print(f"  sums         {found.proven} of {found.rounds} follow from the randomness the key holder opened")
        print(f"  logs         {'verified' if report.verified else 'NOT VERIFIED: hdex audit verify says where'}")
        print(f"  signed by    {', '.join(signers) or 'not verified: --config names the directory'}")
        for offence in found.offences:
            print(f"  offence      {offence}")
    raise typer.Exit(0 if verified else NOT_VERIFIED)


def split(
    scores: Annotated[Path, typer.Argument(help="Coalition scores (JSON), or a result that holds them.")],
    amount: Annotated[int, typer.Option(help="Cents to split.")],
    evidence: Annotated[Path, typer.Option(help="Evidence file that must hold the scores' digest.")],
    *,
    fee: Annotated[int, typer.Option(help="The platform's fee, hundredths of a per cent.", min=0, max=10_000)] = 0,
    platform: Annotated[str, typer.Option(help="Who gets the fee.")] = "exchange",
    as_json: Json = False,
) -> None:
    """Recompute how an amount is split: a fee, then exact Shapley values. Exit 1: the scores are not logged."""
    from hdex.catalog.revenue import Revenue, SplitRule, split_revenue
    from hdex.federated.receipts import parse_events
    from hdex.federated.shapley import Scores, shapley
    from hdex.ledger.bundle import read_evidence
    from hdex.node.json_file import read_object

    paper = read_object(scores)
    found = Scores.from_document(paper.get("coalition_scores", paper))
    digest = found.digest()
    logged = any(
        event.get("action") == "study.approve" and event.get("result_digest") == digest
        for log in read_evidence(evidence).logs
        for event in parse_events(log.entries)
    )
    values = shapley(found)
    rule = Revenue(rule=SplitRule.SHAPLEY, fee_basis_points=fee, platform=platform)
    parts = split_revenue(amount, rule, values)
    cents = dict(parts.parts)
    if as_json:
        told = {"digest": digest, "logged": logged, "values": values, "cents": cents, "fee_cents": parts.fee}
        print(json.dumps(told))
    else:
        print("logged" if logged else "NOT LOGGED: no log of the evidence holds these scores")
        if parts.fee:
            print(f"  {platform:24} {'fee':>12} {parts.fee:12} cents")
        for site, share in cents.items():
            print(f"  {site:24} {values[site]:12.6f} {share:12} cents")
    raise typer.Exit(0 if logged else NOT_VERIFIED)


def signed_by(envelope: bytes, coordinator: str, config: Path) -> list[str]:
    """Return who signed the study: the coordinator and a buyer of the directory. Raises SignatureInvalid."""
    from hdex.ledger.document import load as parsed
    from hdex.node import directory as directories
    from hdex.node.config import BuyerConfig, load
    from hdex.node.errors import SignatureInvalid
    from hdex.node.signed import signers, verify

    known = load(config, BuyerConfig)
    ca = known.identity.ca.read_bytes()
    directory = directories.load(known.identity.directory, ca, trust_domain=known.trust_domain)
    document = cast("Envelope", parsed(envelope))
    named = sorted({coordinator, *signers(document)})
    if len(named) < 2:
        raise SignatureInvalid("the study is not signed by a buyer beside its coordinator")
    verify("study", document, directory.sign_keys(*named))
    return named


def read(path: Path) -> bytes:
    """Return the file's bytes. Raises NotFound."""
    from hdex.node.errors import NotFound

    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"the receipt {path} cannot be read") from error
