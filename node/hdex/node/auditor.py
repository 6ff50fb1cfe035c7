"""An auditor's verbs: ask the witnesses, read the logs, read the chain, and put it all into one file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from hdex.ledger.bundle import Absence, Evidence, LogEvidence, WitnessEvidence, is_about, origin_in, write_evidence
from hdex.ledger.bundle_extract import Cut, answers, extracts, question
from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.event import document, parse
from hdex.ledger.index import matches
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, Chain, EventQuery
from hdex.ledger.shard import origin_of
from hdex.ledger.trust import ChainFacts
from hdex.node.auditor_logs import Logs, YearLog, anchored_as, opened, years_of
from hdex.node.config import ChainPeer
from hdex.node.directory import Directory, Member
from hdex.node.errors import NodeError, PeerUnavailable, describe

Found = dict[str, Any]  # {"log", "index", "event"}
Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Kept]):
    """One year of a log as it was read: its checkpoints, entry 0, and what was kept of its entries."""

    log: LogEvidence  # without entries
    first: bytes
    kept: Kept


@dataclass(frozen=True, slots=True)
class AnchoredYear:
    """One year of a log with what the chain holds of it."""

    origin: str
    first: bytes  # entry 0
    checkpoints: tuple[str, ...]
    entries: Iterator[bytes]
    anchors: tuple[Anchor, ...]

    @property
    def head(self) -> str:
        """The newest checkpoint."""
        return self.checkpoints[-1]


class Auditor:
    """Collects evidence from everybody in the directory who keeps a log."""

    def __init__(
        self, directory: Directory, logs: Logs, *,
        chain: Callable[[], Chain], contract: ChainPeer | None, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._directory = directory
        self._logs = logs
        self._chain = chain
        self._contract = contract
        self._clock = clock

    def export(self, path: Path, query: EventQuery | None = None) -> Evidence:
        """Write the evidence file: whole logs, or what they hold on a question with proofs."""
        evidence = self.collect() if query is None else self.answer(query)
        write_evidence(path, evidence)
        return evidence

    def collect(self) -> Evidence:
        """Return the logs of all years, whole: witnesses first, so that none can be shorter than what they saw.

        Who is away is named in it. Raises PeerUnavailable when no log at all could be read.
        """
        absent: list[Absence] = []
        told = self._witnesses(absent, head_only=False)
        read = self._gather(absent, lambda shard: tuple(shard.entries), lambda entries: entries[:1])
        whole = [replace(one, log=replace(one.log, entries=one.kept)) for one in read]
        chain, logs = self._anchored(whole, absent)
        told += self._earlier(logs, told, absent, head_only=False)
        return self._evidence(chain, absent, logs=tuple(logs), witnesses=about(told, logs))

    def answer(self, query: EventQuery) -> Evidence:
        """Return what the logs of all years hold on a question, proven. No more of a log is kept than that.

        Raises PeerUnavailable when no log could be read, EventInvalid for a log that holds something else than events.
        """
        absent: list[Absence] = []
        told = self._witnesses(absent, head_only=True)
        read = self._gather(absent, lambda shard: cut_of(shard, query), lambda cut: [cut.first])
        chain, logs = self._anchored(read, absent)
        told += self._earlier(logs, told, absent, head_only=True)
        seen = about(told, logs)
        parts = extracts([(log, one.kept) for log, one in zip(logs, read, strict=True)], seen)
        held = {part.origin for part in parts}
        seen = tuple(one for one in seen if origin_in(one.checkpoint) in {*held, ""})
        return self._evidence(chain, absent, extracts=tuple(parts), witnesses=seen, question=question(query))

    def search(self, query: EventQuery | None, *, limit: int) -> tuple[list[Found], list[Absence]]:
        """Return what the logs hold on a question in the order of time, `limit` of each year, and who was away."""
        asked = replace(query or EventQuery(), limit=limit)
        absent: list[Absence] = []
        read = self._gather(absent, lambda shard: list(found_in(shard, asked)), lambda found: [])
        found = [one for shard in read for one in shard.kept]
        return sorted(found, key=lambda one: str(one["event"]["time"])), absent

    def collect_logs(self) -> Evidence:
        """Return the logs alone: no witness and no chain is asked. Raises PeerUnavailable when none could be read."""
        absent: list[Absence] = []
        read = self._gather(absent, lambda shard: tuple(shard.entries), lambda entries: entries[:1])
        logs = tuple(replace(one.log, entries=one.kept) for one in read)
        return Evidence(self._clock(), {}, logs, absent=tuple(absent))

    def years(self, node: str) -> Iterator["AnchoredYear"]:
        """Yield a participant's log, the oldest year first, with its anchors; read one before asking for the next.

        The chain is asked before the log: then no honest log is shorter. Raises PeerUnavailable, ChainUnavailable.
        """
        for year in sorted(self._logs.read(self._directory.member(node).id, end=1).years):
            peek = opened(node, self._logs.read(node, year=year, end=1))
            first = next(peek.entries, b"")
            anchors = tuple(self._chain().anchors(anchored_as(node, peek.origin, first)))
            whole = opened(node, self._logs.read(node, year=year))
            yield AnchoredYear(whole.origin, first, whole.checkpoints, whole.entries, anchors)

    def trust(self, witnesses: int) -> dict[str, Any]:
        """Return the trust document of this consortium: whose signatures count, and how many must agree."""
        kept = self._keepers()
        return {
            "policy": {"witnesses": witnesses},
            "logs": [{"node": member.id, "log_key": member.log_key.hex()} for member in kept],
            "witnesses": [{"name": member.id, "key": member.witness_key.hex()} for member in kept],
            "chain": self._chain_facts(),
        }

    def _keepers(self) -> list[Member]:
        return [member for member in self._directory.members if member.log_key and member.endpoint]

    def _witnesses(self, absent: list[Absence], *, head_only: bool) -> list[WitnessEvidence]:
        """Return what every witness cosigned of every log: of this year, or of the last where this has not begun."""
        kept, year = self._keepers(), self._clock().year
        pairs = [(witness.id, member.id) for member in kept for witness in kept if witness.id != member.id]
        found = []
        for witness, node in pairs:
            origins = (origin_of(node, one) for one in (year, year - 1))
            told = (self._told(witness, node, origin, absent, head_only=head_only) for origin in origins)
            found += [one for one in told if one is not None][:1]
        return found

    def _earlier(
        self, logs: Sequence[LogEvidence], told: Sequence[WitnessEvidence], absent: list[Absence], *, head_only: bool
    ) -> list[WitnessEvidence]:
        """Return what witnesses cosigned of the years that they were not asked for: those have ended, none grows."""
        asked = {(one.witness, origin_in(one.checkpoint)) for one in told}
        newest = {log.node: max(one.origin for one in logs if one.node == log.node) for log in logs}
        found = [
            self._told(witness.id, log.node, log.origin, absent, head_only=head_only)
            for log in logs
            for witness in self._keepers()
            if witness.id != log.node and log.origin != newest[log.node] and (witness.id, log.origin) not in asked
        ]
        return [one for one in found if one is not None]

    def _told(
        self, witness: str, node: str, origin: str, absent: list[Absence], *, head_only: bool
    ) -> WitnessEvidence | None:
        if any(one.participant == witness for one in absent):  # asked once: who is away is away for every log
            return None
        try:
            checkpoint, mirror = self._logs.mirror(witness, origin, head_only=head_only)
        except NodeError as error:
            absent.append(Absence(witness, "witness", describe(error).rule))
            return None
        return WitnessEvidence(witness, node, checkpoint, tuple(mirror)) if checkpoint else None

    def _gather(
        self, absent: list[Absence], keep: Callable[[YearLog], Kept], first: Callable[[Kept], Sequence[bytes]]
    ) -> list[Gathered[Kept]]:
        """Return what `keep` makes of every log, a participant's years oldest first.

        first: what was kept -> entry 0 of the log, or nothing. Raises PeerUnavailable when none could be read.
        """
        read = [one for member in self._keepers() for one in reversed(self._log(member, absent, keep, first))]
        if not read:
            why = ", ".join(sorted({one.why for one in absent if one.part == "log"}))
            raise PeerUnavailable(f"none of the {len(self._keepers())} logs could be read: {why or 'none is listed'}")
        return read

    def _log(
        self, member: Member, absent: list[Absence],
        keep: Callable[[YearLog], Kept], first: Callable[[Kept], Sequence[bytes]],
    ) -> list[Gathered[Kept]]:  # fmt: skip
        """Return what could be read of one participant's log, newest year first."""
        found = []
        try:
            for shard in years_of(self._logs, member.id):
                kept = keep(shard)
                log = LogEvidence(shard.node, shard.origin, (), shard.checkpoints)
                found.append(Gathered(log, next(iter(first(kept)), b""), kept))
        except NodeError as error:
            absent.append(Absence(member.id, "log", describe(error).rule))
        return found

    def _evidence(self, chain: ChainFacts, absent: list[Absence], **parts: Any) -> Evidence:
        held = {"logs": (), **parts}
        return Evidence(self._clock(), chain, absent=tuple(dict.fromkeys(absent)), **held)

    def _anchored(self, read: Sequence[Gathered[Any]], absent: list[Absence]) -> tuple[ChainFacts, list[LogEvidence]]:
        """Return what chain this is and the logs with their anchors; without either when the chain is away."""
        try:
            return self._chain_facts(), [replace(one.log, anchors=self._anchors(one)) for one in read]
        except ChainUnavailable as error:
            absent.append(Absence("chain", "chain", describe(error).rule))
            return {}, [one.log for one in read]

    def _anchors(self, one: Gathered[Any]) -> tuple[Anchor, ...]:
        size = parse_checkpoint(one.log.checkpoints[-1]).size
        named = anchored_as(one.log.node, one.log.origin, one.first)
        return tuple(anchor for anchor in self._chain().anchors(named) if anchor.size <= size)

    def _chain_facts(self) -> ChainFacts:
        chain = self._chain()
        contract = self._contract.contract if self._contract else ""
        return {"chain_id": chain.chain_id(), "contract": contract, "operator": chain.operator()}


def about(told: Sequence[WitnessEvidence], logs: Sequence[LogEvidence]) -> tuple[WitnessEvidence, ...]:
    """Return what witnesses said of these logs; what cannot be read is kept, for the verifier to refuse."""
    return tuple(one for one in told if any(is_about(one, log.node, log.origin) for log in logs))


def cut_of(shard: YearLog, query: EventQuery) -> Cut:
    """Return what a log holds on a question; its other entries are hashed and let go."""
    cut = Cut(query)
    for entry in shard.entries:
        cut.take(entry)
    return cut


def found_in(shard: YearLog, query: EventQuery) -> Iterator[Found]:
    """Yield the events of one log that match, each with its place, at most as many as asked; then read no further."""
    found = 0
    for index, entry in enumerate(shard.entries):
        event = parse(entry)
        if matches(query, event):
            yield {"log": shard.node, "index": index, "event": document(event)}
            found += 1
        if found == query.limit:
            return


def narrowed(evidence: Evidence, query: EventQuery) -> Evidence:
    """Return the evidence with nothing but what the logs hold on a question, proven. Mirrors stay behind."""
    parts = tuple(answers(evidence.logs, query, evidence.witnesses))
    held = {part.origin for part in parts}
    told = (replace(one, mirror=()) for one in evidence.witnesses if origin_in(one.checkpoint) in {*held, ""})
    return replace(evidence, logs=(), witnesses=tuple(told), extracts=parts, question=question(query))
