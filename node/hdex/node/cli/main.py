"""`hdex <participant> <verb>`: one file per participant, vendors imported inside the verbs."""

import sys
from typing import Annotated

import typer

from hdex.node.cli import (
    audit,
    buy,
    ca,
    catalog,
    chain,
    deid,
    demo,
    exchange,
    federated_approve,
    health,
    keyholder,
    keys,
    node,
    region,
    trace,
)
from hdex.node.cli.verbs import Everything


def show_version(asked: bool) -> None:
    """Print the version where it is asked for, and end."""
    if asked:
        from importlib.metadata import version

        print(version("hdex"))
        raise typer.Exit


app = typer.Typer(
    name="hdex",
    cls=Everything,
    help="Privacy-preserving exchange for health data elements.",
    epilog=(
        "Begin with `hdex demo`; `hdex node --help` lists a hospital's verbs, `hdex buy find --help` the words of one. "
        "Exit codes: 0 done; 1 refused, by policy, risk, terms or budget; 2 wrong words, settings or papers; 3 "
        "something outside did not answer or cannot be read: a peer, a disk, a chain, a data file. "
        "Each refusal says the next step."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(ca.app, name="ca", help="The consortium's certificate authority and directory.")
app.add_typer(chain.app, name="chain", help="The embedded chain and the contract on it.")
app.add_typer(exchange.app, name="exchange", help="Catalogue, contracts, studies.")
app.add_typer(keyholder.app, name="keyholder", help="Opens encrypted sums of a study, never one site's.")
app.add_typer(region.app, name="region", help="Adds the encrypted sums of its hospitals; holds no key.")
app.add_typer(node.app, name="node", help="A hospital's node: ingest, classify, de-identify, publish, decide.")
app.add_typer(buy.app, name="buy", help="Find, request, receive and open data products.")
app.add_typer(audit.app, name="audit", help="Collect and verify evidence.")
app.add_typer(deid.app, name="deid", help="De-identify files: classify, anonymize, verify, redact.")
app.add_typer(federated_approve.app, name="federated", help="Studies over sites; simulate from files.")
app.add_typer(catalog.app, name="catalog", help="Check and render product manifests.")
app.add_typer(keys.app, name="keys", help="Keystore of a participant.")
app.command(name="trace")(trace.trace)
app.command(name="demo")(demo.demo)


@app.callback()
def everything(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Say the version and exit.")
    ] = False,
) -> None:
    """Privacy-preserving exchange for health data elements."""


PARTICIPANTS = (
    (node.app, "hospital", "HospitalConfig"),
    (exchange.app, "exchange", "ExchangeConfig"),
    (keyholder.app, "keyholder", "KeyholderConfig"),
    (region.app, "region", "RegionConfig"),
    (chain.app, "chain", "ChainConfig"),
    (buy.app, "buyer", "BuyerConfig"),
    (audit.app, "auditor", "BuyerConfig"),
)
# A hospital's own status asks the node; a buyer's asks for one contract.
WITH_STATUS = ("exchange", "keyholder", "region", "chain")
for participant, kind, config_class in PARTICIPANTS:
    participant.command("doctor")(health.doctor_of(kind, config_class))
    if kind in WITH_STATUS:
        participant.command("status")(health.status_of(config_class))


def main() -> None:
    """Run the command line; a known error is one line on stderr and its exit code, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:  # the edge: everything below translates into one line and a code
        sys.exit(report(error))
    sys.exit(code if isinstance(code, int) else 0)


def report(error: Exception) -> int:
    """Print what went wrong and return the exit code of the one table in node/errors.py."""
    import click

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    if isinstance(error, click.exceptions.Abort):
        print("stopped", file=sys.stderr)
        return 1
    from hdex.node.cli.serving import plain
    from hdex.node.errors import describe

    problem = describe(error)
    print(f"hdex: {plain(problem.message)}", file=sys.stderr)
    if problem.next_step:
        print(f"next step: {plain(problem.next_step)}", file=sys.stderr)
    return problem.exit_code
