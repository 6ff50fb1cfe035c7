"""Notices on their way to webhooks: a durable outbox, signed when they are sent, tried again with growing pauses.

It shares no code with the other two queues: a message of the Dataspace Protocol (`dsp.outbox`) is stored in the
transaction that moves its process and may be refused for good; facts (`facts`) have no time of their own but one order.
"""

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from hdex.ledger.event import format_time, parse_time
from hdex.node.documents import Documents
from hdex.node.errors import NodeError
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder

logger = logging.getLogger(__name__)
NOTICE = "webhook notice"
MOST_WAITING = 500  # of one search
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720, 1440))  # then it is given up
SIGNATURE, TIMESTAMP, DELIVERY = "hdex-signature", "hdex-timestamp", "hdex-delivery"


class Post(Protocol):
    """Sends one notice. An implementation reaches only addresses that are allowed, and follows nobody elsewhere."""

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of the answer. Raises NodeError or OSError where there is none."""
        ...


class Outbox:
    """Notices that wait, one document each. On return from `add` it is on disk."""

    def __init__(self, documents: Documents, clock: Callable[[], datetime]) -> None:
        self._documents = documents
        self._clock = clock
        self.woken = threading.Event()

    def add(self, search_id: str, url: str, body: bytes, *, key: str) -> None:
        """Keep a notice until it is delivered or given up; the same key again changes nothing.

        Where too many wait already it is given up at once: it stands in the feed.
        """
        if key in self._documents.keys(NOTICE):
            return
        full = self.counts(search_id)[0] >= MOST_WAITING
        row = {"key": key, "search": search_id, "url": url, "body": body.decode(), "attempts": 0, "given_up": full}
        self._documents.put(NOTICE, key, row | {"due": format_time(self._clock())})
        self.woken.set()

    def due(self, now: datetime) -> list[dict[str, Any]]:
        """Return the notices whose time has come, the oldest first."""
        return [row for row in self._waiting() if parse_time(row["due"]) <= now]

    def next_due(self) -> datetime | None:
        """Return when the next notice is due."""
        return min((parse_time(row["due"]) for row in self._waiting()), default=None)

    def delivered(self, row: dict[str, Any]) -> None:
        """Forget a notice that was taken."""
        self._documents.remove(NOTICE, [row["key"]])

    def failed(self, row: dict[str, Any], now: datetime) -> None:
        """Set the next attempt, or give the notice up."""
        attempts = row["attempts"] + 1
        given_up = attempts > len(PAUSES)
        due = now if given_up else now + PAUSES[attempts - 1]
        told = {"attempts": attempts, "given_up": given_up, "due": format_time(due)}
        self._documents.put(NOTICE, row["key"], row | told)

    def counts(self, search_id: str) -> tuple[int, int]:
        """Return how many notices of a search wait, and how many were given up."""
        rows = [row["given_up"] for row in self._documents.all(NOTICE) if row["search"] == search_id]
        return rows.count(False), rows.count(True)

    def forget(self, search_id: str) -> None:
        """Forget the notices of a search."""
        rows = [row["key"] for row in self._documents.all(NOTICE) if row["search"] == search_id]
        self._documents.remove(NOTICE, rows)

    def _waiting(self) -> list[dict[str, Any]]:
        return [row for row in self._documents.all(NOTICE) if not row["given_up"]]


class Courier:
    """Carries notices: settles what was listed, then sends what is due, until told to stop."""

    def __init__(
        self, outbox: Outbox, post: Post, *, settle: Callable[[], int], key: Callable[[str], bytes],
        recorder: Recorder, me: Identity, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._post = post
        self._settle = settle
        self._key = key
        self._recorder = recorder
        self._me = me
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; a failure is said in the log and tried again."""
        while not stop.is_set():
            self._outbox.woken.clear()
            try:
                self.round()
            except Exception:
                logger.exception("notices of saved searches failed; they are tried again")
            self._outbox.woken.wait(self._pause())

    def round(self) -> int:
        """Settle and send once; return how many notices were taken."""
        self._settle()
        return sum(self._send(row) for row in self._outbox.due(self._clock()))

    def _pause(self) -> float:
        due = self._outbox.next_due()
        return 60.0 if due is None else min(max((due - self._clock()).total_seconds(), 1.0), 60.0)

    def _send(self, row: dict[str, Any]) -> bool:
        body, at = row["body"].encode(), str(int(self._clock().timestamp()))
        headers = {
            "content-type": "application/json",
            TIMESTAMP: at,
            DELIVERY: hashlib.sha256(row["key"].encode()).hexdigest()[:32],  # the same at each attempt
            SIGNATURE: signature(self._key(row["search"]), at, body),
        }
        try:
            status = self._post(row["url"], body, headers)
        except (NodeError, OSError) as error:
            status = 0
            logger.warning("a webhook was not reached", extra={"search": row["search"], "error": type(error).__name__})
        if not 200 <= status < 300:
            self._outbox.failed(row, self._clock())
            return False
        digest = hashlib.sha256(body).hexdigest()
        self._recorder.allow("search.notify", self._me, request_digest=digest)
        self._outbox.delivered(row)
        return True


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of the signature's header: HMAC-SHA256 over the timestamp, a full stop and the body."""
    return "v1=" + hmac.new(key, timestamp.encode() + b"." + body, "sha256").hexdigest()
