"""A participant's events on their way into its log: who did what, under which decision, committed and not named.

The leaf carries a commitment to the actor; the actor and the salt that opens it stay in the participant's details.
"""

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypedDict, Unpack, cast

from hdex.ledger.detail import Detail, Details
from hdex.ledger.event import Action, Decision, Event, canonical, commit, format_time, parse
from hdex.ledger.log import Log, Receipt
from hdex.node.access_proof import AccessProof
from hdex.node.documents import Documents
from hdex.node.errors import describe
from hdex.node.identity import Identity

SALT_BYTES = 16
DETAIL = "event_detail"  # kind of the documents in which details were kept once
BATCH = 1000
LONGEST = 256  # characters of a fact
DIGEST = re.compile(r"[0-9a-f]{64}")
# Statuses that say no. The others say that something broke: that is for the process's own log.
REFUSALS = {"PERMISSION_DENIED", "UNAUTHENTICATED", "FAILED_PRECONDITION", "ALREADY_EXISTS"}
REFUSALS |= {"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "ABORTED"}


class Facts(TypedDict, total=False):
    """What an event may say beyond who and what: codes, counts and digests."""

    product: str
    version: str
    purpose: str
    contract: str
    grant: str
    policy_digest: str
    rows: int
    fields: int
    bytes: int
    epsilon: float
    request_digest: str
    result_digest: str


class Recorder:
    """Writes one participant's events. Every method returns only when the event is durable, or raises LogFailed."""

    def __init__(
        self, log: Log, details: Details, *, node: str, organisation: str, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._details = details
        self._node = node
        self._organisation = organisation
        self._clock = clock

    @property
    def origin(self) -> str:
        """The log that the events go to."""
        return self._log.origin

    def allow(self, action: str, actor: Identity, **facts: Unpack[Facts]) -> Receipt:
        """Remember that this was allowed."""
        return self._log.append(canonical(self._event(action, actor, Decision.ALLOW, None, facts)))

    def deny(self, action: str, actor: Identity, rule: str, **facts: Unpack[Facts]) -> Receipt:
        """Remember that this was refused, and by which rule."""
        return self._log.append(canonical(self._event(action, actor, Decision.DENY, text_of(rule), readable(facts))))

    @contextmanager
    def refusals(self, action: str, actor: Identity, **facts: Unpack[Facts]) -> Iterator[None]:
        """Make a refusal that the body raises an event, and let it go on. Verbs put it around all they do."""
        try:
            yield
        except Exception as error:
            problem = describe(error)
            if problem.status in REFUSALS:
                self.deny(action, actor, problem.rule, **facts)
            raise

    @contextmanager
    def release(
        self, action: str, actor: Identity, *, rule: str | None = None, **facts: Unpack[Facts]
    ) -> Iterator[Receipt]:
        """Remember first, then run the body: nothing in it happens unless the event is durable.

        rule: by whose name it was allowed, where no person said so.
        """
        with self._log.release(self._event(action, actor, Decision.ALLOW, rule, facts)) as receipt:
            yield receipt

    def proof(self, receipt: Receipt) -> AccessProof:
        """Return what shows whoever gets the data that the entry stands in this log."""
        (entry,) = self._log.entries(receipt.index, receipt.index + 1)
        return AccessProof.of(receipt, entry, self._log.inclusion(receipt.index, receipt.size))

    def _event(self, action: str, actor: Identity, decision: Decision, rule: str | None, facts: Facts) -> Event:
        salt, event_id = secrets.token_bytes(SALT_BYTES), str(uuid.uuid4())
        event = Event(
            event_id=event_id,
            time=format_time(self._clock()),
            node=self._node,
            organisation=self._organisation,
            role=actor.role or actor.kind,
            actor=commit(actor.spiffe_id, salt),
            action=Action(action),
            decision=decision,
            reason=rule,
            **facts,
        )
        self._details.remember(event, Detail(actor.spiffe_id, salt))  # before the leaf: no entry without its detail
        return event


def move_details(documents: Documents, details: Details, log: Log) -> int:
    """Move details that an earlier version kept as plain documents under keys of their own; return how many.

    One whose event never reached the log opens nothing and goes.
    """
    waiting = {key: documents.get(DETAIL, key) for key in documents.keys(DETAIL)}
    if not waiting:
        return 0
    for start in range(0, log.size, BATCH):
        found = [parse(leaf) for leaf in log.entries(start, start + BATCH)]
        kept = [(event, waiting[event.event_id]) for event in found if event.event_id in waiting]
        details.remember_all([(event, Detail(row["actor"], bytes.fromhex(row["salt"]))) for event, row in kept])
    documents.remove(DETAIL, list(waiting))
    return len(waiting)


def readable(facts: Facts) -> Facts:
    """Return what an event can carry of a refused request, which may hold anything: an odd one is refused and told."""
    kept = {
        name: text_of(value) if isinstance(value, str) else value
        for name, value in facts.items()
        if value != "" and (not name.endswith("_digest") or DIGEST.fullmatch(str(value)))
    }
    return cast(Facts, kept)


def text_of(value: str) -> str:
    """Return a text as the canonical form can carry it: cut, and a lone surrogate replaced."""
    return value[:LONGEST].encode("utf-8", "replace").decode()
