"""How long after an event its alert is durable, while a thousand events a second are written. For bench_ledger.py."""

import hashlib
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from ledger_scale import SCALE
from ledger_tree import Found, facts, open_log

from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.event import Action, Event, canonical, format_time, parse
from hdex.node.alerts import AlertWatch
from hdex.node.documents import MemoryDocuments

TICK_S, ACTORS, GIVE_UP_S = 0.05, 20, 120.0


def now() -> datetime:
    return datetime.now(UTC)


def delays(folder: Path) -> list[Found]:
    """Write at a steady rate with a node's watch beside it; every actor soon does more than is usual."""
    log, stop = open_log(folder / "alerts.db"), threading.Event()
    watch = AlertWatch(
        log, MemoryDocuments(), actor_of, default_rules(), node="bench", organisation="Bench",
        secret=hashlib.sha256(b"bench alerts").digest(), clock=now,
    )  # fmt: skip
    watching = threading.Thread(target=watch.run, args=(stop,))
    watching.start()
    each, began = int(SCALE.alert_rate * TICK_S), time.monotonic()
    for tick in range(int(SCALE.alert_seconds / TICK_S)):
        log.append_all([canonical(told(tick * each + number)) for number in range(each)])
        time.sleep(max(0.0, began + (tick + 1) * TICK_S - time.monotonic()))
    written = log.size / (time.monotonic() - began)
    while watch.seen < log.size and time.monotonic() < began + GIVE_UP_S:  # its last look may still be to come
        time.sleep(TICK_S)
    stop.set()
    watching.join()
    events = [parse(leaf) for leaf in log.entries(0, log.size)]
    log.close()
    raised = [event for event in events if event.action is Action.ALERT_RAISE]
    assert len(raised) >= ACTORS
    waited = [(alert.at - events[last_of(alert)].at).total_seconds() for alert in raised]
    seen = {"events/s": round(written), "alerts": len(raised)}
    name = "alert after its event, at 1,000 events/s, the slowest"
    return [Found(name, [max(waited)], 5, "at most", "s", seen)]


def told(number: int) -> Event:
    return Event(**{**facts(number), "time": format_time(now())})


def actor_of(event_id: str) -> str:
    return f"actor {int(event_id.replace('-', ''), 16) % ACTORS}"


def last_of(alert: Event) -> int:
    return int(str(alert.reason).rpartition("-")[2])
