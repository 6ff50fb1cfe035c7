"""`hdex audit ...`"""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli import audit_study
from hdex.node.cli.options import Config, Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
NOT_VERIFIED = 1


@app.callback()
def audit() -> None:
    """Collect and verify evidence."""


app.command()(audit_study.study)
app.command()(audit_study.split)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Evidence file to write.")],
    config: Config,
    trust: Annotated[Path | None, typer.Option(help="Also write the trust file of this consortium.")] = None,
    witnesses: Annotated[int, typer.Option(help="Witnesses that must agree, for the trust file.")] = 2,
    as_json: Json = False,
) -> None:
    """Ask every witness, read every log and the chain, and write one evidence file."""
    from hdex.node.cli.serving import prepare, show
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_auditor

    auditor = open_auditor(settings)
    evidence = auditor.export(out)
    if trust is not None:
        trust.write_text(json.dumps(auditor.trust(witnesses), indent=1), encoding="utf-8")
    events = sum(len(log.entries) for log in evidence.logs)
    show({"evidence": str(out), "logs": len(evidence.logs), "events": events}, as_json=as_json)


@app.command()
def verify(
    evidence: Annotated[Path, typer.Argument(help="Evidence file (zip).")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    earlier: Annotated[Path | None, typer.Option(help="Evidence kept from an earlier audit.")] = None,
    as_json: Json = False,
) -> None:
    """Verify evidence with no network. Exit 0 verified, 1 not, 3 unreadable."""
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence

    report = verify_evidence(evidence, read_trust(trust), earlier=earlier)
    if as_json:
        print(json.dumps(report.document(), ensure_ascii=False))
    else:
        print("verified" if report.verified else "NOT VERIFIED")
        for line in report.checked:
            print(f"  checked      {line}")
        for line in report.not_checked:
            print(f"  not checked  {line}")
        if report.first_offence:
            print(f"  offence      {json.dumps(report.first_offence, ensure_ascii=False)}")
    raise typer.Exit(0 if report.verified else NOT_VERIFIED)
