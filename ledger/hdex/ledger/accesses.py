"""What must hold between the events of logs: times, decisions, grants. Pure, no I/O."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from hdex.ledger.event import RELEASES, Action, Decision, Event

NEED_GRANT = frozenset({Action.PRODUCT_READ, Action.EXPORT, Action.ROUND_SUBMIT})


class GrantBook:
    """When each grant was issued and revoked, over all logs.

    Within one log the order of entries decides; between logs the written times do, within a tolerance.
    """

    def __init__(self, logs: Sequence[Sequence[Event]], tolerance: timedelta) -> None:
        self.tolerance = tolerance
        self._issued: dict[str, list[tuple[int, int, datetime]]] = {}
        self._revoked: dict[str, list[tuple[int, int, datetime]]] = {}
        for number, events in enumerate(logs):
            for index, event in enumerate(events):
                self._note(number, index, event)

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

    def _note(self, number: int, index: int, event: Event) -> None:
        if event.grant is None or event.decision is Decision.DENY:
            return
        if event.action is Action.GRANT_ISSUE:
            self._issued.setdefault(event.grant, []).append((number, index, event.at))
        if event.action is Action.GRANT_REVOKE:
            self._revoked.setdefault(event.grant, []).append((number, index, event.at))


def access_offences(events: Sequence[Event], log: int, book: GrantBook) -> Iterator[tuple[int, str]]:
    """Yield index and reason of every entry that breaks a rule; `log` is this log's number in the book."""
    latest: datetime | None = None
    for index, event in enumerate(events):
        if latest is not None and event.at < latest - book.tolerance:
            yield index, "the entry's time is before that of an earlier entry"
        latest = event.at if latest is None else max(latest, event.at)
        why = _release_offence(event, log, index, book)
        if why is not None:
            yield index, why


def _release_offence(event: Event, log: int, index: int, book: GrantBook) -> str | None:
    if event.action in RELEASES and event.decision is None:
        return f"a {event.action} has no decision"
    if event.action not in NEED_GRANT or event.decision is not Decision.ALLOW:
        return None
    if event.grant is None:
        return f"an allowed {event.action} names no grant"
    if not book.issued_before(event.grant, log, index, event.at):
        return f"an allowed {event.action} names a grant that was not issued before it"
    if book.revoked_before(event.grant, log, index, event.at):
        return f"an allowed {event.action} names a grant that was revoked before it"
    return None
