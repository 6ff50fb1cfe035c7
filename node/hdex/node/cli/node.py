"""`hdex node ...`: a hospital's node and its staff."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hdex.node.cli.node_billing import invoice_app, payments_app, statement
from hdex.node.cli.node_cohort import app as cohort_app
from hdex.node.cli.node_contracts import app as contracts_app
from hdex.node.cli.node_desk import desk, desk_code
from hdex.node.cli.node_dsp import dsp
from hdex.node.cli.node_enclave import review, runs
from hdex.node.cli.node_erasure import erase, hold
from hdex.node.cli.node_negotiations import app as negotiations_app
from hdex.node.cli.node_products import resume, suspend, withdraw
from hdex.node.cli.node_requests import app as requests_app
from hdex.node.cli.node_requests import vetting as vetting_app
from hdex.node.cli.options import OFFICER, STEWARD, Config, DeskFolder, Json
from hdex.node.cli.verbs import OfHospital

app = typer.Typer(cls=OfHospital, no_args_is_help=True, rich_markup_mode=None)
Dataset = Annotated[str, typer.Argument(help="Name of the data set at this node.")]
Version = Annotated[str, typer.Argument(help="Version to offer.")]
OfferFile = Annotated[Path, typer.Argument(help="Title, description, terms, price, ethics (JSON).")]
Contract = Annotated[str, typer.Argument(help="Contract id.")]
Reason = Annotated[str, typer.Argument(help="What the consumer is told.")]
app.add_typer(cohort_app, name="cohort")
app.add_typer(requests_app, name="requests")
app.add_typer(vetting_app, name="vetting")
app.add_typer(contracts_app, name="contracts")
app.add_typer(negotiations_app, name="negotiations")
app.command()(erase)
app.command()(hold)
app.command()(withdraw)
app.command()(suspend)
app.command()(resume)
app.command()(dsp)
app.command()(statement)
app.add_typer(invoice_app, name="invoice")
app.add_typer(payments_app, name="payments")
app.command()(runs)
app.command()(review)
app.command()(desk)
app.command("desk-code")(desk_code)


@app.callback()
def node() -> None:
    """A hospital's node: ingest, classify, de-identify, publish, decide."""


@app.command()
def serve(config: Config) -> None:
    """Run the hospital's node until it is told to stop."""
    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    peers = [settings.exchange.endpoint, *(peer.endpoint for peer in settings.witness_peers)]
    region = [settings.region.endpoint] if settings.region else []
    supernode = [settings.supernode.address] if settings.supernode else []
    callbacks = settings.dsp.callback_hosts if settings.dsp is not None else []
    prepare(settings.data_dir, [*peers, *region, *supernode, settings.chain.url, *callbacks])
    from hdex.node.compose.hospital import serve_hospital

    standing = serve_hospital(settings)
    stop_on_signals(standing.stop)
    standing.run()


@app.command()
def ingest(
    dataset: Dataset,
    path: Annotated[Path, typer.Argument(help="Folder or file that the hospital exported.")],
    config: Config,
    desk: DeskFolder,
    view: Annotated[str, typer.Option(help="Analysis view: one row per patient.")] = "carotid_stent",
    mapping: Annotated[
        Path | None, typer.Option(help="Reviewed mapping (TOML) to sign instead of the proposal.")
    ] = None,
    write_mapping: Annotated[Path | None, typer.Option(help="Write the proposed mapping here and stop.")] = None,
    as_json: Json = False,
) -> None:
    """Read an export. The first time a mapping is proposed and nothing kept; once one is signed, the rows are kept."""
    from hdex.node.cli.serving import show, talk
    from hdex.node.harmonize import Mapping
    from hdex.node.json_file import read_text

    target = write_mapping or Path(f"{dataset}.mapping.toml")
    if mapping is None:
        require_new(target, "mapping", asked=write_mapping is not None)
    mended = Mapping.from_toml(read_text(mapping)).document() if mapping is not None else None
    who = staff(config, desk, STEWARD)
    if mended is not None:
        who.sign("mapping", dataset, mended)
    answer = who.desk.ingest(dataset, path, view, talk)
    if answer["state"] == "mapping.proposed" and isinstance(proposed := answer["mapping"], dict):
        require_new(target, "mapping")
        target.write_text(Mapping.from_document(proposed).to_toml(), encoding="utf-8")
        again = f"hdex node ingest {dataset} {path} --view {view} --mapping {target} --config {config} --desk {desk}"
        talk("mapping", f"read {target}, mend it, then: {again}")
        answer = answer if as_json else {"state": answer["state"], "dataset": dataset, "mapping": str(target)}
    elif write_mapping is not None:
        talk("mapping", f"{write_mapping} was not written: a mapping of {dataset} is signed, the rows were kept by it")
    show(answer, as_json=as_json)


def require_new(target: Path, what: str, *, asked: bool = True) -> None:
    """Raise ConfigInvalid where a file stands that a person may have mended."""
    from hdex.node.errors import ConfigInvalid

    if asked and target.exists():
        raise ConfigInvalid(f"{target} exists: read it, or name another file for the proposed {what}")


@app.command()
def classify(
    dataset: Dataset,
    config: Config,
    desk: DeskFolder,
    write: Annotated[Path | None, typer.Option("--write", help="Write the document to sign here (JSON).")] = None,
    as_json: Json = False,
) -> None:
    """Propose role, category and level of every column."""
    from hdex.node.cli.serving import show, talk

    require_new(write or Path(), "classification", asked=write is not None)
    found = staff(config, desk, STEWARD).desk.classify(dataset, talk)
    if write is not None:
        write.write_text(json.dumps(found["classification"], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        talk("classify", f"read {write}, mend it, then: hdex node approve {dataset} {write}")
    show(found, as_json=as_json)


@app.command()
def approve(
    dataset: Dataset,
    document: Annotated[Path, typer.Argument(help="The classification (JSON) as reviewed.")],
    config: Config,
    desk: DeskFolder,
    second: Annotated[
        bool, typer.Option("--second", help="Sign as privacy officer what the steward signed against the evidence.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign a reviewed classification."""
    from hdex.node.cli.serving import show
    from hdex.node.json_file import read_object

    reviewed = read_object(document)
    who = staff(config, desk, OFFICER if second else STEWARD)
    show(who.sign("classification", dataset, reviewed), as_json=as_json)


@app.command()
def deidentify(
    dataset: Dataset,
    config: Config,
    desk: DeskFolder,
    preset: Annotated[str, typer.Option(help="Ceilings to meet: public, registered, controlled.")] = "controlled",
    purpose: Annotated[str, typer.Option(help="Purpose (DUO code) that consent must cover.")] = "DUO:0000006",
    recipient_class: Annotated[str, typer.Option(help="Class of recipients that consent must cover.")] = "",
    as_json: Json = False,
) -> None:
    """Make a version that meets the preset, or refuse."""
    from hdex.node.cli.serving import show, talk

    order = {"preset": preset, "purpose": purpose, "recipient_class": recipient_class}
    facts = staff(config, desk, STEWARD).desk.deidentify(dataset, order, talk)
    show({name: value for name, value in facts.items() if name != "report" or as_json}, as_json=as_json)


@app.command()
def assess(
    dataset: Dataset,
    version: Version,
    offer: OfferFile,
    config: Config,
    desk: DeskFolder,
    write: Annotated[Path | None, typer.Option("--write", help="Write the draft here and sign nothing.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a product's manifest and sign its assessment as data steward: the first of two names."""
    from hdex.node.cli.serving import show, talk
    from hdex.node.json_file import read_object

    said, who = read_object(offer), staff(config, desk, STEWARD)
    if write is None:
        show(who.assess(dataset, version, said, talk), as_json=as_json)
        return
    drafted = who.desk.assess(dataset, version, said, talk)
    write.write_text(json.dumps(drafted["product"], indent=1, ensure_ascii=False), encoding="utf-8")
    show(drafted["assessment"], as_json=as_json)


@app.command()
def publish(
    dataset: Dataset, version: Version, offer: OfferFile, config: Config, desk: DeskFolder, as_json: Json = False
) -> None:
    """Sign the assessment as privacy officer, the second of two names, and list the product at the exchange."""
    from hdex.node.cli.serving import show, talk
    from hdex.node.json_file import read_object

    said = read_object(offer)
    show(staff(config, desk, OFFICER).publish(dataset, version, said, talk), as_json=as_json)


@app.command()
def decide(
    contract: Contract,
    config: Config,
    desk: DeskFolder,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse instead of approving.")] = False,
    reason: Annotated[str, typer.Option(help="What the applicant is told.")] = "",
    as_json: Json = False,
) -> None:
    """Approve a request (the node signs the agreement) or refuse it."""
    from hdex.node.cli.serving import show

    record = staff(config, desk, OFFICER).desk.decide(contract, approve=not refuse, reason=reason)
    show({"contract": contract, "state": record.state, "rule": record.rule}, as_json=as_json)


@app.command()
def revoke(contract: Contract, reason: Reason, config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """End a licence: the next range and the next round are refused."""
    from hdex.node.cli.serving import show

    record = staff(config, desk, OFFICER).desk.revoke(contract, reason)
    show({"contract": contract, "state": record.state, "revoked": record.revoked}, as_json=as_json)


@app.command("withdraw-consent")
def withdraw_consent(
    dataset: Dataset,
    patients: Annotated[Path, typer.Argument(help="File on the node with one patient id a line.")],
    config: Config,
    desk: DeskFolder,
    as_json: Json = False,
) -> None:
    """Record withdrawals: the next version and the next round leave these patients out. Exit 1: an id is nobody's."""
    from hdex.node.cli.serving import show, talk

    found = staff(config, desk, OFFICER).desk.withdraw_consent(dataset, patients)
    show(found, as_json=as_json)
    if unknown := found["asked"] - found["withdrawn"]:
        talk(
            "unknown", f"{unknown} of {found['asked']} ids are no patient's of {dataset}: nothing is recorded for them"
        )
        raise typer.Exit(1)


@app.command()
def status(config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """Show the log, the products, the contracts and what crossed the wall."""
    from hdex.node.cli.serving import show

    show(staff(config, desk, OFFICER).desk.status(), as_json=as_json)


def staff(config: Path, desk: Path, role: str):  # type: ignore[no-untyped-def]  # Steward, whose import is heavy
    """Return the person whose certificate lies in `desk`."""
    from hdex.node.cli.serving import prepare
    from hdex.node.config import HospitalConfig, load

    settings = load(config, HospitalConfig)
    prepare(settings.data_dir, [])
    from hdex.node.compose.client import open_steward

    return open_steward(settings, desk, role)
