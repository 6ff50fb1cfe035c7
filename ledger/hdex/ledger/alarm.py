"""What a monitor of logs has to say, and how loudly."""

from dataclasses import dataclass
from enum import StrEnum

from hdex.ledger.fraud import FraudProof


class Severity(StrEnum):
    """WARN: look at it. ALARM: somebody breaks the rules, or nobody could tell if somebody did."""

    WARN = "warn"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding about one participant's log. `why` says what was found and what was asked, never a record's value."""

    kind: str
    severity: Severity
    node: str
    why: str
    index: int | None = None  # of the entry at fault, where there is one
    fraud: FraudProof | None = None  # where it can be proven to anyone

    @property
    def key(self) -> str:
        """What makes two findings the same one, seen again."""
        return f"{self.kind} {self.severity} {self.node} {'' if self.index is None else self.index}"

    def document(self) -> dict[str, str | int | bool | None]:
        """Return the JSON form."""
        told = {"kind": self.kind, "severity": self.severity.value, "node": self.node, "index": self.index}
        return {**told, "why": self.why, "proven": self.fraud is not None}
