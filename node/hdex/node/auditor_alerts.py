"""Alerts as an auditor sees them: what nodes raised in their logs, and what is unusual by organisation and role."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.anomaly import Detector, Rule, seat, unusual
from hdex.ledger.anomaly_rules import Rules
from hdex.ledger.bundle import LogEvidence
from hdex.ledger.event import Action, Event, parse

CODE = re.compile(r"(?P<rule>[a-z_]+)@(?P<first>\d+)-(?P<last>\d+)")


@dataclass(frozen=True, slots=True)
class SeenAlert:
    """One alert: by the node, which knows the actor and does not say, or by the auditor, who knows the seat only."""

    log: str
    rule: str
    first: int
    last: int
    time: str
    by: str  # node or auditor
    who: str  # organisation and role of the last entry

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def alerts_in(log: LogEvidence, rules: Rules) -> list[SeenAlert]:
    """Return the alerts of one log in the order of time. Raises EventInvalid for a log that holds something else."""
    events = [parse(entry) for entry in log.entries]
    raised = [one for event in events if (one := raised_alert(log.node, event, events)) is not None]
    found = [
        SeenAlert(log.node, one.rule.value, one.first, one.last, one.time, "auditor", one.actor)
        for one in unusual(events, rules)
    ]
    return sorted([*raised, *found], key=lambda one: (one.time, one.by))


def raised_alert(node: str, event: Event, events: list[Event]) -> SeenAlert | None:
    """Return what an alert event says; None for another event, or one that points to no entry before it."""
    told = CODE.fullmatch(event.reason or "") if event.action is Action.ALERT_RAISE else None
    if told is None or told["rule"] not in {rule.value for rule in Rule}:
        return None
    first, last = int(told["first"]), int(told["last"])
    if not first <= last < len(events):
        return None
    return SeenAlert(node, told["rule"], first, last, event.time, "node", seat(events[last]))


def anomaly_hook(rules: Rules) -> Callable[[Sequence[Event]], list[Alarm]]:
    """Return what tells a monitor of unusual events, each log on its own; what it learnt lasts as long as it runs."""
    detectors: dict[str, Detector] = {}

    def look(events: Sequence[Event]) -> list[Alarm]:
        return [
            Alarm(
                f"anomaly.{found.rule.value}", Severity.WARN, event.node, f"unusual for {found.actor} at {found.time}"
            )
            for event in events
            for found in detectors.setdefault(event.node, Detector(rules)).observe(0, seat(event), event)
        ]

    return look
