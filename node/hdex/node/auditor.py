"""An auditor's verbs: ask the witnesses, read the logs, read the chain, and put it all into one file."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.ledger.accesses import matching
from hdex.ledger.bundle import Absence, Evidence, LogEvidence, WitnessEvidence, write_evidence
from hdex.ledger.bundle_extract import answer, question
from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.event import document, parse
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, Chain, EventQuery
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
        origins = {member.id: self._origin(member) for member in kept}
        pairs = [(witness.id, member.id) for member in kept for witness in kept if witness.id != member.id]
        witnesses = [
            found for witness, node in pairs
            for found in self._witnessed(witness, node, origins[node], absent)
        ]  # fmt: skip
        read = [log for member in kept for log in self._log(member, origins[member.id], absent)]
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
        logs = [log for member in self._keepers() for log in self._log(member, self._origin(member), absent)]
        if not logs:
            raise PeerUnavailable("none of the logs could be read")
        return Evidence(self._clock(), {}, tuple(logs), absent=tuple(absent))

    def read_log(self, node: str) -> LogEvidence:
        """Return one log with the anchors that the chain holds of it. Raises PeerUnavailable, ChainUnavailable."""
        member = self._directory.member(node)
        checkpoints, entries = self._logs.read(node)
        if not checkpoints:
            raise PeerUnavailable(f"{node} gave no checkpoint of its log")
        return LogEvidence(
            node, self._origin(member), tuple(entries), tuple(checkpoints), tuple(self._chain().anchors(node))
        )

    def trust(self, witnesses: int) -> dict[str, Any]:
        """Return the trust document of this consortium: whose signatures count, and how many must agree."""
        kept, year = self._keepers(), self._clock().year
        return {
            "policy": {"witnesses": witnesses},
            "logs": [
                {"node": member.id, "origin": f"hdex/{member.id}/{year}", "log_key": member.log_key.hex()}
                for member in kept
            ],
            "witnesses": [{"name": member.id, "key": member.witness_key.hex()} for member in kept],
            "chain": self._chain_facts(),
        }

    def _keepers(self) -> list[Member]:
        return [member for member in self._directory.members if member.log_key and member.endpoint]

    def _origin(self, member: Member) -> str:
        return f"hdex/{member.id}/{self._clock().year}"

    def _witnessed(self, witness: str, node: str, origin: str, absent: list[Absence]) -> list[WitnessEvidence]:
        if any(one.participant == witness for one in absent):  # asked once: who is away is away for every log
            return []
        try:
            checkpoint, mirror = self._logs.mirror(witness, origin)
        except NodeError as error:
            absent.append(Absence(witness, "witness", describe(error).rule))
            return []
        return [WitnessEvidence(witness, node, checkpoint, tuple(mirror))] if checkpoint else []

    def _log(self, member: Member, origin: str, absent: list[Absence]) -> list[LogEvidence]:
        try:
            checkpoints, entries = self._logs.read(member.id)
            if not checkpoints:
                raise PeerUnavailable(f"{member.id} gave no checkpoint of its log")
        except NodeError as error:
            absent.append(Absence(member.id, "log", describe(error).rule))
            return []
        return [LogEvidence(member.id, origin, tuple(entries), tuple(checkpoints))]

    def _anchored(self, logs: list[LogEvidence], absent: list[Absence]) -> tuple[ChainFacts, list[LogEvidence]]:
        """Return what chain this is and the logs with their anchors; without either when the chain is away."""
        try:
            return self._chain_facts(), [replace(log, anchors=self._anchors(log)) for log in logs]
        except ChainUnavailable as error:
            absent.append(Absence("chain", "chain", describe(error).rule))
            return {}, logs

    def _anchors(self, log: LogEvidence) -> tuple[Anchor, ...]:
        size = parse_checkpoint(log.checkpoints[-1]).size
        return tuple(anchor for anchor in self._chain().anchors(log.node) if anchor.size <= size)

    def _chain_facts(self) -> ChainFacts:
        chain = self._chain()
        contract = self._contract.contract if self._contract else ""
        return {"chain_id": chain.chain_id(), "contract": contract, "operator": chain.operator()}


def found_in(log: LogEvidence, query: EventQuery) -> list[Found]:
    """Return the events of one log that match, each with its place."""
    events = [parse(entry) for entry in log.entries]
    return [{"log": log.node, "index": index, "event": document(events[index])} for index in matching(events, query)]


def narrowed(evidence: Evidence, query: EventQuery) -> Evidence:
    """Return the evidence with nothing but what the logs hold on a question, proven. Mirrors stay behind."""
    extracts = tuple(answer(log, query, evidence.witnesses) for log in evidence.logs)
    told = tuple(replace(one, mirror=()) for one in evidence.witnesses)
    return replace(evidence, logs=(), witnesses=told, extracts=extracts, question=question(query))
