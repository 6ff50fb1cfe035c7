"""The monitor's rounds: ask every witness, read every log and the chain, judge, keep and tell what was found."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.bundle import origin_in
from hdex.ledger.errors import ChainUnavailable, ChainWrong, LedgerError
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.monitor import KEY_RECORDS, Monitor, Round
from hdex.ledger.monitor_log import Seen
from hdex.ledger.monitor_state import MonitorState, loads
from hdex.ledger.ports import Anchor, Chain, ChainRecord
from hdex.ledger.shard import origin_of, parse_origin
from hdex.ledger.trust import Trust, TrustedLog
from hdex.node.auditor_logs import Logs, ShownLog, anchored_as
from hdex.node.docket import Docket
from hdex.node.durable import write_atomic
from hdex.node.errors import NodeError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """One round: everything that is wrong now, and the part of it that was not told before."""

    alarms: Sequence[Alarm]
    new: Sequence[Alarm]
    sizes: dict[str, int]  # entries verified, by node
    proofs: Sequence[Path]  # fraud proofs written in this round

    @property
    def alarmed(self) -> bool:
        """Whether anything is more than a warning."""
        return any(alarm.severity is Severity.ALARM for alarm in self.alarms)

    def document(self) -> dict[str, object]:
        """Return the JSON form."""
        fresh = {alarm.key for alarm in self.new}
        alarms = [alarm.document() | {"new": alarm.key in fresh} for alarm in self.alarms]
        return {"alarms": alarms, "sizes": self.sizes, "proofs": [str(path) for path in self.proofs]}


class Watch:
    """One monitor over the logs of a trust file; its memory is the file `state`."""

    def __init__(
        self, trust: Trust, logs: Logs, *, monitor: Monitor, chain: Callable[[], Chain], docket: Docket,
        state: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._trust, self._logs, self._monitor, self._chain = trust, logs, monitor, chain
        self._docket, self._state_file, self._clock = docket, state, clock
        self._state = loads(state.read_bytes()) if state.exists() else MonitorState()
        self._chain_silent = ""

    def round(self) -> Report:
        """Look once at everything and return what was found; what was found is on disk then."""
        self._chain_silent = ""
        nodes = {log.node for log in self._trust.logs}
        silent: dict[str, str] = {}
        seen = [one for node in sorted(nodes) for one in self._seen(node, silent)]
        alarms = self._monitor.observe(self._state, Round(seen, silent, self._key_records()), self._clock())
        if self._chain_silent:
            why = f"the chain could not be read: {self._chain_silent}"
            alarms.append(Alarm("chain.silent", Severity.WARN, "chain", why))
        return self._report(alarms)

    def _report(self, alarms: list[Alarm]) -> Report:
        proofs = [path for alarm in alarms if alarm.fraud and (path := self._docket.accuse(alarm.fraud))]
        fresh = [alarm for alarm in alarms if alarm.key not in self._state.raised]
        self._state.raised = sorted({alarm.key for alarm in alarms})
        write_atomic(self._state_file, self._state.dumps().encode())
        sizes: dict[str, int] = {}
        for log in self._state.logs.values():
            sizes[log.node] = max(log.frontier.size, sizes.get(log.node, 0))
        return Report(alarms, fresh, sizes, proofs)

    def _seen(self, node: str, silent: dict[str, str]) -> Iterator[Seen]:
        """Yield a node's log as everybody shows it. Witnesses are asked first: then no honest log is shorter."""
        try:
            asked = self._shards(node)
            mirrors = {log.origin: self._mirrors(log) for log in asked}
            start = max((self._size(log) for log in asked), default=0)
            shown = self._logs.read(node, start=start)
            log = self._trust.log(origin_in(shown.checkpoints[-1])) if shown.checkpoints else None
            if log is None or log.node != node:
                silent[node] = "it shows a log that the trust file does not name"
                return
            if log.origin not in self._state.logs:  # a year has begun: the one before is followed to its end
                for past in (one for one in asked if self._size(one) and one.origin != log.origin):
                    ended = self._logs.read(node, year=parse_origin(past.origin)[1], start=self._size(past))
                    yield self._told(past, ended, mirrors[past.origin])
            if self._size(log) != start:
                shown = self._logs.read(node, start=self._size(log))
            yield self._told(log, shown, mirrors.get(log.origin, {}))
        except (NodeError, LedgerError) as error:
            silent[node] = type(error).__name__

    def _told(self, log: TrustedLog, shown: ShownLog, mirrors: dict[str, str]) -> Seen:
        """Return one year of a log from where it is known on, with what the chain holds of it."""
        start, entries = self._size(log), list(shown.entries)
        anchors = self._anchors(self._anchored_as(log, entries, start))
        return Seen(log, shown.checkpoints, start, entries, partial(self._leaf_hashes, log), mirrors, anchors)

    def _shards(self, node: str) -> list[TrustedLog]:
        """Return the logs of a node that may be written now: those named, and of every year this one and the last."""
        year = self._clock().year
        named = [log.origin for log in self._trust.logs if log.node == node and not log.is_of_every_year]
        origins = dict.fromkeys([*named, origin_of(node, year), origin_of(node, year - 1)])
        return [log for origin in origins if (log := self._trust.log(origin)) is not None]

    def _size(self, log: TrustedLog) -> int:
        known = self._state.logs.get(log.origin)
        return known.frontier.size if known else 0

    def _anchored_as(self, log: TrustedLog, entries: Sequence[bytes], start: int) -> str:
        """Return the name a log is anchored under, which its entry 0 says: it is read once and remembered."""
        state = self._state.log(log.origin, log.node, self._clock())
        if not state.anchored_as:
            first = entries[0] if entries and not start else next(self._year(log, end=1).entries, b"")
            state.anchored_as = anchored_as(log.node, log.origin, first)
        return state.anchored_as

    def _leaf_hashes(self, log: TrustedLog) -> list[bytes]:
        """Return the leaf hash of every entry: asked only to prove a contradiction. Empty when the node is away now."""
        try:
            return [leaf_hash(entry) for entry in self._year(log).entries]
        except NodeError:
            return []

    def _year(self, log: TrustedLog, *, end: int = 0) -> ShownLog:
        return self._logs.read(log.node, year=parse_origin(log.origin)[1], end=end)

    def _mirrors(self, log: TrustedLog) -> dict[str, str]:
        """Return what each witness that answers last cosigned."""
        found = {}
        for witness in self._trust.witnesses_of(log):
            try:
                note, _ = self._logs.mirror(witness.name, log.origin, head_only=True)
            except NodeError as error:
                logger.warning(
                    "a witness was not asked", extra={"witness": witness.name, "reason": type(error).__name__}
                )
                continue
            if note:
                found[witness.name] = note
        return found

    def _anchors(self, name: str) -> tuple[Anchor, ...] | None:
        try:
            return tuple(self._chain().anchors(name))
        except (ChainUnavailable, ChainWrong) as error:
            self._chain_silent = type(error).__name__
            return None

    def _key_records(self) -> list[ChainRecord]:
        try:
            return [record for kind in KEY_RECORDS for record in self._chain().records(kind)]
        except (ChainUnavailable, ChainWrong) as error:
            self._chain_silent = type(error).__name__
            return []
