"""What must hold between the events of logs: times, decisions, grants; and which events a question is about. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from hdex.ledger.event import GRANT_ENDS, RELEASES, Action, Decision, Event
from hdex.ledger.index import matches
from hdex.ledger.ports import EventQuery

NEED_GRANT = frozenset({Action.PRODUCT_READ, Action.EXPORT, Action.SHARE_READ, Action.ROUND_SUBMIT})
GRANT_CHANGES = GRANT_ENDS | {Action.GRANT_ISSUE}


class Access(Protocol):
    """What the rules look at: an event, or what was read of its leaf."""

    @property
    def time(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def action(self) -> Action: ...
    @property
    def decision(self) -> Decision | None: ...
    @property
    def grant(self) -> str | None: ...


class GrantBook:
    """When each grant was issued and revoked or given back, over all logs.

    Within one log the order of entries decides; between logs the written times do, within a tolerance.
    """

    def __init__(self, logs: Sequence[Sequence[Access]], tolerance: timedelta) -> None:
        self.tolerance = tolerance
        self._issued: dict[str, list[tuple[int, int, datetime]]] = {}
        self._revoked: dict[str, list[tuple[int, int, datetime]]] = {}
        for number, events in enumerate(logs):
            for index, event in enumerate(events):
                self.note(number, index, event)

    def knows(self, grant: str) -> bool:
        """Return whether the issue of a grant is in any of the logs."""
        return grant in self._issued

    def issued_before(self, grant: str, log: int, index: int, time: datetime) -> bool:
        """Return whether the grant was issued before this entry."""
        return any(
            where < index if number == log else when <= time + self.tolerance
            for number, where, when in self._issued.get(grant, ())
        )

    def revoked_before(self, grant: str, log: int, index: int, time: datetime) -> bool:
        """Return whether the grant was surely revoked before this entry."""
        return any(
            where < index if number == log else when + self.tolerance < time
            for number, where, when in self._revoked.get(grant, ())
        )

    def note(self, number: int, index: int, event: Access) -> None:
        """Take down what entry `index` of log `number` does to a grant."""
        if event.grant is None or event.decision is Decision.DENY:
            return
        if event.action is Action.GRANT_ISSUE:
            self._issued.setdefault(event.grant, []).append((number, index, event.at))
        if event.action in GRANT_ENDS:
            self._revoked.setdefault(event.grant, []).append((number, index, event.at))


class Clockwork:
    """The times of one log: they grow, but for the tolerance."""

    def __init__(self, tolerance: timedelta) -> None:
        self._tolerance = tolerance
        self._latest: Access | None = None

    def offence(self, event: Access) -> str | None:
        """Return what is wrong with the next event's time. Times of this form sort as text."""
        if self._latest is None or event.time >= self._latest.time:
            self._latest = event
            return None
        is_late = event.at < self._latest.at - self._tolerance
        return "the entry's time is before that of an earlier entry" if is_late else None


def access_offences(
    events: Iterable[tuple[int, Access]], log: int, book: GrantBook, *, is_partial: bool
) -> Iterator[tuple[int, str]]:
    """Yield index and reason of every entry that breaks a rule; `log` is this log's number in the book.

    is_partial: a grant whose issue is in none of the logs may have been issued where these entries do not reach.
    """
    clockwork = Clockwork(book.tolerance)
    for index, event in events:
        is_judged = not is_partial or event.grant is None or book.knows(event.grant)
        granted = grant_offence(event, log, index, book) if is_judged else None
        for why in (clockwork.offence(event), undecided(event) or granted):
            if why is not None:
                yield index, why


def unjudged(events: Iterable[tuple[int, Access]], book: GrantBook) -> int:
    """Return how many releases name a grant whose issue is in none of the logs."""
    return sum(needs_grant(event) and event.grant is not None and not book.knows(event.grant) for _, event in events)


def is_continued(event: Access) -> bool:
    """Return whether a log that begins with this event goes on from an earlier one."""
    return event.action is Action.SHARD_OPEN


def undecided(event: Access) -> str | None:
    """Return what is wrong with a release that nobody decided."""
    return f"a {event.action} has no decision" if event.action in RELEASES and event.decision is None else None


def needs_grant(event: Access) -> bool:
    """Return whether this entry is a release that some grant must cover."""
    return event.action in NEED_GRANT and event.decision is Decision.ALLOW


def grant_offence(event: Access, log: int, index: int, book: GrantBook) -> str | None:
    """Return what is wrong with the grant of a release."""
    if not needs_grant(event):
        return None
    if event.grant is None:
        return f"an allowed {event.action} names no grant"
    if not book.issued_before(event.grant, log, index, event.at):
        return f"an allowed {event.action} names a grant that was not issued before it"
    if book.revoked_before(event.grant, log, index, event.at):
        return f"an allowed {event.action} names a grant that was revoked before it"
    return None


def matching(events: Sequence[Event], query: EventQuery) -> list[int]:
    """Return the indexes from `query.first` on whose events match, ascending, at most `query.limit` of them."""
    found: list[int] = []
    for index in range(query.first, len(events)):
        if len(found) == query.limit:
            break
        if matches(query, events[index]):
            found.append(index)
    return found
