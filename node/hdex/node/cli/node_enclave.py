"""`hdex node runs|review`: scripts and outputs of the enclave, read and signed by a person."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from hdex.node.cli.options import OFFICER, STEWARD, Config, DeskFolder, Json


def runs(config: Config, desk: DeskFolder, as_json: Json = False) -> None:
    """Show what waits in the enclave: scripts to be run, outputs to be released."""
    from hdex.node.cli.node import staff
    from hdex.node.cli.serving import show_each

    found = staff(config, desk, OFFICER).desk.runs()
    show_each("runs", found, as_json=as_json, none="nothing waits in the enclave", lines=lines_of_run)


def lines_of_run(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield a run for whoever reads it before signing: script and outputs line by line, a bar before each.

    The bar keeps a stranger's line from being read as one of ours.
    """
    from hdex.node.cli.serving import lines_of, plain

    yield from lines_of({name: value for name, value in run.items() if name not in ("script", "outputs")})
    for name, text in {"script": run.get("script", ""), **run.get("outputs", {})}.items():
        yield f"{plain(name)}:"
        yield from (f"  | {plain(line.expandtabs(4))}" for line in str(text).splitlines())


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
