"""Who may make a call: identity, permission and durable memory of the access, the same at every door.

The gRPC gate and the REST door ask here. Order: who calls (certificate looked at anew), may they, remembered.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from hdex.node.authz import METHODS, Authorizer, Decision
from hdex.node.config import Limits
from hdex.node.errors import AccessDenied, ConfigInvalid, IdentityRefused
from hdex.node.idempotency import KeyBook
from hdex.node.identity import Identity, check_peer

logger = logging.getLogger(__name__)
_callers: "WeakKeyDictionary[object, Identity | None]" = WeakKeyDictionary()  # gone with their calls


@dataclass(frozen=True, slots=True)
class Access:
    """One attempt to call, as it is remembered before anything happens."""

    method: str
    action: str
    caller: Identity | None  # None: the certificate did not identify anyone
    allow: bool
    rule: str
    request_sha256: str  # of the serialised request; empty for a stream of requests
    time: datetime


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What a door needs to decide. `audit` returns only when the access is durable; what it raises is the answer."""

    kind: str  # of the participant that serves
    participant: str
    trust_domain: str
    authorizer: Authorizer
    audit: Callable[[Access], None]
    denied: Callable[[], frozenset[int]]
    clock: Callable[[], datetime]
    limits: Limits
    keys: KeyBook | None = None  # without one no call takes an idempotency key


class Admission:
    """One method of one server: who is let in to it."""

    def __init__(self, door: Doorkeeper, method: str) -> None:
        """method: the full gRPC name, whichever door the call comes through."""
        self._door = door
        self._method = method
        self.action = METHODS.get(method, method)

    def decide(self, certificate: Callable[[], bytes | None], digest: str) -> tuple[Identity, Decision]:
        """Return who calls and the rule that lets them. Raises IdentityRefused or AccessDenied, remembered already."""
        try:
            identity = self.identify(certificate())
        except IdentityRefused as error:
            # The server says why: the peer itself may only see a closed connection.
            logger.warning("peer refused", extra={"method": self._method, "reason": str(error)})
            self.remember(None, Decision(False, "identity-refused"), digest)
            raise
        resource = {"kind": self._door.kind, "participant": self._door.participant}
        decision = self._door.authorizer.decide(identity, self.action, resource)
        if not decision.allow:
            self.remember(identity, decision, digest)
            raise AccessDenied(decision.rule, decision.next_step)
        return identity, decision

    def identify(self, pem: bytes | None) -> Identity:
        """Return whom a certificate names, now. Raises IdentityRefused."""
        if pem is None:
            raise IdentityRefused("the peer showed no certificate")
        try:
            denied = self._door.denied()
        except ConfigInvalid as error:
            raise IdentityRefused("the deny list cannot be read, so nobody is let in") from error
        return check_peer(pem, trust_domain=self._door.trust_domain, now=self._door.clock(), denied=denied)

    def remember(self, identity: Identity | None, decision: Decision, digest: str) -> None:
        """Remember the access durably, or raise what the log raises."""
        if not decision.allow:
            logger.warning("call refused", extra={"method": self._method, "rule": decision.rule})
        now = self._door.clock()
        self._door.audit(Access(self._method, self.action, identity, decision.allow, decision.rule, digest, now))


def admitted(context: object, identity: Identity | None) -> None:
    """Note who a call is from, for its handler. identity: None for a visitor of what is public."""
    _callers[context] = identity


def visitor(context: object) -> Identity | None:
    """Return who calls, None for a visitor without a certificate. Raises IdentityRefused as `caller` does."""
    try:
        return _callers[context]
    except KeyError:
        raise IdentityRefused("this call did not pass the gate") from None


def caller(context: object) -> Identity:
    """Return who calls, inside a handler. Raises IdentityRefused for a call that did not pass the gate."""
    identity = visitor(context)
    if identity is None:
        raise IdentityRefused("show the certificate that the consortium has issued to you")
    return identity
