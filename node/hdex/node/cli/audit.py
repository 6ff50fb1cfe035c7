"""`hdex audit ...`"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli import audit_convert, audit_fraud, audit_monitor, audit_pool, audit_study, audit_usage
from hdex.node.cli.audit_filters import filtered
from hdex.node.cli.options import Config, Json
from hdex.node.cli.serving import in_line, plain, show, talk
from hdex.node.cli.verbs import OfAuditor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hdex.ledger.audit_report import LogState
    from hdex.ledger.bundle import Evidence
    from hdex.ledger.ports import EventQuery
    from hdex.ledger.trust import ChainFacts, Trust
    from hdex.ledger.verify import AuditReport
    from hdex.node.auditor import Auditor
    from hdex.node.auditor_full import Anchors

app = typer.Typer(cls=OfAuditor, no_args_is_help=True, rich_markup_mode=None)
app.command()(audit_convert.convert)
app.command()(audit_fraud.fraud)
app.command()(audit_fraud.proof)
app.command()(audit_monitor.monitor)
app.command()(audit_study.study)
app.command()(audit_study.split)
app.command()(audit_usage.usage)
app.command()(audit_pool.pool)
NOT_VERIFIED = 1
Report = Annotated[Path | None, typer.Option(help="Also write the report to this file, .html or .json.")]


@app.callback()
def audit() -> None:
    """Collect and verify evidence."""


@app.command()
@filtered
def export(
    out: Annotated[Path, typer.Option(help="Evidence file to write.")],
    config: Config,
    trust: Annotated[Path | None, typer.Option(help="Also write the trust file of this consortium.")] = None,
    witnesses: Annotated[int, typer.Option(help="Witnesses that must agree, for the trust file.")] = 2,
    as_json: Json = False,
    query: "EventQuery | None" = None,
) -> None:
    """Ask every witness, read every log and the chain, and write one evidence file.

    With a filter the file holds only the entries that match, each with its proof.
    """
    auditor = auditor_of(config)
    evidence = auditor.export(out, query)
    if trust is not None:
        trust.write_text(json.dumps(auditor.trust(witnesses), indent=1), encoding="utf-8")
    show(told_evidence(out, evidence), as_json=as_json)


def auditor_of(config: Path) -> "Auditor":
    """Return the auditor of a configuration; only its peers can be reached from then on."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.client import open_auditor

    return open_auditor(settings)


def told_evidence(out: Path, evidence: "Evidence") -> dict[str, object]:
    """Return what the export says of its file."""
    whole, parts = evidence.logs, evidence.extracts
    return {
        "evidence": str(out),
        "format": evidence.format,
        "logs": len(whole) + len(parts),
        "events": sum(len(log.entries) for log in whole) + sum(len(part.entries) for part in parts),
        "absent": [f"{one.participant} ({one.part}: {one.why})" for one in evidence.absent],
    }


@app.command()
def verify(
    evidence: Annotated[Path, typer.Argument(help="Evidence file (zip).")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    earlier: Annotated[Path | None, typer.Option(help="Evidence kept from an earlier audit.")] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Verify evidence with no network. Exit 0 verified, 1 not, 3 unreadable."""
    from hdex.ledger.trust import read_trust
    from hdex.ledger.verify import verify_evidence

    trusted = read_trust(trust)
    found = verify_evidence(evidence, trusted, earlier=earlier)
    if report is not None:
        from hdex.ledger.audit_report import states, subject_of
        from hdex.ledger.bundle import read_evidence

        held = read_evidence(evidence)
        subject = {"file": evidence.name, "sha256": sha256_of(evidence), **subject_of(held)}
        keep(report, found, trusted, subject, states(held, trusted))
    conclude(found, as_json=as_json)


@app.command()
def full(
    where: Annotated[str, typer.Argument(help="Data folder, id of a node that answers, or its https:// address.")],
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    chain: Annotated[str | None, typer.Option(help="URL of the chain, to ask it for the anchors.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The auditor's file, for an id.")] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Hash every entry of a log again and hold it against signatures, witnesses and chain. Exit as verify."""
    from hdex.ledger.trust import read_trust
    from hdex.node.auditor_full import audit_folder, audit_node, audit_published

    trusted = read_trust(trust)
    anchors = anchors_from(chain, trusted.chain) if chain else None
    if Path(where).exists():
        found, subject = audit_folder(Path(where), trusted, anchors=anchors, say=say_entries), {"folder": where}
    elif where.startswith("https://"):
        found = audit_published(published(where, config), trusted, anchors=anchors, say=say_entries)
        subject = {"log": where}
    elif config is None:
        raise typer.BadParameter("there is no such folder; for a participant's id name the auditor's --config")
    else:
        found, subject = audit_node(auditor_of(config), where, trusted, say=say_entries), {"log": where}
    if report is not None:
        keep(report, found, trusted, subject, [])
    conclude(found, as_json=as_json)


def published(url: str, config: Path | None) -> "Callable[[str], bytes]":
    """Return the reader of a log's address, under the CA of the auditor's configuration where one is given."""
    from hdex.node.config import BuyerConfig, load
    from hdex.node.wire.http_tiles import HttpsLog

    return HttpsLog(url, load(config, BuyerConfig).identity.ca if config else None)


def keep(
    path: Path, found: "AuditReport", trust: "Trust", subject: "Mapping[str, object]", logs: "list[LogState]"
) -> None:
    """Write the report of an audit to a file."""
    from datetime import UTC, datetime

    from hdex.ledger.audit_report import report_document
    from hdex.node.web.auditor_report import write_report

    write_report(path, report_document(found, trust, made=datetime.now(UTC), subject=subject, logs=logs))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hex, so that a report says which file it is about."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def anchors_from(url: str, facts: "ChainFacts") -> "Anchors":
    """Return the function that asks the chain of the trust file for a node's anchors."""
    from hdex.ledger.errors import EvidenceUnreadable

    if not facts.get("contract") or not facts.get("chain_id"):
        raise EvidenceUnreadable("the trust file names no chain and contract: what the chain says cannot be believed")
    from hdex.ledger.chain_web3 import Web3Chain

    return Web3Chain(url, str(facts["contract"]), None, int(facts["chain_id"])).anchors


def say_entries(done: int) -> None:
    """Say on stderr how far an audit is."""
    talk("audit", f"{done:,} entries")


def conclude(report: "AuditReport", *, as_json: bool) -> None:
    """Print what an audit found and exit with what it means."""
    if as_json:
        print(json.dumps(report.document(), ensure_ascii=False))
    else:
        print("verified" if report.verified else "NOT VERIFIED")
        for line in report.checked:
            print(f"  checked      {plain(line)}")
        for line in report.not_checked:
            print(f"  not checked  {plain(line)}")
        if report.first_offence:
            print(f"  offence      {in_line(report.first_offence)}")
    raise typer.Exit(0 if report.verified else NOT_VERIFIED)


@app.command()
@filtered
def search(
    config: Config,
    limit: Annotated[int, typer.Option(help="At most so many of each log.", min=1)] = 100,
    as_json: Json = False,
    query: "EventQuery | None" = None,
) -> None:
    """Read every log and print the events that match. The reading is an event in each of them."""
    found, absent = auditor_of(config).search(query, limit=limit)
    if as_json:
        print(json.dumps({"events": found, "absent": [one.participant for one in absent]}, ensure_ascii=False))
        return
    for one in found:
        event = one["event"]
        about = " ".join(str(event[name]) for name in ("product", "contract", "purpose", "reason") if name in event)
        decision = event.get("decision", "-")
        print(plain(f"{event['time']}  {one['log']}  {one['index']:>6}  {event['action']:<22} {decision:<5} {about}"))
    for gone in absent:
        talk("absent", f"{gone.participant}: {gone.why}")


@app.command()
def alerts(
    config: Config,
    rules: Annotated[Path | None, typer.Option(help="Thresholds of your own, as TOML.")] = None,
    as_json: Json = False,
) -> None:
    """Read every log; print the alerts its node raised, and what looks unusual from here. Exit 1 when there is any."""
    from hdex.ledger.anomaly_rules import default_rules, rules_from_text
    from hdex.node.auditor_alerts import alerts_in

    asked = rules_from_text(rules.read_text(encoding="utf-8")) if rules else default_rules()
    evidence = auditor_of(config).collect_logs()
    found = [one.document() for log in evidence.logs for one in alerts_in(log, asked)]
    if as_json:
        print(json.dumps({"alerts": found, "absent": [one.participant for one in evidence.absent]}))
    else:
        for one in found:
            span = f"{one['first']}-{one['last']}"
            print(plain(f"{one['time']}  {one['log']}  {span:>15}  {one['rule']:<20} by {one['by']}  {one['who']}"))
        for gone in evidence.absent:
            talk("absent", f"{gone.participant}: {gone.why}")
    raise typer.Exit(1 if found else 0)


@app.command()
def serve(
    config: Config,
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    port: Annotated[int, typer.Option(help="Port on this machine's own address.", min=1, max=65535)] = 8480,
) -> None:
    """Serve the auditor's pages to this machine's browser until told to stop. Reads every log once at the start."""
    import threading

    from hdex.ledger.trust import read_trust
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import BuyerConfig, load

    settings, trusted = load(config, BuyerConfig), read_trust(trust)
    prepare(settings.data_dir, [settings.exchange.endpoint])
    from hdex.node.compose.auditing import serve_auditor

    stop = threading.Event()
    stop_on_signals(stop)
    talk("reading", "every log, once")
    serve_auditor(settings, trusted, port, stop=stop)
    talk("pages", f"http://127.0.0.1:{port}/")
    stop.wait()
