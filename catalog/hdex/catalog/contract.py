"""Contracts in the words of the Dataspace Protocol 2025-1: negotiation and transfer as pure state machines.

What a message may do is one table; everything not in it is refused with the state found and the messages allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import cast

from hdex.catalog.documents import Json, Scalar, digest, from_document, to_document
from hdex.catalog.errors import AgreementInvalid, OutsideAgreement, TransitionForbidden
from hdex.catalog.price import Price
from hdex.catalog.product import DeliveryMode
from hdex.catalog.quota import Quota


class Party(StrEnum):
    """Who sends a message."""

    CONSUMER = "consumer"
    PROVIDER = "provider"


class State(StrEnum):
    """ContractNegotiation states."""

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"


class Message(StrEnum):
    """Negotiation messages; events carry their eventType."""

    REQUEST = "ContractRequestMessage"
    OFFER = "ContractOfferMessage"
    ACCEPT = "ContractNegotiationEventMessage:ACCEPTED"
    AGREEMENT = "ContractAgreementMessage"
    VERIFICATION = "ContractAgreementVerificationMessage"
    FINALIZE = "ContractNegotiationEventMessage:FINALIZED"
    TERMINATION = "ContractNegotiationTerminationMessage"


class TransferState(StrEnum):
    """TransferProcess states."""

    REQUESTED = "REQUESTED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class TransferMessage(StrEnum):
    """Transfer messages."""

    REQUEST = "TransferRequestMessage"
    START = "TransferStartMessage"
    SUSPENSION = "TransferSuspensionMessage"
    COMPLETION = "TransferCompletionMessage"
    TERMINATION = "TransferTerminationMessage"


_C, _P = Party.CONSUMER, Party.PROVIDER
_LIVE = (State.REQUESTED, State.OFFERED, State.ACCEPTED, State.AGREED, State.VERIFIED)
_LIVE_TRANSFER = (TransferState.REQUESTED, TransferState.STARTED, TransferState.SUSPENDED)

NEGOTIATION: Mapping[tuple[State | None, Party, Message], State] = {
    (None, _C, Message.REQUEST): State.REQUESTED,
    (None, _P, Message.OFFER): State.OFFERED,
    (State.REQUESTED, _P, Message.OFFER): State.OFFERED,
    (State.REQUESTED, _P, Message.AGREEMENT): State.AGREED,
    (State.OFFERED, _C, Message.REQUEST): State.REQUESTED,
    (State.OFFERED, _C, Message.ACCEPT): State.ACCEPTED,
    (State.ACCEPTED, _P, Message.AGREEMENT): State.AGREED,
    (State.AGREED, _C, Message.VERIFICATION): State.VERIFIED,
    (State.VERIFIED, _P, Message.FINALIZE): State.FINALIZED,
    **{(state, party, Message.TERMINATION): State.TERMINATED for state in _LIVE for party in Party},
}

TRANSFER: Mapping[tuple[TransferState | None, Party, TransferMessage], TransferState] = {
    (None, _C, TransferMessage.REQUEST): TransferState.REQUESTED,
    (TransferState.REQUESTED, _P, TransferMessage.START): TransferState.STARTED,
    **{
        key: target
        for party in Party
        for key, target in {
            (TransferState.SUSPENDED, party, TransferMessage.START): TransferState.STARTED,
            (TransferState.STARTED, party, TransferMessage.SUSPENSION): TransferState.SUSPENDED,
            (TransferState.STARTED, party, TransferMessage.COMPLETION): TransferState.COMPLETED,
        }.items()
    },
    **{(s, p, TransferMessage.TERMINATION): TransferState.TERMINATED for s in _LIVE_TRANSFER for p in Party},
}


def step(state: State | None, party: Party, message: Message) -> State:
    """Return the state after `message` from `party`; None is before the first message. Raise TransitionForbidden."""
    target = NEGOTIATION.get((state, party, message))
    if target is None:
        allowed = tuple(sorted(f"{p}: {m.value}" for (s, p, m) in NEGOTIATION if s == state))
        fits = [s.value for (s, p, m) in NEGOTIATION if s is not None and (p, m) == (party, message)]
        raise _forbidden(message, party, state, allowed, fits)
    return target


def step_transfer(state: TransferState | None, party: Party, message: TransferMessage) -> TransferState:
    """Return the transfer's state after `message` from `party`. Raise TransitionForbidden."""
    target = TRANSFER.get((state, party, message))
    if target is None:
        allowed = tuple(sorted(f"{p}: {m.value}" for (s, p, m) in TRANSFER if s == state))
        fits = [s.value for (s, p, m) in TRANSFER if s is not None and (p, m) == (party, message)]
        raise _forbidden(message, party, state, allowed, fits)
    return target


def _forbidden(
    message: StrEnum, party: Party, state: StrEnum | None, allowed: tuple[str, ...], fits: list[str]
) -> TransitionForbidden:
    found = state.value if state else "no process"
    says = f"{message.value} from the {party.value} does not fit {found}"
    says += f", it fits {', '.join(fits) or 'no state'}; allowed now: {', '.join(allowed) or 'nothing'}"
    return TransitionForbidden(says, found=found, allowed=allowed)


@dataclass(frozen=True, slots=True)
class Negotiation:
    """One negotiation and the states it went through."""

    consumer_pid: str
    provider_pid: str
    history: tuple[State, ...] = ()

    @property
    def state(self) -> State | None:
        """Return the present state; None before the first message."""
        return self.history[-1] if self.history else None

    def step(self, party: Party, message: Message) -> "Negotiation":
        """Return the negotiation after `message`. Raise TransitionForbidden."""
        return replace(self, history=(*self.history, step(self.state, party, message)))


@dataclass(frozen=True, slots=True)
class ConsumerKeys:
    """The consumer's public keys, hex: who signs, and to whom deliveries are sealed."""

    sign_key: str
    hpke_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both sides sign: one product version for one purpose. `columns` empty means all; times are RFC 3339 UTC."""

    id: str
    request_id: str
    product: str
    version: str
    manifest_digest: str  # SHA-256 hex of the product document
    provider: str
    consumer: str
    consumer_keys: ConsumerKeys
    purpose: str
    delivery_modes: tuple[DeliveryMode, ...]
    expires: str
    issued: str
    price: Price
    columns: tuple[str, ...] = ()
    max_rounds: int = 0  # federated rounds; 0 means none
    max_deliveries: int = 1  # complete sealed deliveries
    clauses: Mapping[str, Scalar] = field(default_factory=dict)
    quota: Quota | None = None

    def __post_init__(self) -> None:
        if _instant(self.expires) <= _instant(self.issued):
            raise AgreementInvalid("the agreement ends before it begins")
        if len(self.manifest_digest) != 64:
            raise AgreementInvalid("manifest_digest is not SHA-256 hex")
        if not self.delivery_modes:
            raise AgreementInvalid("the agreement names no delivery mode")
        if DeliveryMode.FEDERATED in self.delivery_modes and self.max_rounds < 1:
            raise AgreementInvalid("federated use without rounds")
        if self.max_rounds < 0 or self.max_deliveries < 0:
            raise AgreementInvalid("a count is below 0")

    def document(self) -> Json:
        """Return the JSON document that both sides sign."""
        return cast(Json, to_document(self))

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> "Agreement":
        """Return the agreement. Raise DocumentInvalid or AgreementInvalid."""
        return from_document(cls, document)

    def require(self, mode: DeliveryMode, *, purpose: str, at: datetime) -> None:
        """Raise OutsideAgreement unless the agreement covers this mode and purpose at this time."""
        if at >= _instant(self.expires):
            raise OutsideAgreement(f"the agreement ended at {self.expires}", rule="agreement.expired")
        if mode not in self.delivery_modes:
            agreed = ", ".join(self.delivery_modes)
            raise OutsideAgreement(f"{mode.value} is asked, agreed is {agreed}", rule="agreement.mode")
        if purpose != self.purpose:
            raise OutsideAgreement("another purpose is asked than was agreed", rule="agreement.purpose")

    def require_columns(self, asked: tuple[str, ...]) -> None:
        """Raise OutsideAgreement unless every column asked is agreed."""
        if self.columns and (beyond := set(asked) - set(self.columns)):
            raise OutsideAgreement(f"{len(beyond)} column(s) asked are not agreed", rule="agreement.columns")


def agreement_digest(document: Mapping[str, object]) -> str:
    """Return the SHA-256 of the agreement's canonical bytes, lower-case hex: what both sides sign."""
    return digest(document)


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise AgreementInvalid("a time is not RFC 3339") from error
    if moment.tzinfo is None:
        raise AgreementInvalid("a time has no zone")
    return moment
