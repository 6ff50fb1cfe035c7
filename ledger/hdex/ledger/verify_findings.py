"""What a verifier notes while it reads: what holds, what cannot be known, what does not hold."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hdex.ledger.trust import Trust

ALWAYS_UNCHECKED = (
    "the chain itself was not contacted: its anchors are as exported, its blocks were not verified",
    "clocks: times are those the participants wrote, compared with each other only",
    "entries written after the newest checkpoint in the file",
    "whether what the digests stand for is what was delivered: the ledger knows digests, not data",
    "the expiry of grants: it stands in the agreements and on the chain",
)


@dataclass(frozen=True, slots=True)
class Offence:
    """Something that does not hold. `index` is None where no single entry is at fault."""

    log: str
    index: int | None
    why: str
    contradicted_by: str | None = None

    def document(self) -> dict[str, str | int | None]:
        """Return the JSON form."""
        return {"log": self.log, "index": self.index, "why": self.why, "contradicted_by": self.contradicted_by}


@dataclass(slots=True)
class Findings:
    """Notes taken while reading. Owner: one verification."""

    checked: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=lambda: list(ALWAYS_UNCHECKED))
    offences: list[Offence] = field(default_factory=list)

    def settle(self, sentence: str, offences: Iterable[Offence]) -> None:
        """Say that something was checked and holds, or keep what does not."""
        found = list(offences)
        self.offences += found
        if not found:
            self.checked.append(sentence)


def asked_of(trust: Trust) -> str:
    """Return how many witnesses a trust file asks for, in words: a number, or its groups."""
    return f"{trust.min_witnesses} of its groups" if trust.quorum else str(trust.min_witnesses)
