"""An auditor's verbs: ask the witnesses, read the logs, read the chain, and put it all into one file."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.ledger.accesses import matching
from hdex.ledger.bundle import Absence, Evidence, LogEvidence, WitnessEvidence, write_evidence
from hdex.ledger.bundle_extract import answer, question
from hdex.ledger.errors import ChainUnavailable, NoteInvalid
from hdex.ledger.event import document, parse
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, Chain, EventQuery
from hdex.ledger.shard import linked_head, origin_of, parse_origin
from hdex.ledger.trust import ChainFacts
from hdex.node.config import ChainPeer
from hdex.node.directory import Directory, Member
from hdex.node.errors import NodeError, PeerUnavailable, describe

Found = dict[str, Any]  # {"log", "index", "event"}


class Logs(Protocol):
    """Every participant's log and mirrors."""

    def read(self, node: str) -> tuple[list[str], list[bytes]]:
        """Return (cosigned checkpoints oldest first, entries below the newest)."""
        ...

    def mirror(self, witness: str, origin: str) -> tuple[str, list[bytes]]:
        """Return (what a witness last cosigned of a log, the leaf hashes it kept)."""
        ...


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
        evidence = self.collect() if query is None else narrowed(self.collect(), query)
        write_evidence(path, evidence)
        return evidence

    def collect(self) -> Evidence:
        """Return the evidence: witnesses first, so that no log can be shorter than what they saw.

        Who is away is named in it. Raises PeerUnavailable when no log at all could be read.
        """
        absent: list[Absence] = []
        kept = self._keepers()
        pairs = [(witness.id, member.id) for member in kept for witness in kept if witness.id != member.id]
        told = [found for witness, node in pairs for found in self._witnessed(witness, node, absent)]
        read = [log for member in kept for log in self._log(member, absent)]
        witnesses = [one for one in told if any(is_about(one, log) for log in read)]
        if not read:
            raise PeerUnavailable(f"none of the {len(kept)} logs could be read")
        chain, logs = self._anchored(read, absent)
        return Evidence(self._clock(), chain, tuple(logs), tuple(witnesses), absent=tuple(dict.fromkeys(absent)))

    def search(self, query: EventQuery | None, *, limit: int) -> tuple[list[Found], list[Absence]]:
        """Return what the logs hold on a question, at most `limit` of each, in the order of time, and who was away."""
        asked = replace(query or EventQuery(), limit=limit)
        evidence = self.collect_logs()
        found = [one for log in evidence.logs for one in found_in(log, asked)]
        return sorted(found, key=lambda one: str(one["event"]["time"])), list(evidence.absent)

    def collect_logs(self) -> Evidence:
        """Return the logs alone: no witness and no chain is asked. Raises PeerUnavailable when none could be read."""
        absent: list[Absence] = []
        logs = [log for member in self._keepers() for log in self._log(member, absent)]
        if not logs:
            raise PeerUnavailable("none of the logs could be read")
        return Evidence(self._clock(), {}, tuple(logs), absent=tuple(absent))

    def read_log(self, node: str) -> LogEvidence:
        """Return one log with the anchors that the chain holds of it. Raises PeerUnavailable, ChainUnavailable."""
        found = self._read(self._directory.member(node))
        return replace(found, anchors=tuple(self._chain().anchors(anchored_as(found))))

    def trust(self, witnesses: int) -> dict[str, Any]:
        """Return the trust document of this consortium: whose signatures count, and how many must agree."""
        kept, year = self._keepers(), self._clock().year
        return {
            "policy": {"witnesses": witnesses},
            "logs": [
                {"node": member.id, "origin": origin_of(member.id, year), "log_key": member.log_key.hex()}
                for member in kept
            ],
            "witnesses": [{"name": member.id, "key": member.witness_key.hex()} for member in kept],
            "chain": self._chain_facts(),
        }

    def _keepers(self) -> list[Member]:
        return [member for member in self._directory.members if member.log_key and member.endpoint]

    def _witnessed(self, witness: str, node: str, absent: list[Absence]) -> list[WitnessEvidence]:
        """Return what a witness cosigned of a log's shard of this year, or of the last where this has not begun."""
        if any(one.participant == witness for one in absent):  # asked once: who is away is away for every log
            return []
        try:
            for year in (self._clock().year, self._clock().year - 1):
                checkpoint, mirror = self._logs.mirror(witness, origin_of(node, year))
                if checkpoint:
                    return [WitnessEvidence(witness, node, checkpoint, tuple(mirror))]
        except NodeError as error:
            absent.append(Absence(witness, "witness", describe(error).rule))
        return []

    def _log(self, member: Member, absent: list[Absence]) -> list[LogEvidence]:
        try:
            return [self._read(member)]
        except NodeError as error:
            absent.append(Absence(member.id, "log", describe(error).rule))
            return []

    def _read(self, member: Member) -> LogEvidence:
        """Return the shard that a participant writes now: its checkpoint says which. Raises PeerUnavailable."""
        checkpoints, entries = self._logs.read(member.id)
        try:
            origin = parse_checkpoint(checkpoints[-1]).origin
            node, _ = parse_origin(origin)
        except (IndexError, NoteInvalid) as error:
            raise PeerUnavailable(f"{member.id} gave no checkpoint of its log") from error
        if node != member.id:
            raise PeerUnavailable(f"{member.id} gave the checkpoint of another log")
        own = tuple(note for note in checkpoints if origin_in(note) == origin)
        return LogEvidence(member.id, origin, tuple(entries), own)

    def _anchored(self, logs: list[LogEvidence], absent: list[Absence]) -> tuple[ChainFacts, list[LogEvidence]]:
        """Return what chain this is and the logs with their anchors; without either when the chain is away."""
        try:
            return self._chain_facts(), [replace(log, anchors=self._anchors(log)) for log in logs]
        except ChainUnavailable as error:
            absent.append(Absence("chain", "chain", describe(error).rule))
            return {}, logs

    def _anchors(self, log: LogEvidence) -> tuple[Anchor, ...]:
        size = parse_checkpoint(log.checkpoints[-1]).size
        return tuple(anchor for anchor in self._chain().anchors(anchored_as(log)) if anchor.size <= size)

    def _chain_facts(self) -> ChainFacts:
        chain = self._chain()
        contract = self._contract.contract if self._contract else ""
        return {"chain_id": chain.chain_id(), "contract": contract, "operator": chain.operator()}


def origin_in(note: str) -> str:
    """Return the origin a checkpoint names, nothing where it cannot be read."""
    try:
        return parse_checkpoint(note).origin
    except NoteInvalid:
        return ""


def is_about(told: WitnessEvidence, log: LogEvidence) -> bool:
    """Return whether a witness speaks of this shard; one that cannot be read is kept, for the verifier to refuse."""
    return told.node == log.node and origin_in(told.checkpoint) in {log.origin, ""}


def anchored_as(log: LogEvidence) -> str:
    """Return the name under which a shard is anchored: the first has its node's own, a later one that of its year."""
    is_later = bool(log.entries) and linked_head(log.entries[0]) is not None
    return f"{log.node}/{parse_origin(log.origin)[1]}" if is_later else log.node


def found_in(log: LogEvidence, query: EventQuery) -> list[Found]:
    """Return the events of one log that match, each with its place."""
    events = [parse(entry) for entry in log.entries]
    return [{"log": log.node, "index": index, "event": document(events[index])} for index in matching(events, query)]


def narrowed(evidence: Evidence, query: EventQuery) -> Evidence:
    """Return the evidence with nothing but what the logs hold on a question, proven. Mirrors stay behind."""
    extracts = tuple(answer(log, query, evidence.witnesses) for log in evidence.logs)
    told = tuple(replace(one, mirror=()) for one in evidence.witnesses)
    return replace(evidence, logs=(), witnesses=told, extracts=extracts, question=question(query))
