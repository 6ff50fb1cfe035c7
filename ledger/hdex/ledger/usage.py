"""What was used under a contract, folded from a log's entries: whoever reads the same counts the same. Pure.

The rules, in the order of the log, allowed entries only:
- a delivery begins with the first `export` after the last `delivery.acknowledge`, and ends with the next one. However
  many ranges lie between, sent once or again after a broken line, it is one delivery and its rows count once;
- the reads of a share (`share.read`) are never acknowledged: on each day, by the time of its entry in UTC, the first
  read of a version is a delivery and its rows count; further reads of that day are none, whatever bytes they took;
- a training round counts once, when its sums first left (`round.submit`); attempts at one round are one round;
- every `query.run` is one query;
- bytes are all that was released, ranges sent again included: they bound a contract and are not billed.
A unit belongs to the month of its first entry; epsilon is privacy, not money, and is not counted here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from hdex.ledger.event import GRANT_ENDS, Action, Decision, Event
from hdex.ledger.shard import parse_origin

USES = frozenset({Action.EXPORT, Action.SHARE_READ, Action.QUERY_RUN, Action.ROUND_SUBMIT})
MARKS = frozenset({Action.DELIVERY_ACKNOWLEDGE, Action.ROUND_JOIN, Action.GRANT_ISSUE}) | GRANT_ENDS


class Unit(StrEnum):
    """What is counted."""

    DELIVERY = "delivery"
    QUERY = "query"
    ROUND = "round"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: the shard, its index there, and the month the shard's year makes of its time."""

    origin: str
    index: int
    month: str  # 2026-11


@dataclass(frozen=True, slots=True)
class Access:
    """What counting needs of an entry."""

    place: Place
    time: str
    action: Action
    rows: int = 0
    bytes: int = 0
    question: str = ""  # of a round: study and broadcast
    round: str = ""  # of a join: the round that the broadcast belongs to; empty in logs that did not say it yet
    grant: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a contract used in one month, among the entries start <= index < size of one shard.

    first and last: index of the first and last entry that used something, None where none did. is_first: the first
    use ever under the contract is among them. granted, revoked: when the licence began, and when it ended
    before its term; empty where it did not happen before `size`.
    """

    contract: str
    month: str
    origin: str
    start: int
    size: int
    first: int | None = None
    last: int | None = None
    accesses: int = 0
    deliveries: int = 0
    rows: int = 0
    queries: int = 0
    rounds: int = 0
    bytes: int = 0
    is_first: bool = False
    granted: str = ""
    revoked: str = ""
    grant: str = ""


@dataclass(slots=True)
class Counts:
    """Running totals of one span of time."""

    deliveries: int = 0
    rows: int = 0
    queries: int = 0
    rounds: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Tally:
    """One contract's uses as the log goes by."""

    is_open: bool = False  # a delivery has begun and was not acknowledged
    days: set[str] = field(default_factory=set)  # on which a share was read, with the version
    rounds: set[str] = field(default_factory=set)
    joined: dict[str, str] = field(default_factory=dict)  # question -> round
    total: Counts = field(default_factory=Counts)
    months: dict[str, Counts] = field(default_factory=dict)

    def take(self, access: Access) -> Unit | None:
        """Count one entry, and return the unit that begins with it, if one does."""
        if access.action is Action.DELIVERY_ACKNOWLEDGE:
            self.is_open = False
        if access.action is Action.ROUND_JOIN and access.round:
            self.joined[access.question] = access.round
        if access.action not in USES:
            return None
        unit = self._begun(access)
        for counts in (self.total, self.months.setdefault(access.place.month, Counts())):
            add(counts, access, unit)
        return unit

    def knows(self, round_name: str) -> bool:
        """Return whether a round counts already."""
        return round_name in self.rounds

    def _begun(self, access: Access) -> Unit | None:
        if access.action is Action.QUERY_RUN:
            return Unit.QUERY
        if access.action is Action.EXPORT:
            begins, self.is_open = not self.is_open, True
            return Unit.DELIVERY if begins else None
        if access.action is Action.SHARE_READ:
            day = day_of(access.version, access.time)
            begins, self.days = day not in self.days, self.days | {day}
            return Unit.DELIVERY if begins else None
        name = self.joined.get(access.question, access.question)
        if name in self.rounds:
            return None
        self.rounds.add(name)
        return Unit.ROUND


def access_of(event: Event, origin: str, index: int) -> Access | None:
    """Return what counting needs of an entry; None for one that counting does not look at."""
    if event.decision is not Decision.ALLOW or event.contract is None or event.action not in USES | MARKS:
        return None
    return Access(
        Place(origin, index, month_of(origin, event.time)),
        event.time,
        event.action,
        rows=event.rows or 0,
        bytes=event.bytes or 0,
        question=f"{event.policy_digest}/{event.request_digest}",
        round=(event.result_digest or "") if event.action is Action.ROUND_JOIN else "",
        grant=event.grant or "",
        version=event.version or "",
    )


def day_of(version: str, time: str) -> str:
    """Return the day on which a share of a version was read: what one delivery of it is."""
    return f"{time[:10]} {version}"


def month_of(origin: str, time: str) -> str:
    """Return the month that an entry counts in: that of its time, kept within the year of its shard.

    An entry written while a year ended may carry a time of the year before: then it counts in the shard's January.
    """
    year = f"{parse_origin(origin)[1]:04}"
    if time[:4] == year:
        return time[:7]
    return f"{year}-01" if time[:4] < year else f"{year}-12"


def usage(contract: str, accesses: Iterable[Access], month: str, origin: str, *, start: int, size: int) -> Usage:
    """Return what a contract used in a month, in the entries start <= index < size of the shard `origin`.

    accesses: those of this contract in the order of the log, from its first year on: what an entry counts as depends on
    those before it.
    """
    tally, counts, used = Tally(), Counts(), list[int]()
    is_first, any_before = False, False
    granted, revoked, grant = "", "", ""
    for access in before(accesses, origin, size):
        unit = tally.take(access)
        within = (access.place.origin, access.place.month) == (origin, month) and access.place.index >= start
        if access.action is Action.GRANT_ISSUE:
            granted, grant = granted or access.time, access.grant
        if access.action in GRANT_ENDS:
            revoked = access.time
        if access.action in USES:
            is_first, any_before = is_first or (within and not any_before), True
        if within and access.action in USES:
            add(counts, access, unit)
            used.append(access.place.index)
    return Usage(
        contract=contract, month=month, origin=origin, start=start, size=size,
        first=used[0] if used else None, last=used[-1] if used else None, accesses=len(used),
        deliveries=counts.deliveries, rows=counts.rows, queries=counts.queries, rounds=counts.rounds,
        bytes=counts.bytes, is_first=is_first, granted=granted, revoked=revoked, grant=grant,
    )  # fmt: skip


def before(accesses: Iterable[Access], origin: str, size: int) -> Iterator[Access]:
    """Yield the accesses that stand before entry `size` of a shard: earlier years, and this one up to there."""
    for access in accesses:
        if access.place.origin < origin or (access.place.origin == origin and access.place.index < size):
            yield access


def add(counts: Counts, access: Access, unit: Unit | None) -> None:
    """Add one entry to counts; `unit` is what begins with it."""
    counts.bytes += access.bytes
    counts.deliveries += unit is Unit.DELIVERY
    counts.rows += access.rows if unit is Unit.DELIVERY else 0
    counts.queries += unit is Unit.QUERY
    counts.rounds += unit is Unit.ROUND
