"""What may come in: models of the protocol's messages, and the one function that turns bytes into plain values.

The protocol's schemas are open: members they do not name are read over and never kept. What they do name is checked,
and bounded. Signed papers come under an IRI of our own. Source: Dataspace Protocol 2025-1, JSON schemas.
"""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hdex.catalog.contract import Message, TransferMessage
from hdex.catalog.dsp import CONTEXT
from hdex.ledger.document import load
from hdex.node.dsp.process import AnyMessage, Document
from hdex.node.dsp.said import Said
from hdex.node.errors import RequestInvalid

MAX_BODY_BYTES = 256 * 1024
Pid = Annotated[str, Field(min_length=1, max_length=512)]
Text = Annotated[str, Field(max_length=2048)]
Address = Annotated[str, Field(min_length=1, max_length=2048)]
Timestamp = Annotated[
    str, Field(max_length=64, pattern=r"^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$")
]
# JSON-LD reads a list of one context and that context alone alike, and processors that compact write the latter.
Context = Annotated[
    list[Text], Field(max_length=16), BeforeValidator(lambda held: [held] if isinstance(held, str) else held)
]
Operator = Literal[
    "eq", "gt", "gteq", "lteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "lt", "term-lteq",
    "neq",
]  # fmt: skip


class Part(BaseModel):
    """Base of everything read."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, populate_by_name=False)


_Model = TypeVar("_Model", bound=Part)


class Constraint(Part):
    """One comparison, or several under one logical word."""

    left: Text | None = Field(None, alias="leftOperand")
    operator: Operator | None = None
    right: Text | dict[str, Any] | list[Any] | None = Field(None, alias="rightOperand")
    all_of: Annotated[list["Constraint"], Field(max_length=64)] | None = Field(None, alias="and")
    in_order: Annotated[list["Constraint"], Field(max_length=64)] | None = Field(None, alias="andSequence")
    any_of: Annotated[list["Constraint"], Field(max_length=64)] | None = Field(None, alias="or")
    one_of: Annotated[list["Constraint"], Field(max_length=64)] | None = Field(None, alias="xone")

    @model_validator(mode="after")
    def one_form(self) -> Self:
        """A constraint is either one comparison or one logical word."""
        logical = [one for one in (self.all_of, self.in_order, self.any_of, self.one_of) if one is not None]
        atomic = [one is not None for one in (self.left, self.operator, self.right)]
        if len(logical) + all(atomic) != 1 or (logical and any(atomic)):
            raise ValueError("a constraint is one comparison or one of and, andSequence, or, xone")
        return self


class Rule(Part):
    """A permission, prohibition or duty."""

    action: Text
    constraint: Annotated[list[Constraint], Field(max_length=64)] = []


class Policy(Part):
    """What an offer and an agreement share."""

    id: Pid = Field(alias="@id")
    permission: Annotated[list[Rule], Field(max_length=256)] = []
    prohibition: Annotated[list[Rule], Field(max_length=256)] = []
    obligation: Annotated[list[Rule], Field(max_length=256)] = []
    profile: Text | list[Text] | None = None
    target: Pid | None = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """A policy permits or prohibits something."""
        if not self.permission and not self.prohibition:
            raise ValueError("a policy has a permission or a prohibition")
        return self


class Offer(Policy):
    """An offer inside a message."""

    type: Literal["Offer"] = Field(alias="@type")


class TargetedOffer(Offer):
    """An offer that a provider makes names its data set."""

    target: Pid


class Agreement(Policy):
    """An agreement inside a message."""

    type: Literal["Agreement"] = Field(alias="@type")
    target: Pid
    assigner: Text
    assignee: Text
    timestamp: Timestamp | None = None


class EndpointProperty(Part):
    """One name and value of a data address."""

    type: Literal["EndpointProperty"] = Field(alias="@type")
    name: Text
    value: Annotated[str, Field(max_length=16384)]  # tokens


class DataAddress(Part):
    """Where the data of a transfer are."""

    type: Literal["DataAddress"] = Field(alias="@type")
    endpoint_type: Text = Field(alias="endpointType")
    endpoint: Text | None = None
    properties: Annotated[list[EndpointProperty], Field(min_length=1, max_length=64)] | None = Field(
        None, alias="endpointProperties"
    )


class Told(Part):
    """What every message has."""

    context: Context = Field(alias="@context")
    paper: dict[str, Any] | None = Field(None, alias="urn:hdex:paper")

    @model_validator(mode="after")
    def of_this_version(self) -> Self:
        """The protocol's context says which version is spoken."""
        if CONTEXT not in self.context:
            raise ValueError(f"@context must contain {CONTEXT}")
        return self

    def message(self) -> AnyMessage:
        """Return which message this is."""
        name = str(getattr(self, "type"))  # noqa: B009  # the subclasses' tag
        return Message(name) if name in set(Message) else TransferMessage(name)


class Between(Told):
    """A message inside a process that both sides know."""

    provider_pid: Pid = Field(alias="providerPid")
    consumer_pid: Pid = Field(alias="consumerPid")


class ContractRequest(Told):
    """A first request carries callbackAddress, a counter request providerPid, never both."""

    type: Literal["ContractRequestMessage"] = Field(alias="@type")
    consumer_pid: Pid = Field(alias="consumerPid")
    provider_pid: Pid | None = Field(None, alias="providerPid")
    callback: Address | None = Field(None, alias="callbackAddress")
    offer: Offer

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        """First and counter requests are told apart by what they carry."""
        if (self.provider_pid is None) == (self.callback is None):
            raise ValueError("a first request carries callbackAddress, a counter request providerPid, never both")
        if self.callback is not None and self.offer.target is None:
            raise ValueError("the offer of a first request names its data set as target")
        return self


class ContractOffer(Told):
    """A first offer carries callbackAddress, a later one consumerPid, never both."""

    type: Literal["ContractOfferMessage"] = Field(alias="@type")
    provider_pid: Pid = Field(alias="providerPid")
    consumer_pid: Pid | None = Field(None, alias="consumerPid")
    callback: Address | None = Field(None, alias="callbackAddress")
    offer: TargetedOffer

    @model_validator(mode="after")
    def one_of_both(self) -> Self:
        """First and later offers are told apart by what they carry."""
        if (self.consumer_pid is None) == (self.callback is None):
            raise ValueError("a first offer carries callbackAddress, a later one consumerPid, never both")
        return self


class ContractAgreement(Between):
    """The provider's agreement."""

    type: Literal["ContractAgreementMessage"] = Field(alias="@type")
    agreement: Agreement


class Verification(Between):
    """The consumer's verification."""

    type: Literal["ContractAgreementVerificationMessage"] = Field(alias="@type")


class NegotiationEvent(Between):
    """ACCEPTED from the consumer, FINALIZED from the provider."""

    type: Literal["ContractNegotiationEventMessage"] = Field(alias="@type")
    event: Literal["ACCEPTED", "FINALIZED"] = Field(alias="eventType")

    def message(self) -> AnyMessage:
        """Return which of the two events this is."""
        return Message(f"{self.type}:{self.event}")


class Ending(Between):
    """A termination or suspension, with the words of whoever sends it."""

    type: Literal[
        "ContractNegotiationTerminationMessage", "TransferTerminationMessage", "TransferSuspensionMessage"
    ] = Field(alias="@type")
    code: Text | None = None
    reason: Annotated[list[Any], Field(min_length=1, max_length=64)] | None = None


class TransferRequest(Told):
    """A consumer's request for data."""

    type: Literal["TransferRequestMessage"] = Field(alias="@type")
    consumer_pid: Pid = Field(alias="consumerPid")
    agreement_id: Pid = Field(alias="agreementId")
    format: Annotated[str, Field(min_length=1, max_length=256)]
    callback: Address = Field(alias="callbackAddress")
    data_address: DataAddress | None = Field(None, alias="dataAddress")


class TransferStart(Between):
    """The data flow, or flow again."""

    type: Literal["TransferStartMessage"] = Field(alias="@type")
    data_address: DataAddress | None = Field(None, alias="dataAddress")


class TransferCompletion(Between):
    """The data have flowed."""

    type: Literal["TransferCompletionMessage"] = Field(alias="@type")


class CatalogRequest(Part):
    """A request for the catalogue. Filters are of the implementations' making: we know none."""

    context: Context = Field(alias="@context")
    type: Literal["CatalogRequestMessage"] = Field(alias="@type")
    filter: list[Any] = []


MODELS: dict[str, type[Told]] = {
    "ContractRequestMessage": ContractRequest,
    "ContractOfferMessage": ContractOffer,
    "ContractAgreementMessage": ContractAgreement,
    "ContractAgreementVerificationMessage": Verification,
    "ContractNegotiationEventMessage": NegotiationEvent,
    "ContractNegotiationTerminationMessage": Ending,
    "TransferRequestMessage": TransferRequest,
    "TransferStartMessage": TransferStart,
    "TransferCompletionMessage": TransferCompletion,
    "TransferSuspensionMessage": Ending,
    "TransferTerminationMessage": Ending,
}


def read_message(raw: bytes, allowed: frozenset[str]) -> Said:
    """Return a message of one of the allowed types. Raises RequestInvalid, which names members and never values."""
    document = read_object(raw)
    kind = document.get("@type")
    if not isinstance(kind, str) or kind not in allowed:
        raise RequestInvalid(f"@type must be {' or '.join(sorted(allowed))} here")
    told = checked(MODELS[kind], document)
    return Said(
        message=told.message(),
        provider_pid=getattr(told, "provider_pid", None) or "",
        consumer_pid=getattr(told, "consumer_pid", None) or "",
        callback=(getattr(told, "callback", None) or "").rstrip("/"),  # peers write both forms; paths begin with one
        offer=kept(getattr(told, "offer", None)),
        agreement=kept(getattr(told, "agreement", None)),
        agreement_id=getattr(told, "agreement_id", ""),
        format=getattr(told, "format", ""),
        data_address=kept(getattr(told, "data_address", None)),
        reason=words(getattr(told, "reason", None)),
        paper=told.paper,
        digest=sha256(raw).hexdigest(),
    )


def read_catalog_request(raw: bytes) -> None:
    """Check a request for the catalogue. Raises RequestInvalid where it is none, or filters."""
    asked = checked(CatalogRequest, read_object(raw))
    if CONTEXT not in asked.context:
        raise RequestInvalid(f"@context must contain {CONTEXT}")
    if asked.filter:
        raise RequestInvalid("no filter is known here; leave it empty and read the pages")


def read_object(raw: bytes) -> Document:
    """Return the JSON object in a body. Raises RequestInvalid."""
    try:
        found = load(raw)
        json.dumps(found, allow_nan=False)  # not a number, nor beyond all numbers: no answer could repeat it
    except (ValueError, RecursionError) as error:
        raise RequestInvalid("the body is not JSON in UTF-8, or nested too deep") from error
    if not isinstance(found, dict):
        raise RequestInvalid("the body is no JSON object")
    return found


def checked(model: type[_Model], document: Document) -> _Model:
    """Return a document as a model. Raises RequestInvalid with the members that are wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'message'}: {one['msg']}" for one in found[:5])
        raise RequestInvalid(told) from None


def kept(part: Part | None) -> Document | None:
    """Return what we understood of a part, under the protocol's names."""
    return None if part is None else part.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)


def words(reasons: list[Any] | None) -> str:
    """Return the first words among reasons, cut: they are text, or objects with a message."""
    for one in reasons or []:
        text = one.get("message") if isinstance(one, dict) else one
        if isinstance(text, str):
            return text[:500]
    return ""
