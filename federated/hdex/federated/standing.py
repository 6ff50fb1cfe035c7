"""How a site stands towards a study before it is asked for sums: approved, waiting for its people, or a no."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from hdex.federated.errors import StudyInvalid

APPROVED, WAITING, DENIED = "approved", "waiting", "denied"
MISSING = "approval.missing"
_LONGEST = {"site": 128, "word": 8, "rule": 128, "detail": 400}


@dataclass(frozen=True, slots=True)
class Standing:
    """What one site says. Raises StudyInvalid for what no site says: it comes from another organisation."""

    site: str
    word: str  # APPROVED, WAITING or DENIED
    rule: str = ""  # of who waits or says no
    detail: str = ""

    def __post_init__(self) -> None:
        if self.word not in (APPROVED, WAITING, DENIED):
            raise StudyInvalid(f"a standing is {APPROVED}, {WAITING} or {DENIED}")
        if any(not isinstance(value, str) or len(value) > _LONGEST[name] for name, value in asdict(self).items()):
            raise StudyInvalid("a standing is made of four short texts")

    def document(self) -> dict[str, str]:
        """Return the JSON document."""
        return asdict(self)

    @classmethod
    def of(cls, site: str, word: str, rule: str = "", detail: str = "") -> "Standing":
        """Return a standing whose texts are cut to what may be said."""
        return cls(site, word, rule[: _LONGEST["rule"]], detail[: _LONGEST["detail"]])

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Standing":
        """Return the standing. Raises StudyInvalid on unknown or missing fields."""
        if not isinstance(document, Mapping) or set(document) != {field.name for field in fields(cls)}:
            raise StudyInvalid("a standing has site, word, rule and detail")
        return cls(**document)


@dataclass(frozen=True, slots=True)
class People:
    """How long a study waits for the people of its sites. A no ends it at once; who waits is told when that changes."""

    tell: Callable[[Sequence[Standing]], None]
    wait_s: float = 600.0
    look_s: float = 5.0  # between two looks


def words_of(waiting: Sequence[Standing]) -> str:
    """Return whose people a study waits for, as the buyer reads it; empty where nobody is awaited."""
    names = ", ".join(f"{one.site} ({one.rule})" for one in waiting)
    return f"the people of {names} have not decided yet" if names else ""
