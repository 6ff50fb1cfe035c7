"""What an audit says, as one document for people and programs: subject, state of every log, verdict. Pure, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hdex.ledger.bundle import Evidence, LogEvidence, LogExtract
from hdex.ledger.errors import NoteInvalid
from hdex.ledger.event import format_time
from hdex.ledger.ports import Anchor
from hdex.ledger.testimony import authenticate, cosigned_at
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import AuditReport

FORMAT = "hdex-audit-report/1"
ANCHOR_WARN, ANCHOR_ALARM = timedelta(minutes=15), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LogState:
    """Where one log stands: how much of it is signed, who vouches for that, how far the chain knows it."""

    node: str
    origin: str
    entries: int  # in hand
    size: int = 0  # of the newest checkpoint that the log's key signed
    cosigners: tuple[str, ...] = ()  # trusted witnesses on that checkpoint
    cosigned: datetime | None = None  # when the last of them did
    anchored: Anchor | None = None  # the newest anchor
    is_extract: bool = False

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        anchor = self.anchored
        return {
            "node": self.node,
            "origin": self.origin,
            "entries": self.entries,
            "is_extract": self.is_extract,
            "checkpoint_size": self.size,
            "cosigners": list(self.cosigners),
            "cosigned": format_time(self.cosigned) if self.cosigned else None,
            "anchored_size": anchor.size if anchor else 0,
            "anchored": format_time(anchor.time) if anchor else None,
            "block": anchor.block if anchor else None,
        }


def states(evidence: Evidence, trust: Trust) -> list[LogState]:
    """Return the state of every log in the evidence that the trust file names, in the order of the trust file."""
    held: dict[str, LogEvidence | LogExtract] = {log.origin: log for log in evidence.logs}
    held |= {part.origin: part for part in evidence.extracts}
    return [state_of(held[log.origin], log, trust) for log in trust.among(held) if log.origin in held]


def state_of(log: LogEvidence | LogExtract, trusted: TrustedLog, trust: Trust) -> LogState:
    """Return where a log stands, by its authentic checkpoints only."""
    is_extract = isinstance(log, LogExtract)
    notes = (log.head,) if isinstance(log, LogExtract) else log.checkpoints
    size, cosigners = 0, dict[str, datetime]()
    for note in notes:
        found = _authentic(note, trusted, trust)
        if found is None or found[0] < size:
            continue
        cosigners = found[1] | (cosigners if found[0] == size else {})
        size = found[0]
    anchor = max(log.anchors, key=lambda one: (one.size, one.block), default=None)
    last = max(cosigners.values(), default=None)
    names = tuple(sorted(cosigners))
    return LogState(log.node, log.origin, len(log.entries), size, names, last, anchor, is_extract)


def _authentic(note: str, log: TrustedLog, trust: Trust) -> tuple[int, dict[str, datetime]] | None:
    """Return size and cosigners of a checkpoint of this log, None when it is none."""
    try:
        return authenticate(note, log, trust).size, cosigned_at(note, log, trust)
    except NoteInvalid:
        return None


def report_document(
    report: AuditReport, trust: Trust, *, made: datetime, subject: Mapping[str, Any], logs: Sequence[LogState] = ()
) -> dict[str, Any]:
    """Return the whole report. subject: what was audited, as its reader names it (file, digest, question ...)."""
    return {
        "format": FORMAT,
        "made": format_time(made),
        "subject": dict(subject),
        "trust": {
            "logs": [log.origin for log in trust.logs],
            "witnesses": [witness.name for witness in trust.witnesses],
            "witnesses_needed": trust.min_witnesses,
            "clock_tolerance_s": trust.clock_tolerance.total_seconds(),
            "chain": dict(trust.chain),
        },
        "logs": [state.document() for state in logs],
        **report.document(),
    }


def subject_of(evidence: Evidence) -> dict[str, Any]:
    """Return what the evidence says of itself."""
    return {
        "format": evidence.format,
        "exported": format_time(evidence.exported),
        "question": dict(evidence.question),
        "absent": [f"{one.participant} ({one.part}: {one.why})" for one in evidence.absent],
    }
