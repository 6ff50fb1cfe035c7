"""The trust file: whose signatures an auditor believes, and how many witnesses must agree. Brought by the auditor.

{"policy": {"witnesses": 2, "clock_tolerance_s": 120},
 "logs": [{"node": "hospital-a", "origin": "hdex/hospital-a/2026", "log_key": "<hex>"}],
 "witnesses": [{"name": "hospital-b", "key": "<hex>"}],
 "chain": {"chain_id": 31337, "contract": "0x...", "operator": "1 operator: demonstration"}}
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hdex.ledger.document import load
from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.note import SignatureType, Verifier

ChainFacts = dict[str, str | int]
_KNOWN = {"policy", "logs", "witnesses", "chain"}
_CHAIN_KEYS = {"chain_id", "contract", "operator"}


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log, who keeps it and under which key it signs."""

    node: str
    verifier: Verifier

    @property
    def origin(self) -> str:
        """The log's origin is the name of its key."""
        return self.verifier.name


@dataclass(frozen=True, slots=True)
class Trust:
    """What an auditor believes before reading any evidence."""

    logs: tuple[TrustedLog, ...]
    witnesses: tuple[Verifier, ...]
    min_witnesses: int  # so many must have cosigned the newest checkpoint of each log
    chain: ChainFacts
    clock_tolerance: timedelta = timedelta(seconds=120)

    def __post_init__(self) -> None:
        if not 0 <= self.min_witnesses <= len(self.witnesses):
            raise EvidenceUnreadable(f"{self.min_witnesses} witnesses are asked for, {len(self.witnesses)} are named")
        for names in ([log.origin for log in self.logs], [witness.name for witness in self.witnesses]):
            if len(set(names)) != len(names):
                raise EvidenceUnreadable("the trust file names a log or a witness twice")

    def log(self, origin: str) -> TrustedLog | None:
        """Return the log of an origin, None when it is not trusted."""
        return next((log for log in self.logs if log.origin == origin), None)

    def witnesses_of(self, log: TrustedLog) -> tuple[Verifier, ...]:
        """Return who may vouch for a log: everybody but its own keeper."""
        return tuple(witness for witness in self.witnesses if witness.name != log.node)


def read_trust(path: Path) -> Trust:
    """Return the trust file's content. Raises EvidenceUnreadable."""
    try:
        found = load(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvidenceUnreadable("the trust file cannot be read as JSON") from error
    return trust_from_document(found)


def trust_from_document(found: object) -> Trust:
    """Return the trust of a parsed JSON document; unknown keys are errors. Raises EvidenceUnreadable."""
    try:
        if not isinstance(found, dict) or found.keys() - _KNOWN:
            raise EvidenceUnreadable("the trust file is not an object of policy, logs, witnesses and chain")
        policy, chain = found["policy"], found.get("chain", {})
        if policy.keys() - {"witnesses", "clock_tolerance_s"} or chain.keys() - _CHAIN_KEYS:
            raise EvidenceUnreadable("the trust file has an unknown key in policy or chain")
        return Trust(
            tuple(_log(log) for log in found["logs"]),
            tuple(_witness(witness) for witness in found["witnesses"]),
            int(policy["witnesses"]),
            dict(chain),
            timedelta(seconds=float(policy.get("clock_tolerance_s", 120))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, NoteInvalid) as error:
        raise EvidenceUnreadable("the trust file lacks a field, or one is malformed") from error


def _log(found: dict[str, str]) -> TrustedLog:
    return TrustedLog(str(found["node"]), Verifier(found["origin"], bytes.fromhex(found["log_key"])))


def _witness(found: dict[str, str]) -> Verifier:
    return Verifier(found["name"], bytes.fromhex(found["key"]), SignatureType.COSIGNATURE_V1)
