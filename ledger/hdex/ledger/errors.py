"""What can be wrong with a ledger, by whose fault it is.

LedgerError
├── EventInvalid            the caller's event has a wrong field
├── ProofInvalid            a proof does not show what it claims (also a ValueError)
├── NoteInvalid             a note is malformed, or no trusted key signed it
├── LogFailed               our writer failed: everything is refused until the log is reopened
├── LogConflict             another writer appended to our log
├── StoreCorrupt            what is stored is not what was signed
├── TileUnknown             no tile of this name, or not yet (404)
├── DetailErased            who stands behind an event is erased, or not kept here
├── ErasureRefused          a detail must stay: its term or a legal hold; `rule` and `next_step` say which and when
├── RetentionInvalid        the file of retention terms cannot be used
├── IndexFailed             the search index cannot be used: derived data, build it again
├── WitnessRefused          a witness does not cosign (each leaf carries its HTTP status)
│   ├── OriginUnknown       404
│   ├── KeyUnknown          403
│   ├── OldSizeWrong        409, carries the size the witness stands at
│   ├── MirrorInvalid       422
│   └── CheckpointConflict  409, a split view: carries both notes
├── ChainUnavailable        the chain does not answer
├── ChainWrong              it answers, but is not our chain or not our contract
├── ChainRefused            the contract refuses this caller or this fact; `rule` is its error's name
├── AnchorAlarm             the chain holds another root for a size we signed
└── EvidenceUnreadable      an evidence file or trust file cannot be read

A message says what was found and what was asked, never a value from a record.
"""

from typing import ClassVar


class LedgerError(Exception):
    """Base of everything this room raises."""


class EventInvalid(LedgerError):
    """An event has a missing, unknown or malformed field."""


class ProofInvalid(LedgerError, ValueError):
    """An inclusion or consistency proof does not lead to the root."""

    status: ClassVar[int] = 422


class NoteInvalid(LedgerError):
    """A signed note is malformed or carries no valid signature of a trusted key."""

    status: ClassVar[int] = 400


class LogFailed(LedgerError):
    """The log's writer failed once: nothing is accepted until the log is reopened and verified."""


class LogConflict(LedgerError):
    """The store holds more entries than this log wrote: two writers share one log."""


class StoreCorrupt(LedgerError):
    """Stored entries do not hash to the checkpoint that was signed over them."""


class IndexFailed(LedgerError):
    """The search index is damaged, behind or cannot be written; the log is whole and the index is built again."""


class TileUnknown(LedgerError):
    """A path names no tile, or one that the log does not hold yet."""

    status: ClassVar[int] = 404


class DetailErased(LedgerError):
    """The key of an event's detail was destroyed, or the detail was never kept here."""


class ErasureRefused(LedgerError):
    """Details may not be erased now, or not in this way."""

    def __init__(self, message: str, *, rule: str, next_step: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.next_step = next_step


class RetentionInvalid(LedgerError):
    """The file of retention terms lacks a class or a term."""


class WitnessRefused(LedgerError):
    """A witness does not cosign; `status` is the code of C2SP tlog-witness."""

    status: ClassVar[int] = 400


class OriginUnknown(WitnessRefused):
    """The witness does not watch a log of this origin."""

    status: ClassVar[int] = 404


class KeyUnknown(WitnessRefused):
    """No signature on the checkpoint is from the key the witness trusts for this origin."""

    status: ClassVar[int] = 403


class OldSizeWrong(WitnessRefused):
    """The old size is not the size the witness last cosigned, which is `size`."""

    status: ClassVar[int] = 409

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


class MirrorInvalid(WitnessRefused):
    """The leaf hashes handed over do not lead to the checkpoint's root."""

    status: ClassVar[int] = 422


class CheckpointConflict(WitnessRefused):
    """One log signed two roots for one size; both notes together prove it to anyone."""

    status: ClassVar[int] = 409

    def __init__(self, message: str, *, known: str, submitted: str, size: int) -> None:
        super().__init__(message)
        self.known = known
        self.submitted = submitted
        self.size = size  # where the witness stands


class ChainUnavailable(LedgerError):
    """The chain does not answer, or not in time: anchoring waits, data rules stay."""


class ChainWrong(LedgerError):
    """The chain answers with another chain id, bytecode or meaning than the configured one."""


class ChainRefused(LedgerError):
    """The contract refuses: not this caller, or not beside what it already holds."""

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class AnchorAlarm(LedgerError):
    """The chain holds another root for a size that this log signed."""


class EvidenceUnreadable(LedgerError):
    """An evidence or trust file is missing, damaged or of an unknown format."""
