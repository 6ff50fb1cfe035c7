"""One negotiation or transfer as one side keeps it, and what it is called between the two sides."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from hdex.catalog.contract import Message, Party, State, TransferMessage, TransferState, step, step_transfer

Document = dict[str, Any]  # JSON values
AnyMessage = Message | TransferMessage
ENDS = frozenset({State.FINALIZED.value, State.TERMINATED.value, TransferState.COMPLETED.value})


class Kind(StrEnum):
    """What a process is about."""

    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process. `state` is empty from a consumer's first request until the provider has answered it."""

    kind: Kind
    role: Party  # ours
    pid: str  # ours; the other side writes it into its addresses
    peer: str  # participant id of the other side, as its certificate says
    peer_pid: str = ""  # the other side's; empty until it is known
    address: str = ""  # where messages to the other side go
    state: str = ""
    visits: Mapping[str, int] = field(default_factory=dict)  # state -> how often it was entered
    dataset: str = ""
    offer: Document = field(default_factory=dict)  # the last one made by either side
    agreement: Document | None = None
    agreement_id: str = ""
    format: str = ""
    data_address: Document | None = None
    request: Document | None = None  # the consumer's signed request, where its first message carried one
    paper: Document | None = None  # newest signed paper that a message carried
    reason: str = ""  # why it ended, in the words of whoever ended it
    version: int = 0  # counts changes: who saves an older one loses

    @property
    def provider_pid(self) -> str:
        """The provider's id of the process."""
        return self.pid if self.role is Party.PROVIDER else self.peer_pid

    @property
    def consumer_pid(self) -> str:
        """The consumer's id of the process."""
        return self.pid if self.role is Party.CONSUMER else self.peer_pid

    @property
    def other(self) -> Party:
        """The role of the other side."""
        return Party.CONSUMER if self.role is Party.PROVIDER else Party.PROVIDER

    @property
    def ended(self) -> bool:
        """Whether no message can move it any more."""
        return self.state in ENDS

    @property
    def about(self) -> str:
        """The id by which rules and reactions know it: the data set of a negotiation, the agreement of a transfer."""
        return self.dataset if self.kind is Kind.NEGOTIATION else self.agreement_id

    def after(self, party: Party, message: AnyMessage) -> "Process":
        """Return the process after a message of one side. Raises TransitionForbidden with state and messages found."""
        if isinstance(message, Message):
            return self.entered(step(State(self.state) if self.state else None, party, message))
        return self.entered(step_transfer(TransferState(self.state) if self.state else None, party, message))

    def entered(self, state: str) -> "Process":
        """Return the process in a state that it has entered once more."""
        word = str(state)
        visits = {**self.visits, word: self.visits.get(word, 0) + 1}
        return replace(self, state=word, visits=visits, version=self.version + 1)

    def with_(self, **changes: Any) -> "Process":
        """Return the process with other values, one version on."""
        return replace(self, version=self.version + 1, **changes)

    def to_document(self) -> Document:
        """Return the process as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_document(cls, document: Document) -> "Process":
        """Return the process that `to_document` wrote."""
        kind, role = Kind(document["kind"]), Party(document["role"])
        return cls(**{**document, "kind": kind, "role": role})
