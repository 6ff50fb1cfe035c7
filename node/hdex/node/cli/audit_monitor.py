"""`hdex audit monitor`: follow all logs and tell what does not hold."""

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdex.node.cli.options import Config, Json

if TYPE_CHECKING:
    from hdex.node.watch import Report

State = Annotated[
    Path, typer.Option(help="File that remembers how far each log was verified; made at the first round.")
]


def monitor(
    config: Config,
    trust: Annotated[Path, typer.Option(help="Trust file: whose signatures count.")],
    state: State,
    *,
    once: Annotated[bool, typer.Option("--once", help="One round; exit 1 when anything is an alarm.")] = False,
    interval_s: Annotated[float, typer.Option(min=1.0, help="Seconds between rounds.")] = 60.0,
    cadence_min: Annotated[float, typer.Option(min=0.1, help="Minutes without a new witnessed checkpoint.")] = 15.0,
    as_json: Json = False,
) -> None:
    """Follow all logs: recompute roots, compare witnesses and chain, tell alarms; fraud proofs go beside the state."""
    import threading

    from hdex.node.cli.serving import prepare, stop_on_signals
    from hdex.node.config import BuyerConfig, load

    settings = load(config, BuyerConfig)
    prepare(settings.data_dir, [settings.exchange.endpoint, *([settings.chain.url] if settings.chain else [])])
    from hdex.ledger.monitor_log import Limits
    from hdex.ledger.trust import read_trust
    from hdex.node.compose.monitor import open_watch

    limits = Limits(cadence=timedelta(minutes=cadence_min))
    watch = open_watch(settings, read_trust(trust), state, limits=limits)
    stop = threading.Event()
    if not once:
        stop_on_signals(stop)
    while True:
        report = watch.round()
        tell(report, as_json=as_json, whole=once)
        if once:
            raise typer.Exit(1 if report.alarmed else 0)
        if stop.wait(interval_s):
            return


def tell(report: "Report", *, as_json: bool, whole: bool) -> None:
    """Print a round: all of it, or only what is new since the last one."""
    from hdex.node.cli.serving import plain

    if as_json:
        print(json.dumps(report.document(), ensure_ascii=False), flush=True)
        return
    for alarm in report.alarms if whole else report.new:
        where = alarm.node if alarm.index is None else f"{alarm.node} entry {alarm.index}"
        print(plain(f"{alarm.severity.value:<6} {alarm.kind:<22} {where}: {alarm.why}"), flush=True)
    for path in report.proofs:
        print(plain(f"proof  {path}"), flush=True)
    if whole:
        sizes = ", ".join(f"{node} {size}" for node, size in sorted(report.sizes.items()))
        print(plain(f"verified entries: {sizes}"), flush=True)
