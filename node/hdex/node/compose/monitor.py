"""The monitor, wired: an auditor's identity, everybody's logs, the chain, a state file."""

from collections.abc import Sequence
from pathlib import Path

from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.monitor import Hook, Monitor
from hdex.ledger.monitor_log import Limits
from hdex.ledger.ports import Chain
from hdex.ledger.trust import Trust
from hdex.node.auditor_alerts import anomaly_hook
from hdex.node.compose.client import caller
from hdex.node.compose.standing import now, open_chain
from hdex.node.config import BuyerConfig
from hdex.node.docket import Docket
from hdex.node.watch import Watch
from hdex.node.wire.remote import RemoteLogs


def open_watch(
    config: BuyerConfig, trust: Trust, state: Path, *, limits: Limits, hooks: Sequence[Hook] | None = None
) -> Watch:
    """Return the monitor of a trust file's logs; fraud proofs go beside the state file.

    hooks: what else looks at every new event once; by default the anomalies of each log.
    """
    who = caller(config.identity, config.trust_domain, config.limits)
    opened: list[Chain] = []

    def chain() -> Chain:
        if not opened:
            opened.append(open_chain(config.chain, who.keys))
        return opened[0]

    state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    monitor = Monitor(trust, limits=limits, hooks=[anomaly_hook(default_rules())] if hooks is None else hooks)
    docket = Docket(state.parent / "fraud")
    return Watch(trust, RemoteLogs(who.channels), monitor=monitor, chain=chain, docket=docket, state=state, clock=now)
