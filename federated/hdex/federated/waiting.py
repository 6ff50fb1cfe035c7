"""How long a round waits for its sites, and whom it waits for: said while it waits, and when it gives up."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hdex.federated.errors import SiteLost

Clock = Callable[[], datetime]
LATE_S = 1.0  # a site that answers sooner is not worth a word


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. With a deadline a round waits until then, as a study's sites answer no later; else `round_s`."""

    round_s: float = 60.0
    straggler_s: float = 30.0  # a best-effort round goes on without the missing after so long, if the quorum is there
    deadline: datetime | None = None
    clock: Clock = utc_now

    def left(self) -> float:
        """Return how long a round that begins now may wait."""
        if self.deadline is None:
            return self.round_s
        return max(0.0, (self.deadline - self.clock()).total_seconds())


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Whom a round waits for. Nobody: it was answered after somebody had been late."""

    round: int
    absent: tuple[str, ...]  # not connected
    silent: tuple[str, ...]  # connected, without an answer so far
    since: datetime
    until: datetime

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "round": self.round, "absent": list(self.absent), "silent": list(self.silent),
            "since": stamp(self.since), "until": stamp(self.until),
        }  # fmt: skip


def stamp(moment: datetime) -> str:
    """Return a time for people and for JSON, whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Vigil:
    """Tells whom a round waits for once they are late, and whenever that changes. `names`: node id -> site."""

    def __init__(
        self, names: Mapping[int, str], tell: Callable[[Awaiting], None], patience: Patience, *, late_s: float = LATE_S
    ) -> None:
        self._names = names
        self._tell = tell
        self._patience = patience
        self._late_s = late_s
        self._round = 0
        self._since = self._until = patience.clock()
        self._told: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def look(self, number: int, awaited: Collection[int], connected: Collection[int]) -> None:
        """Take note of the node ids that a round still waits for, and of those that are connected."""
        now = self._patience.clock()
        if number != self._round:
            self._round, self._since, self._told = number, now, ((), ())
            self._until = now + timedelta(seconds=self._patience.left())
        found = self._of(set(awaited) - set(connected)), self._of(set(awaited) & set(connected))
        late = (now - self._since).total_seconds() >= self._late_s
        if found != self._told and (late or self._told != ((), ())):
            self._told = found
            self._tell(Awaiting(number, *found, self._since, self._until))

    def _of(self, nodes: Collection[int]) -> tuple[str, ...]:
        return tuple(sorted(self._names[node] for node in nodes if node in self._names))


def site_lost(number: int, missing: Sequence[str], patience: Patience, *, fewest: int) -> SiteLost:
    """Return the honest end of a round: who was awaited until when, what was asked, and what to do now."""
    names, deadline = ", ".join(missing), patience.deadline
    until = f"the study's deadline {stamp(deadline)}" if deadline else f"{patience.round_s:g} s had passed"
    asked = f"{fewest} sites are needed" if fewest else "the study is exact: no smaller roster is used"
    if deadline is not None:
        step = f"plan a new study under a new id: with a later deadline once {names} is back, or without its contract"
    else:
        step = f"start the same study again once {names} is back: it goes on at round {number}"
    return SiteLost(f"no answer to round {number} from {names} until {until}; {asked}", step)
