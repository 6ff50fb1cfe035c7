"""What can be remembered: one event, its canonical bytes, and commitments in place of identities. Pure, no I/O.

A leaf is the RFC 8785 form of an event. It carries codes, counts, digests and commitments, never a value of a record.
"""

import hmac
import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from operator import attrgetter
from typing import TypeVar, cast

import rfc8785

from hdex.ledger.document import load
from hdex.ledger.errors import EventInvalid

SCHEMA = 1
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_HEX32 = re.compile(r"[0-9a-f]{64}")
_LONGEST = 256
_LONGEST_NOTE = 4096
Scalar = str | int | float
Kind = TypeVar("Kind", bound=StrEnum)


class Action(StrEnum):
    """Everything that is remembered."""

    PRODUCT_READ = "product.read"
    QUERY_RUN = "query.run"
    EXPORT = "export"
    SHARE_READ = "share.read"
    KEY_RELEASE = "key.release"
    ROUND_JOIN = "round.join"
    ROUND_SUBMIT = "round.submit"
    AGGREGATE_DECRYPT = "aggregate.decrypt"
    CATALOGUE_PUBLISH = "catalogue.publish"
    CATALOGUE_WITHDRAW = "catalogue.withdraw"
    CATALOGUE_READ = "catalogue.read"
    SEARCH_SAVE = "search.save"
    SEARCH_READ = "search.read"
    SEARCH_REMOVE = "search.remove"
    SEARCH_NOTIFY = "search.notify"
    PRODUCT_REVIEW = "product.review"
    PRODUCT_ASSESS = "product.assess"
    PRODUCT_ANNOUNCE = "product.announce"
    PRODUCT_SUSPEND = "product.suspend"
    PRODUCT_RESUME = "product.resume"
    PRODUCT_EXPIRE = "product.expire"
    PRODUCT_SUPERSEDE = "product.supersede"
    VETTING_APPLY = "vetting.apply"
    VETTING_ENDORSE = "vetting.endorse"
    VETTING_APPROVE = "vetting.approve"
    VETTING_REFUSE = "vetting.refuse"
    VETTING_REVOKE = "vetting.revoke"
    VETTING_EXPIRE = "vetting.expire"
    VETTING_SUPERSEDE = "vetting.supersede"
    VETTING_READ = "vetting.read"
    ACCESS_SUBMIT = "access.submit"
    ACCESS_TAKE = "access.take"
    ACCESS_ENDORSE = "access.endorse"
    ACCESS_APPROVE = "access.approve"
    ACCESS_REFUSE = "access.refuse"
    ACCESS_RETURN = "access.return"
    ACCESS_WITHDRAW = "access.withdraw"
    ACCESS_LAPSE = "access.lapse"
    ACCESS_ESCALATE = "access.escalate"
    ACCESS_ERASE = "access.erase"
    ACCESS_MESSAGE = "access.message"
    ACCESS_READ = "access.read"
    GRANT_ISSUE = "grant.issue"
    GRANT_REVOKE = "grant.revoke"
    POLICY_CHANGE = "policy.change"
    CLASSIFICATION_PROPOSE = "classification.propose"
    CLASSIFICATION_APPROVE = "classification.approve"
    MAPPING_APPROVE = "mapping.approve"
    INGEST_RUN = "ingest.run"
    DEIDENTIFY_RUN = "deidentify.run"
    CONTRACT_REQUEST = "contract.request"
    CONTRACT_AGREE = "contract.agree"
    CONTRACT_REFUSE = "contract.refuse"
    CONTRACT_VERIFY = "contract.verify"
    CONTRACT_READ = "contract.read"
    CONTRACT_TERMINATE = "contract.terminate"
    CONTRACT_OFFER = "contract.offer"
    CONTRACT_ACCEPT = "contract.accept"
    CONTRACT_FINALIZE = "contract.finalize"
    CONTRACT_SUSPEND = "contract.suspend"
    CONTRACT_RESUME = "contract.resume"
    CONTRACT_EXPIRE = "contract.expire"
    CONTRACT_COMPLETE = "contract.complete"
    CONTRACT_OBLIGE = "contract.oblige"
    CONTRACT_CLOSE = "contract.close"
    TRANSFER_REQUEST = "transfer.request"
    TRANSFER_START = "transfer.start"
    TRANSFER_SUSPEND = "transfer.suspend"
    TRANSFER_COMPLETE = "transfer.complete"
    TRANSFER_TERMINATE = "transfer.terminate"
    TRANSFER_REFUSE = "transfer.refuse"
    TRANSFER_READ = "transfer.read"
    DELIVERY_ACKNOWLEDGE = "delivery.acknowledge"
    CONSENT_WITHDRAW = "consent.withdraw"
    STUDY_APPROVE = "study.approve"
    STUDY_PLAN = "study.plan"
    STUDY_START = "study.start"
    ROUND_SEAL = "round.seal"
    CHANNEL_OPEN = "channel.open"
    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    CONNECTION_REFUSE = "connection.refuse"
    CALL_REFUSE = "call.refuse"
    AUDIT_READ = "audit.read"
    ERASURE_APPLY = "erasure.apply"
    HOLD_PLACE = "hold.place"
    HOLD_LIFT = "hold.lift"
    SHARD_OPEN = "shard.open"
    BREAKGLASS_OPEN = "breakglass.open"
    ALERT_RAISE = "alert.raise"
    INVOICE_ISSUE = "invoice.issue"
    INVOICE_CREDIT = "invoice.credit"
    INVOICE_DISPUTE = "invoice.dispute"
    INVOICE_ANSWER = "invoice.answer"
    PAYMENT_IMPORT = "payment.import"


RELEASES = frozenset(
    {
        Action.PRODUCT_READ,
        Action.QUERY_RUN,
        Action.EXPORT,
        Action.SHARE_READ,
        Action.KEY_RELEASE,
        Action.ROUND_SUBMIT,
        Action.AGGREGATE_DECRYPT,
    }
)  # something leaves the participant: each needs a decision
GRANT_ENDS = frozenset({Action.GRANT_REVOKE, Action.CONTRACT_COMPLETE})  # before its term


class Decision(StrEnum):
    """What was decided before anything moved."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One access, decision or change. Fields that do not apply are None and absent from the canonical form."""

    event_id: str
    time: str  # RFC 3339, UTC, milliseconds: 2026-11-21T22:00:00.000Z
    node: str  # participant id of whoever keeps this log
    organisation: str | None = None
    role: str | None = None
    actor: str | None = None  # commitment, lowercase hex of 32 bytes; see commit()
    action: Action
    product: str | None = None
    version: str | None = None
    purpose: str | None = None  # DUO code
    contract: str | None = None
    grant: str | None = None
    policy_digest: str | None = None
    decision: Decision | None = None
    reason: str | None = None  # rule code
    rows: int | None = None
    fields: int | None = None
    bytes: int | None = None  # that this release lets out
    epsilon: float | None = None
    request_digest: str | None = None
    result_digest: str | None = None
    checkpoint: str | None = None  # of a shard's first entry: the last signed head of the shard before
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if type(self.action) is not Action:
            object.__setattr__(self, "action", _member(Action, self.action, "action"))
        if self.decision is not None and type(self.decision) is not Decision:
            object.__setattr__(self, "decision", _member(Decision, self.decision, "decision"))
        if self.schema != SCHEMA:
            raise EventInvalid(f"schema is {self.schema}, {SCHEMA} is known")
        parse_time(self.time)
        for name, value in zip(_TEXTS, _texts_of(self), strict=True):
            if (value is not None or name in _REQUIRED) and (type(value) is not str or not 0 < len(value) <= _LONGEST):
                _require_text(name, value, _LONGEST)  # the rare case: a call a field costs more than the check
        if self.checkpoint is not None:
            _require_text("checkpoint", self.checkpoint, _LONGEST_NOTE)
        _require_count("rows", self.rows)
        _require_count("fields", self.fields)
        _require_count("bytes", self.bytes)
        for name, value in zip(_DIGESTS, _digests_of(self), strict=True):
            if value is not None:
                _require_digest(name, value)
        if self.epsilon is not None and not 0 <= _number(self.epsilon) < float("inf"):
            raise EventInvalid("epsilon is not a finite number from 0")

    @property
    def at(self) -> datetime:
        """The event's time."""
        return parse_time(self.time)


_TEXTS = ("event_id", "node", "organisation", "role", "product", "version", "purpose", "contract", "grant", "reason")
_REQUIRED = frozenset({"event_id", "node"})
_DIGESTS = ("actor", "policy_digest", "request_digest", "result_digest")
_texts_of, _digests_of = attrgetter(*_TEXTS), attrgetter(*_DIGESTS)
_NAMES = frozenset(field.name for field in fields(Event))
_ORDER = sorted(_NAMES)  # ASCII names: their order is that of their UTF-16 code units
_values_of = attrgetter(*_ORDER)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def document(event: Event) -> dict[str, Scalar]:
    """Return the event as a JSON object without its absent fields, in the order of RFC 8785."""
    return {name: value for name, value in zip(_ORDER, _values_of(event), strict=True) if value is not None}


def canonical(event: Event) -> bytes:
    """Return the RFC 8785 bytes: the leaf.

    The standard library's C encoder writes texts and whole numbers as RFC 8785 does; only a float needs more.
    """
    found = document(event)
    if event.epsilon is None:
        try:
            return _ENCODER.encode(found).encode()
        except UnicodeEncodeError:
            pass  # half a character: refused below, in the library's words
    return rfc8785.dumps(found)


def parse(leaf: bytes) -> Event:
    """Return the event of a leaf. Raises EventInvalid when it is no event, or not in canonical form."""
    try:
        found = load(leaf, max_depth=1)
    except ValueError as error:
        raise EventInvalid("the leaf is not JSON") from error
    event = from_document(found)
    if canonical(event) != leaf:
        raise EventInvalid("the leaf is not in canonical form")
    return event


def from_document(found: object) -> Event:
    """Return the event of a JSON object. Raises EventInvalid on a missing, unknown or malformed field."""
    if not isinstance(found, dict):
        raise EventInvalid("the event is not a JSON object")
    unknown = len(found.keys() - _NAMES)
    if unknown or None in found.values():
        raise EventInvalid(f"the event has {unknown} unknown fields, or a null")
    try:
        return Event(**found)
    except TypeError as error:
        raise EventInvalid("the event lacks a required field, or one is of a wrong type") from error


def commit(value: str, salt: bytes) -> str:
    """Return HMAC-SHA256(salt, value) as hex. Raises EventInvalid below 16 salt bytes: a dictionary would open it."""
    if len(salt) < 16:
        raise EventInvalid(f"the salt has {len(salt)} bytes, at least 16 are needed")
    return hmac.new(salt, value.encode(), sha256).hexdigest()


def parse_time(text: str) -> datetime:
    """Return the UTC time of an event's time text. Raises EventInvalid on any other form."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise EventInvalid("time is not RFC 3339 in UTC with milliseconds") from error


def format_time(time: datetime) -> str:
    """Return the one form of time that events carry."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _member(kind: type[Kind], value: object, name: str) -> Kind:
    try:
        return kind(str(value))
    except ValueError as error:
        raise EventInvalid(f"{name} is none of the {len(kind)} known") from error


def _require_text(name: str, value: object, longest: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise EventInvalid(f"{name} is not a text of 1 to {longest} characters")


def _require_count(name: str, value: object) -> None:
    if value is not None and (type(value) is not int or not 0 <= value < 2**53):
        raise EventInvalid(f"{name} is not a count from 0")


def _require_digest(name: str, value: object) -> None:
    if not (isinstance(value, str) and _HEX32.fullmatch(value)):
        raise EventInvalid(f"{name} is not 32 bytes as lowercase hex")


def _number(value: object) -> float:
    if type(value) not in {int, float}:
        raise EventInvalid("epsilon is not a number")
    return float(cast("float", value))
