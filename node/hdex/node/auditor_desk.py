"""The auditor's desk: what was read last, verified, and ready to be looked at. Reading again replaces it whole."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any

from hdex.ledger.anomaly_rules import Rules
from hdex.ledger.audit_report import LogState, report_document, states, subject_of
from hdex.ledger.bundle import Evidence, LogEvidence, write_evidence
from hdex.ledger.bundle_extract import cosigned_sizes, extract
from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import Event, parse
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.ports import Anchor, EventIndex, EventQuery
from hdex.ledger.shard import parse_origin
from hdex.ledger.trust import Trust
from hdex.ledger.verify import verify_evidence
from hdex.node.auditor import Auditor, about, narrowed
from hdex.node.auditor_alerts import SeenAlert, alerts_in
from hdex.node.errors import NotFound

EVIDENCE, PART = "evidence.zip", "extract.zip"
BATCH = 1000  # events in memory while a log is indexed


@dataclass(frozen=True, slots=True)
class ReadLog:
    """One log as it was read: where it stands, its tree, and an index of its events, each read when asked for."""

    name: str  # the participant; of an earlier year <participant>:<year>
    evidence: LogEvidence
    state: LogState
    count: int  # entries up to the first that is no event
    index: EventIndex
    tree: Tree

    @property
    def node(self) -> str:
        return self.evidence.node

    @property
    def is_past(self) -> bool:
        """Whether a later year of the same log was read."""
        return self.name != self.node

    def event(self, index: int) -> Event:
        """Return one event."""
        return parse(self.evidence.entries[index])

    def find(self, query: EventQuery) -> list[int]:
        """Return the indexes of all events that match; page and limit of the query do not count."""
        return self.index.search(replace(query, first=0, limit=self.count))

    def newest_first(self, indexes: Sequence[int]) -> Iterator["Place"]:
        """Yield these events, the last first, each read when it is asked for."""
        return (Place(self.name, index, self.event(index)) for index in reversed(indexes))

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Return the audit path of an entry to the newest checkpoint's root; nothing for an entry behind it."""
        size = self.state.size
        if not 0 <= index < size <= len(self.tree):
            return ()
        return tuple(self.tree.inclusion_proof(index, size))

    def anchor(self, index: int) -> Anchor | None:
        """Return the first anchor that covers an entry."""
        covering = [anchor for anchor in self.evidence.anchors if anchor.size > index]
        return min(covering, key=lambda one: (one.size, one.block), default=None)


@dataclass(frozen=True, slots=True)
class Place:
    """One event and where it stands."""

    log: str
    index: int
    event: Event


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything of one reading."""

    taken: datetime
    evidence: Evidence
    report: dict[str, Any]
    logs: dict[str, ReadLog]
    alerts: tuple[SeenAlert, ...]

    @property
    def newest_block(self) -> int:
        """The last block in which any log is anchored, 0 without one."""
        return max((anchor.block for log in self.evidence.logs for anchor in log.anchors), default=0)

    def log(self, node: str) -> ReadLog:
        """Return one log. Raises NotFound."""
        if node not in self.logs:
            raise NotFound("this log is not among those that were read")
        return self.logs[node]

    def find(self, query: EventQuery, node: str = "") -> tuple[int, Iterator[Place]]:
        """Return how many events match, and these newest first; page and limit of the query do not count."""
        chosen = [self.log(node)] if node else list(self.logs.values())
        found = [(log, log.find(query)) for log in chosen]
        streams = (log.newest_first(indexes) for log, indexes in found)
        ordered = merge(*streams, key=lambda one: (one.event.time, one.log, one.index), reverse=True)
        return sum(len(indexes) for _, indexes in found), ordered


class Desk:
    """Holds the newest reading. Every thread may look; one at a time reads again."""

    def __init__(
        self, auditor: Auditor, trust: Trust, rules: Rules, *, folder: Path, clock: Callable[[], datetime]
    ) -> None:
        self._auditor, self._trust, self._rules = auditor, trust, rules
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()  # guards reading and the files
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._reading: Reading | None = None

    @property
    def trust(self) -> Trust:
        """Whose word counts at this desk."""
        return self._trust

    def reading(self) -> Reading:
        """Return the newest reading; the first call reads."""
        return self._reading or self.read()

    def read(self) -> Reading:
        """Ask everybody again, verify, and put it on the desk. Raises PeerUnavailable when nobody answers."""
        with self._lock:
            evidence = self._auditor.collect()
            path = self._folder / EVIDENCE
            write_evidence(path, evidence)
            found = verify_evidence(path, self._trust)
            taken, seen = self._clock(), states(evidence, self._trust)
            report = report_document(
                found, self._trust, made=taken, subject={"file": EVIDENCE, **subject_of(evidence)}, logs=seen
            )
            logs = {name: self._indexed(name, log, seen) for name, log in named(evidence.logs).items()}
            alerts = [replace(one, log=name) for name, log in named(evidence.logs).items() for one in self._alerts(log)]
            ordered = tuple(sorted(alerts, key=lambda one: one.time, reverse=True))
            self._reading = Reading(taken, evidence, report, logs, ordered)
            return self._reading

    def evidence_file(self, query: EventQuery | None = None) -> bytes:
        """Return the evidence of the newest reading as a file: whole, or what answers a question."""
        evidence = self.reading().evidence
        return self._packed(evidence if query is None else narrowed(evidence, query))

    def proof_file(self, node: str, index: int) -> bytes:
        """Return a file with one entry and its proof. Raises NotFound for an entry that nothing proves yet."""
        reading = self.reading()
        log = reading.log(node)
        if not log.proof(index) and not (index == 0 and log.state.size == 1):
            raise NotFound("this entry is not under a checkpoint that was read")
        told = tuple(replace(one, mirror=()) for one in about(reading.evidence.witnesses, [log.evidence]))
        sizes = [anchor.size for anchor in log.evidence.anchors] + cosigned_sizes(told, log.evidence)
        parts = [extract(log.evidence, [index], sizes)]
        later = [one for one in reading.evidence.logs if one.node == log.node and one.origin > log.evidence.origin]
        parts += [extract(one, [0]) for one in later]  # its first entry vouches for the end of the year before
        asked = {"entry": f"{node} {index}"}
        return self._packed(replace(reading.evidence, logs=(), extracts=tuple(parts), witnesses=told, question=asked))

    def _indexed(self, name: str, log: LogEvidence, seen: list[LogState]) -> ReadLog:
        """Return a log whose events are indexed up to the first entry that is none, which the verifier names."""
        index, count = SqliteEventIndex.fresh(self._folder / f"{name}.index.db"), 0
        tree, batch = Tree(), list[Event]()
        for entry in log.entries:
            tree.append(leaf_hash(entry))
        for entry in log.entries:
            try:
                batch.append(parse(entry))
            except EventInvalid:
                break
            if len(batch) == BATCH:
                index.add(count, batch)
                count, batch = count + len(batch), []
        index.add(count, batch)
        unknown = LogState(log.node, log.origin, len(log.entries))
        state = next((one for one in seen if one.origin == log.origin), unknown)
        return ReadLog(name, log, state, count + len(batch), index, tree)

    def _packed(self, evidence: Evidence) -> bytes:
        with self._lock:
            path = self._folder / PART
            write_evidence(path, evidence)
            return path.read_bytes()

    def _alerts(self, log: LogEvidence) -> list[SeenAlert]:
        try:
            return alerts_in(log, self._rules)
        except EventInvalid:  # the verifier names the entry
            return []


def named(logs: Sequence[LogEvidence]) -> dict[str, LogEvidence]:
    """Return the logs by the name they have on the pages: a participant's newest year has the participant's own."""
    newest = {log.node: max(one.origin for one in logs if one.node == log.node) for log in logs}
    return {
        log.node if log.origin == newest[log.node] else f"{log.node}:{parse_origin(log.origin)[1]}": log for log in logs
    }
