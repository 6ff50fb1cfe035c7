"""What is unusual about an event, seen against what its actor did before. Pure: no I/O, no clock but the events' own.

At a node the actor is known (under a key of the node's own); an auditor knows organisation and role only. Either hands
an actor's name and an event to `Detector.observe`, in the order of the log, and gets alerts back. A detector's state is
plain JSON values: it is kept, and goes on after a restart as if nothing had happened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from math import sqrt
from typing import Any

from hdex.ledger.anomaly_rules import RateRule, Rules
from hdex.ledger.event import RELEASES, Action, Decision, Event

UNKNOWN = "unknown"
LONGEST_ABSENCE = 30  # days that are counted as days without events


class Rule(StrEnum):
    """Why an alert is raised."""

    RATE = "rate"
    DENIALS = "denials"
    FIRST_PRODUCT = "first_product"
    NEW_PURPOSE = "new_purpose"
    OFF_HOURS = "off_hours"
    DENIED_THEN_ALLOWED = "denied_then_allowed"
    BREADTH = "breadth"
    EXPORT_SIZE = "export_size"
    BREAK_GLASS = "break_glass"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something unusual, and the entries that show it: from `first` to `last` of one log."""

    rule: Rule
    actor: str  # as the detector was told
    first: int
    last: int
    time: str  # of the entry that gave the last straw

    @property
    def code(self) -> str:
        """The alert as an event's reason tells it: rate@120-163."""
        return f"{self.rule.value}@{self.first}-{self.last}"


@dataclass(slots=True)
class Hours:
    """How often something happens in each hour of the day: mean, variance, days seen and the last day."""

    hour: str = ""  # the one being counted: 2026-11-21T22
    count: int = 0
    first: int = 0
    is_raised: bool = False
    known: dict[str, list[float]] = field(default_factory=dict)

    def add(self, index: int, hour: str, rule: RateRule) -> bool:
        """Count one event; return whether it makes this hour unusual, once an hour."""
        if hour != self.hour:
            self._finish(rule)
            self.hour, self.count, self.first, self.is_raised = hour, 0, index, False
        self.count += 1
        if self.is_raised or self.count < 2:
            return False
        mean, variance = self._expected(rule)
        self.is_raised = (self.count - mean) / sqrt(max(variance, mean, 1.0)) > rule.z
        return self.is_raised

    def _expected(self, rule: RateRule) -> tuple[float, float]:
        """Return mean and variance of this hour of the day: Poisson's at least, more where days differ more."""
        found = self.known.get(self.hour[11:13])
        if found is None:
            means = [mean for mean, *_ in self.known.values()]
            return (sum(means) / len(means), max(means)) if means else (rule.prior, rule.prior)
        mean, variance, days, last = found
        for _ in range(_absent(last, self.hour)):
            mean, variance, days = _moved(mean, variance, days, 0, rule)
        return mean, variance

    def _finish(self, rule: RateRule) -> None:
        """Learn from the hour that is over. An hour that raised an alert counts as its mean: an attack is no habit."""
        if not self.hour:
            return
        mean, variance = self._expected(rule)
        _, _, days, last = self.known.get(self.hour[11:13], [0.0, 0.0, 0.0, 0.0])
        gone = _absent(last, self.hour) if last else 0
        count = min(self.count, mean + rule.z * sqrt(max(variance, mean, 1.0)))
        mean, variance, days = _moved(mean, variance, days + gone, count, rule)
        self.known[self.hour[11:13]] = [mean, variance, days, float(_ordinal(self.hour))]


def _moved(mean: float, variance: float, days: float, count: float, rule: RateRule) -> tuple[float, float, float]:
    """Return the exponentially weighted moments with one more day; the first days weigh alike."""
    weight = max(rule.smoothing, 1 / (days + 1))
    off = count - mean
    return mean + weight * off, (1 - weight) * (variance + weight * off * off), days + 1


def _absent(last: float, hour: str) -> int:
    return max(0, min(LONGEST_ABSENCE, _ordinal(hour) - int(last) - 1))


def _ordinal(hour: str) -> int:
    return date.fromisoformat(hour[:10]).toordinal()


@dataclass(slots=True)
class History:
    """What is known of one actor."""

    events: Hours = field(default_factory=Hours)
    denials: Hours = field(default_factory=Hours)
    products: list[str] = field(default_factory=list)
    purposes: list[str] = field(default_factory=list)
    refused: list[list[Any]] = field(default_factory=list)  # [index, time] of the latest refusals
    day: str = ""
    day_first: int = 0
    day_products: list[str] = field(default_factory=list)
    rows: float = 0.0  # a usual release
    releases: int = 0
    spoken: dict[str, str] = field(default_factory=dict)  # rule -> time of its last alert


class Detector:
    """Watches one log. Owner: one thread."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._since = ""
        self._actors: dict[str, History] = {}

    def observe(self, index: int, actor: str, event: Event) -> list[Alert]:
        """Return what is unusual about this event, and learn from it."""
        if event.action is Action.ALERT_RAISE:
            return []
        self._since = self._since or event.time
        history = self._actors.setdefault(actor, History())
        found = [
            Alert(rule, actor, first, index, event.time)
            for rule, first in self._unusual(index, history, event)
            if self._may_speak(rule, history, event)
        ]
        history.spoken |= {alert.rule.value: event.time for alert in found}
        return found

    def document(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"since": self._since, "actors": {name: asdict(one) for name, one in self._actors.items()}}

    @classmethod
    def from_document(cls, rules: Rules, found: dict[str, Any]) -> "Detector":
        """Return a detector that goes on from a state. Raises KeyError or TypeError on another document."""
        detector = cls(rules)
        detector._since = found["since"]
        for name, held in found["actors"].items():
            rates = {key: Hours(**held[key]) for key in ("events", "denials")}
            detector._actors[name] = History(**{**held, **rates})
        return detector

    def _unusual(self, index: int, history: History, event: Event) -> Iterable[tuple[Rule, int]]:
        """Yield each rule that the event breaks with the first entry that belongs to it; the history is brought up."""
        hour = event.time[:13]
        if history.events.add(index, hour, self._rules.rate):
            yield Rule.RATE, history.events.first
        if event.action is Action.BREAKGLASS_OPEN:
            yield Rule.BREAK_GLASS, index
        if event.decision is Decision.DENY:
            history.refused = [*history.refused, [index, event.time]][-self._rules.denied_then_allowed.denials :]
            if history.denials.add(index, hour, self._rules.denials):
                yield Rule.DENIALS, history.denials.first
        elif event.action in RELEASES:
            yield from self._release(index, history, event)

    def _release(self, index: int, history: History, event: Event) -> Iterable[tuple[Rule, int]]:
        first = self._refused_before(history, event)
        if first is not None:
            yield Rule.DENIED_THEN_ALLOWED, first
        if self._is_off_hours(event):
            yield Rule.OFF_HOURS, index
        if event.product is not None:
            yield from self._product(index, history, event.product, event.time[:10])
        if event.purpose is not None and event.purpose not in history.purposes:
            history.purposes.append(event.purpose)
            yield Rule.NEW_PURPOSE, index
        if event.rows is not None and self._is_large(history, event.rows):
            yield Rule.EXPORT_SIZE, index

    def _product(self, index: int, history: History, product: str, day: str) -> Iterable[tuple[Rule, int]]:
        if product not in history.products:
            history.products.append(product)
            yield Rule.FIRST_PRODUCT, index
        if day != history.day:
            history.day, history.day_first, history.day_products = day, index, []
        if product not in history.day_products:
            history.day_products.append(product)
            if len(history.day_products) > self._rules.breadth.products:
                yield Rule.BREADTH, history.day_first

    def _refused_before(self, history: History, event: Event) -> int | None:
        """Return the first of the refusals that came right before this release; a release ends their row."""
        rule, refused = self._rules.denied_then_allowed, history.refused
        history.refused = []
        if len(refused) < rule.denials:
            return None
        first, time = refused[0]
        is_near = event.at - datetime.fromisoformat(time) <= timedelta(seconds=rule.within_s)
        return int(first) if is_near else None

    def _is_off_hours(self, event: Event) -> bool:
        rule = self._rules.off_hours
        if event.role not in rule.roles:
            return False
        local = event.at + timedelta(minutes=self._rules.utc_offset_minutes)
        return local.isoweekday() not in rule.weekdays or not rule.first_hour <= local.hour < rule.last_hour

    def _is_large(self, history: History, rows: int) -> bool:
        """Return whether a release is large beside the actor's usual ones; learn its size, cut to what is not large."""
        rule = self._rules.export_size
        usual = history.rows if history.releases else float("inf")
        is_large = rows >= rule.always or (rows >= rule.at_least and rows > rule.times * usual)
        history.releases += 1
        weight = max(self._rules.rate.smoothing, 1 / history.releases)
        seen = min(rows, rule.times * usual) if is_large else rows
        history.rows += weight * (seen - history.rows)
        return is_large

    def _may_speak(self, rule: Rule, history: History, event: Event) -> bool:
        """Return whether an alert is due: novelty only when enough was learnt, no rule again and again."""
        novel = rule in {Rule.FIRST_PRODUCT, Rule.NEW_PURPOSE}
        if novel:
            return event.at - datetime.fromisoformat(self._since) >= timedelta(days=self._rules.learn_days)
        if rule in {Rule.RATE, Rule.DENIALS, Rule.BREAK_GLASS, Rule.DENIED_THEN_ALLOWED}:
            return True  # once an hour by themselves, or never too often
        last = history.spoken.get(rule.value)
        return last is None or event.at - datetime.fromisoformat(last) >= timedelta(seconds=self._rules.quiet_s)


def unusual(events: Sequence[Event], rules: Rules) -> list[Alert]:
    """Return what an auditor sees as unusual in one log, by organisation and role: actors are commitments to it."""
    detector = Detector(rules)
    return [alert for index, event in enumerate(events) for alert in detector.observe(index, seat(event), event)]


def seat(event: Event) -> str:
    """Return who acts as far as a leaf tells: organisation and role."""
    return f"{event.organisation or UNKNOWN}/{event.role or UNKNOWN}"
