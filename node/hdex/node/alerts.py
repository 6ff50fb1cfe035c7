"""A node watches its own log: what is unusual becomes an event in it, within seconds, off the path of data.

The log names actors by commitments that differ in every event; only the node's own records say who acted. The watch
asks them, and keeps each actor under a key of its own: what it remembers of people opens nothing without the keystore.
"""

import hmac
import logging
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from hdex.ledger.anomaly import Alert, Detector, seat
from hdex.ledger.anomaly_rules import Rules
from hdex.ledger.event import Action, Decision, Event, canonical, format_time, parse
from hdex.ledger.log import Log
from hdex.node.documents import Documents
from hdex.node.errors import NotFound

logger = logging.getLogger(__name__)
KIND, STATE = "alerts", "state"
ROLE = "watch"
PERIOD_S, BATCH, KEEP_EVERY_S = 1.0, 5000, 30.0
NEWS = timedelta(days=7)  # what is older teaches the watch: the first look at a long log wakes nobody for last year
ActorOf = Callable[[str], str | None]


class AlertWatch:
    """One per log. `run_once` looks at what is new and raises alerts; `run` does it until told to stop."""

    def __init__(
        self, log: Log, documents: Documents, actor_of: ActorOf, rules: Rules, *,
        node: str, organisation: str, secret: bytes, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        """actor_of: event id -> who acted, None where the node's records do not say (erased, or another's event)."""
        self._log, self._documents, self._actor_of, self._rules = log, documents, actor_of, rules
        self._node, self._organisation, self._secret, self._clock = node, organisation, secret, clock
        self._origin = log.origin
        self._detector, self._next = self._recall()
        self._said: set[str] | None = None  # alerts that stand in the log behind the state we began with
        self._kept = clock()

    @property
    def seen(self) -> int:
        """How many entries of the log were looked at."""
        return self._next

    def run_once(self) -> list[Alert]:
        """Look at all entries that are new; raise and return the alerts. Raises LogFailed when one cannot be raised."""
        raised: list[Alert] = []
        if self._log.origin != self._origin:  # a new year's shard
            self._origin, self._next = self._log.origin, 0
        stop = self._log.size
        if self._said is None:
            self._said = self._spoken(self._next, stop)
        while self._next < stop:
            for leaf in self._log.entries(self._next, min(stop, self._next + BATCH)):
                raised += self._look(self._next, leaf)
                self._next += 1
        if (self._clock() - self._kept).total_seconds() >= KEEP_EVERY_S:
            self.keep()
        return raised

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop`; a failed look is logged and tried again."""
        while not stop.wait(PERIOD_S):
            try:
                self.run_once()
            except Exception as error:  # a watch that ends in silence would be none
                logger.warning("watching the log failed", extra={"reason": type(error).__name__})
        self.keep()

    def keep(self) -> None:
        """Keep what was learnt, durably. After a crash later entries are looked at again, and no alert raised twice."""
        self._documents.put(KIND, STATE, self._state())
        self._kept = self._clock()

    def _state(self) -> dict[str, Any]:
        return {"origin": self._origin, "next": self._next, "detector": self._detector.document()}

    def _recall(self) -> tuple[Detector, int]:
        try:
            found = self._documents.get(KIND, STATE)
            known = int(found["next"]) if found["origin"] == self._origin else 0
            if known <= self._log.size:
                return Detector.from_document(self._rules, found["detector"]), known
        except NotFound:
            pass
        except (KeyError, TypeError):
            logger.warning("what the watch had learnt cannot be read: it learns from the log again")
        return Detector(self._rules), 0

    def _spoken(self, start: int, stop: int) -> set[str]:
        """Return the reasons of the alerts in a part of the log."""
        said = set()
        for first in range(start, stop, BATCH):
            for leaf in self._log.entries(first, min(stop, first + BATCH)):
                if b'"alert.raise"' in leaf:
                    said.add(str(parse(leaf).reason))
        return said

    def _look(self, index: int, leaf: bytes) -> list[Alert]:
        event = parse(leaf)
        found = self._detector.observe(index, self._name(event), event)
        if not found or self._clock() - event.at > NEWS:
            return []
        fresh = [alert for alert in found if alert.code not in (self._said or ())]
        for alert in fresh:
            self._raise(alert, event)
        return fresh

    def _name(self, event: Event) -> str:
        actor = self._actor_of(event.event_id) if event.actor else None
        if actor is None:
            return seat(event)
        return hmac.new(self._secret, actor.encode(), sha256).hexdigest()[:32]

    def _raise(self, alert: Alert, event: Event) -> None:
        """Write the alert into the log: the rule and the entries, never who. Those entries hold the commitment."""
        told = Event(
            event_id=str(uuid.uuid4()),
            time=format_time(self._clock()),
            node=self._node,
            organisation=self._organisation,
            role=ROLE,
            action=Action.ALERT_RAISE,
            decision=Decision.ALLOW,
            reason=alert.code,
            product=event.product,
            purpose=event.purpose,
            contract=event.contract,
            grant=event.grant,
        )
        self._log.append(canonical(told))
        logger.warning("alert raised", extra={"rule": alert.rule.value, "first": alert.first, "last": alert.last})
