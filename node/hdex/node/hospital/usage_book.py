"""What each contract has used, folded from the node's own log of all years: there is no second count that could drift.

Quotas are looked at here, with the event of the access written before anybody else may look; invoices and statements
are reckoned from here, under a signed head of the log.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal

from hdex.catalog.invoice import UsageSaid
from hdex.catalog.quota import Quota, QuotaPeriod, Used, require_quota
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import Action, Decision, Event, format_time, parse
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.shard import origin_of, parse_origin
from hdex.ledger.usage import Access, Counts, Place, Tally, access_of, day_of, month_of, usage
from hdex.node.access_proof import AccessProof
from hdex.node.errors import NotFound
from hdex.node.hospital.log_fold import LogFold

NAMES_CONTRACT = b'"contract":'
ASKING = frozenset({Action.QUERY_RUN, Action.STUDY_PLAN, Action.ROUND_JOIN})
PAPERS = frozenset({Action.INVOICE_ISSUE, Action.INVOICE_CREDIT})


@dataclass(slots=True)
class Asked:
    """What was asked under one contract: each question with its epsilon, each script, what rounds cost."""

    questions: dict[str, Decimal] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)
    rounds_epsilon: Decimal = Decimal(0)

    def take(self, event: Event) -> None:
        """Count one entry. A question or script that comes again is the same one."""
        digest, epsilon = event.request_digest or "", Decimal(repr(event.epsilon or 0))
        if event.action is Action.QUERY_RUN:
            self.questions[digest] = epsilon
        elif event.action is Action.STUDY_PLAN:
            self.scripts.add(digest)
        elif event.action is Action.ROUND_JOIN:
            self.rounds_epsilon += epsilon


class UsageBook:
    """The uses of one node's contracts. Safe between threads; one process writes the log."""

    def __init__(
        self, log: Log, past: Callable[[], Sequence[Log]], *, node: str, clock: Callable[[], datetime]
    ) -> None:
        """past: opens the finished shards of the log; they are closed once they are read."""
        self._log, self._past, self._node, self._clock = log, past, node, clock
        self._fold = LogFold(log, past, clear=self._clear, take=self._take)
        self._accesses: dict[str, list[Access]] = {}  # by contract, in the order of the log
        self._tallies: dict[str, Tally] = {}
        self._asked: dict[str, Asked] = {}
        self._chunks: Counter[str] = Counter()  # of sealed files, authorised by contract
        self._papers: dict[str, Place] = {}  # digest of an invoice -> its entry
        self._counting = threading.RLock()  # between the look and the event nobody else may use

    @contextmanager
    def delivering(self, contract: str, quota: Quota | None, *, rows: int, size: int) -> Iterator[None]:
        """Run the body, which must write the event of one range of `size` bytes, unless the quota is used up.

        rows: of the whole delivery; they count with its first range. Raises OutsideAgreement with rule and next step.
        """
        if quota is None:
            yield
            return
        with self._counting:
            tally = self._folded(contract)
            asked = Used(rows=0 if tally.is_open else rows, bytes=size)
            require_quota(quota, self._used(tally, quota), asked)
            yield

    @contextmanager
    def joining(self, contract: str, quota: Quota | None, *, round_name: str) -> Iterator[None]:
        """Run the body, which must write the event of one round, unless the quota is used up; again costs nothing."""
        if quota is None:
            yield
            return
        with self._counting:
            tally = self._folded(contract)
            joined = {*tally.rounds, *tally.joined.values()}
            if round_name not in joined:
                had = self._used(tally, quota)
                waiting = len(joined - tally.rounds)  # joined, and their sums have not left yet
                require_quota(quota, Used(rounds=had.rounds + waiting), Used(rounds=1))
            yield

    @contextmanager
    def querying(self, contract: str, quota: Quota | None, *, rows: int = 0) -> Iterator[None]:
        """Run the body, which must write the event of one query, unless the quota is used up."""
        if quota is None:
            yield
            return
        with self._counting:
            require_quota(quota, self._used(self._folded(contract), quota), Used(queries=1, rows=rows))
            yield

    def used(self, contract: str, quota: Quota | None = None) -> Used:
        """Return what was used so far, over the period of the quota where one is given."""
        with self._counting:
            return self._used(self._folded(contract), quota or Quota())

    def spent(self, contract: str) -> dict[str, int | float]:
        """Return what the log says was used of every limit an agreement may have, by the limit's name."""
        with self._counting:
            tally, asked = self._folded(contract), self._asked.get(contract, Asked())
            counts = tally.total
            return {
                "queries": counts.queries,
                "rows": counts.rows,
                "bytes": counts.bytes,
                "deliveries": counts.deliveries,
                "rounds": len(tally.rounds | set(tally.joined.values())),
                "questions": len(asked.questions),
                "enclave_runs": len(asked.scripts),
                "epsilon": float(sum(asked.questions.values(), asked.rounds_epsilon)),
            }

    def rounds(self, contract: str) -> set[str]:
        """Return the names of the rounds that were joined under a contract."""
        with self._counting:
            tally = self._folded(contract)
            return tally.rounds | set(tally.joined.values())

    def questions(self, contract: str) -> set[str]:
        """Return the digests of the questions that were answered under a contract."""
        with self._counting:
            self._fold.read()
            return set(self._asked.get(contract, Asked()).questions)

    def scripts(self, contract: str) -> set[str]:
        """Return the digests of the scripts that were submitted under a contract."""
        with self._counting:
            self._fold.read()
            return set(self._asked.get(contract, Asked()).scripts)

    def chunks(self, contract: str) -> int:
        """Return how many chunks of sealed files a contract was authorised to receive, those sent again included."""
        with self._counting:
            self._fold.read()
            return self._chunks[contract]

    def is_delivering(self, contract: str) -> bool:
        """Return whether a delivery has begun and was not acknowledged."""
        with self._counting:
            return self._folded(contract).is_open

    def is_read_today(self, contract: str, version: str) -> bool:
        """Return whether a share of a version was read on this day already: further reads are the same delivery."""
        with self._counting:
            return day_of(version, format_time(self._clock())) in self._folded(contract).days

    def has_delivered(self, contract: str) -> bool:
        """Return whether rows have left under a contract."""
        with self._counting:
            return self._folded(contract).total.deliveries > 0

    def contracts(self) -> list[str]:
        """Return every contract that used anything, sorted."""
        with self._counting:
            self._fold.read()
            return sorted(self._accesses)

    def usage(self, contract: str, month: str, *, start: int = 0) -> UsageSaid:
        """Return what a contract used in a month, from entry `start` of that year's shard on, under its newest head.

        Raises NotFound where there is no log of that year.
        """
        origin = origin_of(self._node, int(month[:4]))
        with self._counting, self._shard(origin) as shard:
            head = shard.checkpoint()
            self._fold.read()
            accesses = self._accesses.get(contract, ())
            counted = usage(contract, accesses, month, origin, start=start, size=parse_checkpoint(head).size)
        return UsageSaid(**asdict(counted), checkpoint=head)

    @property
    def is_writable(self) -> bool:
        """Whether what the book says of the log is all that the log holds: a failed writer leaves that open."""
        return not self._log.failed

    def require_writable(self) -> None:
        """Raise LogFailed where the log's writer has failed."""
        if not self.is_writable:
            raise LogFailed("the log has failed and refuses everything: restart the node")

    def entry(self, digest: str) -> Place | None:
        """Return where the log holds the event of an invoice or credit note, by the paper's digest."""
        with self._counting:
            self._fold.read()
            return self._papers.get(digest)

    def proof(self, place: Place) -> AccessProof:
        """Return what shows anybody that an entry stands in this log."""
        with self._shard(place.origin) as shard:
            head = shard.checkpoint()
            (entry,) = shard.entries(place.index, place.index + 1)
            hashes = shard.inclusion(place.index, parse_checkpoint(head).size)
            return AccessProof(entry, place.index, head, tuple(hashes))

    @contextmanager
    def _shard(self, origin: str) -> Iterator[Log]:
        if self._log.origin == origin:
            yield self._log
            return
        past = list(self._past())
        try:
            found = [shard for shard in past if shard.origin == origin]
            if not found:
                raise NotFound(f"there is no log of {parse_origin(origin)[1]} at this node; name a month it has seen")
            yield found[0]
        finally:
            for shard in past:
                shard.close()

    def _used(self, tally: Tally, quota: Quota) -> Used:
        counts = tally.total
        if quota.period == QuotaPeriod.MONTH:
            now = month_of(self._log.origin, format_time(self._clock()))
            counts = tally.months.get(now, Counts())
        return Used(queries=counts.queries, rows=counts.rows, rounds=counts.rounds, bytes=counts.bytes)

    def _folded(self, contract: str) -> Tally:
        self._fold.read()
        return self._tallies.get(contract, Tally())

    def _clear(self) -> None:
        self._accesses.clear()
        self._tallies.clear()
        self._asked.clear()
        self._chunks.clear()

    def _take(self, leaf: bytes, origin: str, index: int) -> None:
        if NAMES_CONTRACT not in leaf:  # most entries name none, and reading them would cost ten times as much
            return
        event = parse(leaf)
        if event.action in PAPERS and event.result_digest:
            self._papers[event.result_digest] = Place(origin, index, month_of(origin, event.time))
        if event.decision is Decision.ALLOW and event.contract is not None and event.action in ASKING:
            self._asked.setdefault(event.contract, Asked()).take(event)
        access = access_of(event, origin, index)
        if access is not None and event.contract is not None:
            if access.action is Action.EXPORT:
                self._chunks[event.contract] += event.fields or 0
            self._accesses.setdefault(event.contract, []).append(access)
            self._tallies.setdefault(event.contract, Tally()).take(access)
