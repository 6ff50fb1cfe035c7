"""The watch over a participant's own log, wired and started beside its keeper."""

import threading

from hdex.ledger.anomaly_rules import Rules, default_rules, rules_from_text
from hdex.ledger.detail import Details
from hdex.ledger.errors import DetailErased, StoreCorrupt
from hdex.node.alerts import ActorOf, AlertWatch
from hdex.node.compose.standing import Standing, now
from hdex.node.stream import derive

RULES = "anomaly.toml"  # in the data folder; without it the thresholds that come with hdex hold


def start_alerts(standing: Standing) -> AlertWatch:
    """Start watching on a thread of its own until the participant stops."""
    watch = make_watch(standing)
    threading.Thread(target=watch.run, args=(standing.stop,), name="alerts", daemon=True).start()
    return watch


def make_watch(standing: Standing) -> AlertWatch:
    """Return the watch of a participant over its log."""
    return AlertWatch(
        standing.log,
        standing.documents,
        recorded_actor(standing.details),
        rules_of(standing),
        node=standing.config.id,
        organisation=standing.config.organisation,
        secret=derive(standing.keys.secret("commit"), salt=b"", info=b"hdex/alerts/v1"),
        clock=now,
    )


def rules_of(standing: Standing) -> Rules:
    """Return the participant's own thresholds, or those that come with hdex. Raises RulesInvalid."""
    own = standing.data / RULES
    return rules_from_text(own.read_text(encoding="utf-8")) if own.exists() else default_rules()


def recorded_actor(details: Details) -> ActorOf:
    """Return the function from an event's id to who acted, as the participant's own records have it."""

    def actor_of(event_id: str) -> str | None:
        try:
            return details.open(event_id).actor
        except (DetailErased, StoreCorrupt):
            return None

    return actor_of
