"""`hdex node runs|review`: scripts and outputs of the enclave, read and signed by a person."""

from typing import Annotated

import typer

from hdex.node.cli.options import OFFICER, STEWARD, Config, DeskFolder, Json


def runs(config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """Show what waits in the enclave: scripts to be run, outputs to be released."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    found = staff(config, desk, OFFICER).desk.runs()
    for run in [{"runs": found}] if as_json else found:
        show(run, as_json=as_json)


def review(
    run: Annotated[str, typer.Argument(help="Run id.")],
    config: Config,
    desk: DeskFolder,
    *,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse instead of signing.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is refused; the buyer reads it.")] = "",
    steward: Annotated[bool, typer.Option("--steward", help="Sign as the data steward; scripts only.")] = False,
    as_json: Json = False,
) -> None:
    """Sign a script that was read, and it runs; sign an output that was read, and it leaves."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show

    answer = staff(config, desk, STEWARD if steward else OFFICER).review(run, approve=not refuse, reason=reason)
    show({"run": run, "state": answer["state"], "rule": answer["rule"]}, as_json=as_json)
