"""What moves a product version: each step is held against its guards, signed by the node, remembered, then told.

People order suspension, resumption and withdrawal by a paper of the privacy officer; listing, supersession and expiry
follow from what was signed before. The first two steps of a life are remembered where they happen: when the
classification is signed and when the version is made.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.errors import NotListed
from hdex.catalog.lifecycle import PRODUCT, Arrow, Evidence, ProductState
from hdex.catalog.metadata import Notice
from hdex.ledger.event import format_time
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, PeerUnavailable, RemoteRefused, RequestInvalid
from hdex.node.failpoint import failpoint
from hdex.node.hospital.erasures import text
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.staff import OFFICER, Staff
from hdex.node.identity import Identity
from hdex.node.keys import KeyProvider
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, sign

EVENTS: Mapping[Arrow, tuple[str, str]] = {  # what is remembered of each step; the first two by who carries them out
    Arrow.CLASSIFY: ("classification", "approve"),
    Arrow.DEIDENTIFY: ("deidentify", "run"),
    Arrow.ASSESS: ("product", "assess"),
    Arrow.ANNOUNCE: ("product", "announce"),
    Arrow.LIST: ("catalogue", "publish"),
    Arrow.SUSPEND: ("product", "suspend"),
    Arrow.RESUME: ("product", "resume"),
    Arrow.EXPIRE: ("product", "expire"),
    Arrow.REVOKE: ("catalogue", "withdraw"),
    Arrow.SUPERSEDE: ("product", "supersede"),
}
ORDERS: Mapping[str, Arrow] = {  # kinds of signed papers by which a person orders a step
    "product.suspend": Arrow.SUSPEND,
    "product.resume": Arrow.RESUME,
    "product.withdraw": Arrow.REVOKE,
}
NOTICE = Notice()
ORDER = "product_order"  # kind of the papers that were carried out
UNTOLD = "product_untold"  # kind of the versions that have expired and of which the exchange has not heard
PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNKNOWN")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who this hospital is when it signs a manifest or a step."""

    hospital: str
    keys: KeyProvider
    documents: Documents
    clock: Callable[[], datetime]


class Lifecycle:
    """Carries steps out; the same order again finds nothing to move and says so."""

    def __init__(
        self, me: Publisher, products: Products, staff: Staff, *, exchange: Exchange, recorder: Recorder
    ) -> None:
        self._me = me
        self._products = products
        self._staff = staff
        self._exchange = exchange
        self._recorder = recorder

    def order(self, kind: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Carry out a signed order about a product. Raises AccessDenied, SignatureInvalid, NotListed, GuardUnmet,
        TransitionForbidden.
        """
        arrow, said = ORDERS[kind], envelope["document"]
        with self._recorder.refusals(".".join(EVENTS[arrow]), actor, product=str(said.get("product", ""))):
            if actor.role != OFFICER:
                raise AccessDenied(f"{kind}.role", f"ask the {OFFICER}", "this order is signed by another role")
            paper = self._staff.verified(kind, envelope, OFFICER)
            product_id, reason = text(paper, "product"), text(paper, "reason")
            if set(paper) != {"product", "version", "reason", "at"}:
                raise RequestInvalid("an order has product, version, reason and the time it was signed")
            self._require_new(paper)
            with self._products.changing:
                evidence = Evidence(at=self._me.clock(), signers=frozenset({OFFICER}), reason=reason)
                moved = [
                    held if is_done(held, arrow) else self.move(held, arrow, evidence, actor=actor, reason=reason)
                    for held in self._due(product_id, str(paper["version"]), arrow)
                ]
            self._me.documents.put(ORDER, digest(paper), {"envelope": envelope})
        for held in moved:
            self.tell(held)
        return {"product": product_id, "versions": {held.product.version: held.state.value for held in moved}}

    def move(
        self, held: Held, arrow: Arrow, evidence: Evidence, *, actor: Identity, reason: str = "", **changes: str
    ) -> Held:
        """Return the version after one step that was signed, remembered and kept; refused, nothing changes."""
        target = PRODUCT.advance(held.state, arrow, with_term(evidence, held))
        paper = self._signed(held, arrow, target, reason)
        subject, verb = EVENTS[arrow]
        with self._recorder.release(
            f"{subject}.{verb}",
            actor,
            product=held.product.id,
            version=held.product.version,
            policy_digest=digest(paper["document"]),
            result_digest=held.digest,
        ):
            return self._products.keep(held.moved(target, paper, **changes))

    def remembered(self, held: Held, arrow: Arrow, evidence: Evidence) -> Held:
        """Return the version after a step whose event was written when it happened."""
        target = PRODUCT.advance(held.state, arrow, with_term(evidence, held))
        return held.moved(target, self._signed(held, arrow, target, ""))

    def supersede(self, newer: Held, *, actor: Identity) -> None:
        """End the offer of older versions; their contracts are served until their notice has run."""
        now = self._me.clock()
        older = [held for held in self._products.versions(newer.product.id) if is_older(held, newer)]
        for held in older:
            if Arrow.SUPERSEDE.value in PRODUCT.allowed_from(held.state):
                days = (held.product.notice or NOTICE).supersession_days
                until = format_time(now + timedelta(days=days))
                self.move(held, Arrow.SUPERSEDE, Evidence(at=now, newer_listed=True), actor=actor, serves_until=until)

    def expire(self, *, actor: Identity) -> list[Held]:
        """End every version whose terms have ended, and return them.

        The exchange is told of each; where it is away, or this process dies between, the next call tells it.
        """
        now = self._me.clock()
        with self._products.changing:
            due = [held for held in self._products.every() if is_due(held, now)]
            for held in due:  # first: what is moved and then forgotten would stay on the exchange's list
                self._me.documents.put(UNTOLD, name_of(held), {})
            ended = [self.move(held, Arrow.EXPIRE, Evidence(at=now), actor=actor) for held in due]
            failpoint("lifecycle.expired")
            waiting = set(self._me.documents.keys(UNTOLD))
            untold = [held for held in self._products.every() if waiting and name_of(held) in waiting]
        for held in untold:
            self._tell_end(held)
        return ended

    def _tell_end(self, held: Held) -> None:
        """Tell the exchange that a version has expired; without an answer it is told at the next look."""
        try:
            if is_done(held, Arrow.EXPIRE):  # else it was ended by other means, which told of itself
                self.tell(held)
        except PeerUnavailable:
            logger.warning("the exchange is not there to hear of an end", extra={"product": held.product.id})
            return
        except RemoteRefused as refusal:
            logger.warning("the exchange refused an end", extra={"product": held.product.id, "rule": refusal.rule})
            if refusal.status in PASSING:
                return
        self._me.documents.remove(UNTOLD, [name_of(held)])

    def tell(self, held: Held) -> None:
        """Hand the newest step's paper to the exchange, which takes it as often as it is sent."""
        self._exchange.amend(held.history[-1])

    def _signed(self, held: Held, arrow: Arrow, target: ProductState, reason: str) -> Envelope:
        document: dict[str, Any] = {
            "product": held.product.id,
            "version": held.product.version,
            "manifest_digest": held.digest,
            "arrow": arrow.value,
            "from": held.state.value,
            "to": target.value,
            "rules": list(PRODUCT.rules_of(held.state, arrow)),
            "reason": reason,
            "at": format_time(self._me.clock()),
        }
        return sign("lifecycle", document, self._me.hospital, self._me.keys.secret("sign"))

    def _due(self, product_id: str, version: str, arrow: Arrow) -> list[Held]:
        """Return the versions that an order means: the one it names, else all that the step fits, else the newest."""
        versions = self._products.versions(product_id)
        named = [held for held in versions if version in ("", held.product.version)]
        if not named:
            raise NotListed(
                f"this node lists no product {product_id[:80]!r}" + (" in the version named" if versions else "")
            )
        fitting = [held for held in named if arrow.value in PRODUCT.allowed_from(held.state)]
        return fitting or named[-1:]

    def _require_new(self, paper: Document) -> None:
        """Raise AccessDenied where this very order was carried out: a copy of it must not suspend again."""
        if digest(paper) in self._me.documents.keys(ORDER):
            raise AccessDenied("product.order", "sign a new order", "this order was carried out already")


def with_term(evidence: Evidence, held: Held) -> Evidence:
    """Return the evidence with what the version itself says: its terms' end, its notice."""
    expires = held.product.terms.expires
    return replace(
        evidence,
        expires=datetime.fromisoformat(expires) if expires else None,
        notice_days=(held.product.notice or NOTICE).listing_days,
        listed_from=datetime.fromisoformat(held.listed_from) if held.listed_from else None,
    )


def is_done(held: Held, arrow: Arrow) -> bool:
    """Return whether the last step was this one: ordered again, only the exchange is told again."""
    return bool(held.history) and held.history[-1]["document"]["arrow"] == arrow.value


def name_of(held: Held) -> str:
    """Return a version's name among all versions."""
    return f"{held.product.id}/{held.product.version}"


def is_older(held: Held, newer: Held) -> bool:
    """Return whether a version came before another."""
    return held.product.version_key() < newer.product.version_key()


def is_due(held: Held, now: datetime) -> bool:
    """Return whether a version's terms have ended and nobody has said so yet."""
    expires = held.product.terms.expires
    ends = Arrow.EXPIRE.value in PRODUCT.allowed_from(held.state)
    return ends and expires is not None and now >= datetime.fromisoformat(expires)
