"""One negotiation as a participant keeps it: its state in Dataspace Protocol words and the signed papers."""

from dataclasses import dataclass, replace
from typing import Any

from hdex.node.documents import Document
from hdex.node.signed import Envelope


@dataclass(frozen=True, slots=True)
class ContractRecord:
    """The record of one contract id. `rule` and `next_step` say why it is where it is."""

    contract_id: str
    state: str
    request: Envelope
    rule: str = ""
    next_step: str = ""
    agreement: Envelope | None = None
    grant_id: str = ""
    revoked: bool = False

    def moved(self, state: str, **changes: Any) -> "ContractRecord":
        """Return the record in another state."""
        return replace(self, state=state, **changes)

    def to_document(self) -> Document:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_document(cls, document: Document) -> "ContractRecord":
        return cls(**document)

    @property
    def asked(self) -> dict[str, Any]:
        """The request's document. Whoever stored the record had verified its signature."""
        asked: dict[str, Any] = self.request["document"]
        return asked
