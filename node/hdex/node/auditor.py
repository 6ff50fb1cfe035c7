"""An auditor's verbs: ask the witnesses, read the logs, read the chain, and put it all into one file."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.ledger.bundle import Evidence, LogEvidence, WitnessEvidence, write_evidence
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Chain
from hdex.node.config import ChainPeer
from hdex.node.directory import Directory, Member
from hdex.node.errors import PeerUnavailable


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

    def export(self, path: Path) -> Evidence:
        """Write the evidence file: witnesses first, so that no log can be shorter than what they saw."""
        kept = self._keepers()
        origins = {member.id: f"hdex/{member.id}/{self._clock().year}" for member in kept}
        witnesses = tuple(
            found for member in kept for witness in kept if witness.id != member.id
            for found in self._witnessed(witness.id, member.id, origins[member.id])
        )  # fmt: skip
        logs = tuple(self._log(member, origins[member.id]) for member in kept)
        evidence = Evidence(self._clock(), self._chain_facts(), logs, witnesses)
        write_evidence(path, evidence)
        return evidence

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

    def _witnessed(self, witness: str, node: str, origin: str) -> list[WitnessEvidence]:
        checkpoint, mirror = self._logs.mirror(witness, origin)
        return [WitnessEvidence(witness, node, checkpoint, tuple(mirror))] if checkpoint else []

    def _log(self, member: Member, origin: str) -> LogEvidence:
        checkpoints, entries = self._logs.read(member.id)
        if not checkpoints:
            raise PeerUnavailable(f"{member.id} gave no checkpoint of its log")
        size = parse_checkpoint(checkpoints[-1]).size
        anchors = tuple(anchor for anchor in self._chain().anchors(member.id) if anchor.size <= size)
        return LogEvidence(member.id, origin, tuple(entries), tuple(checkpoints), anchors)

    def _chain_facts(self) -> dict[str, str | int]:
        chain = self._chain()
        contract = self._contract.contract if self._contract else ""
        return {"chain_id": chain.chain_id(), "contract": contract, "operator": chain.operator()}
