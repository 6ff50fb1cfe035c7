"""Pages that were rendered a moment ago are given again: with ETag, conditional GET and gzip (RFC 9110).

Every page here is public and the same for everybody, so it may be packed although it repeats what was asked: it holds
no secret beside it. What is kept is forgotten with the catalogue's next change, and after KEPT_S at the latest: so long
another exchange on the same database may have changed it, or the time may have.
"""

import asyncio
import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hdex.catalog.web.assets import is_named, takes_gzip

KEPT_S = 10.0
BRIEFLY_S = 1.0  # what tells of this moment
MOMENTARY = ("/status", "/zh/status", "/status.json", "/contracts", "/zh/contracts")
MOST_PAGES = 1024
MOST_BYTES = 32_000_000
LONGEST_PAGE = 2_000_000
LONGEST_QUERY = 1_000
WORTH_PACKING = 860  # bytes; below that one packet holds either
PACKING = 4  # of 9: half of what 9 costs, for 4 % more bytes of a product's page
KINDS = (b"text/html", b"application/json", b"application/ld+json")
APART = ("/feeds/", "/static/", "/healthz")  # secret addresses, files, and whether calls are answered now
AT_ONCE = 2  # pages rendered; more threads would only keep the loop that gives kept pages from its turn

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer, and until when it is good: a moment of the clock, a revision of the catalogue."""

    headers: RawHeaders
    content: bytes
    packed: bytes
    digest: str
    until: float
    revision: object


@dataclass(slots=True)
class Taken:
    """An answer of the application as it comes."""

    status: int = 0
    headers: RawHeaders | None = None
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """Take one message of the application."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


class KeptPages:
    """ASGI middleware. The application is asked once for a page, however many ask for it at the same moment."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        revision: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_PAGES,
    ) -> None:
        self._app = app
        self._revision = revision
        self._clock = clock
        self._most = most
        self._pages: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()
        self._bytes = 0
        self._locks: WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = WeakValueDictionary()  # of what is asked
        self._rendering = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or keep what the application answers."""
        if not may_keep(scope):
            await self._app(scope, receive, send)
            return
        key = (scope["path"], scope["query_string"])
        found = self._good(key)
        if found is None:
            async with self._locks.setdefault(key, asyncio.Lock()):
                found = self._good(key)
                if found is None:
                    taken = Taken()
                    async with self._rendering:
                        revision = self._revision()  # before it is rendered: a change meanwhile makes it old
                        await self._app({**scope, "method": "GET"}, receive, taken.take)
                    found = self._keep(key, taken, revision)
                    if found is None:
                        await send_whole(send, taken.status, taken.headers or [], taken.body, scope["method"])
                        return
        await give(found, scope, send)

    def _good(self, key: tuple[str, bytes]) -> Kept | None:
        found = self._pages.get(key)
        if found is None or found.until < self._clock() or found.revision != self._revision():
            return None
        self._pages.move_to_end(key)
        return found

    def _keep(self, key: tuple[str, bytes], taken: Taken, revision: object) -> Kept | None:
        """Return the answer as it is kept; None where it is not one to keep."""
        headers = [(name, value) for name, value in taken.headers or [] if name != b"content-length"]
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        if taken.status != 200 or not kind.startswith(KINDS) or len(taken.body) > LONGEST_PAGE:
            return None
        packed = gzip.compress(taken.body, PACKING, mtime=0) if worth(taken.body) else b""  # half a millisecond
        digest = hashlib.sha256(taken.body).hexdigest()[:24]
        until = self._clock() + (BRIEFLY_S if key[0] in MOMENTARY else KEPT_S)
        kept = Kept(headers, taken.body, packed, digest, until, revision)
        before = self._pages.pop(key, None)
        self._pages[key] = kept
        self._bytes += size(kept) - (size(before) if before else 0)
        while len(self._pages) > self._most or self._bytes > MOST_BYTES:
            self._bytes -= size(self._pages.popitem(last=False)[1])
        return kept


def may_keep(scope: Scope) -> bool:
    """Return whether an answer to this request may be given to others."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not scope["path"].startswith(APART)
        and len(scope["query_string"]) <= LONGEST_QUERY
    )


def worth(body: bytes) -> bool:
    """Return whether packing gains anything."""
    return len(body) >= WORTH_PACKING


def size(kept: Kept) -> int:
    """Return what an answer takes in memory, about."""
    return len(kept.content) + len(kept.packed) + 500


async def give(kept: Kept, scope: Scope, send: Send) -> None:
    """Send a kept answer as this client takes it, or say that its copy is as new."""
    asked = Headers(scope=scope)
    is_packed = bool(kept.packed) and takes_gzip(asked.get("accept-encoding", ""))
    etag = f'"{kept.digest}{"-gz" if is_packed else ""}"'
    headers = [*kept.headers, (b"etag", etag.encode()), (b"vary", b"accept-encoding")]
    if is_named(etag, asked.get("if-none-match", "")):
        bare = [(name, value) for name, value in headers if name != b"content-type"]
        await send({"type": "http.response.start", "status": 304, "headers": bare})
        await send({"type": "http.response.body", "body": b""})
        return
    if is_packed:
        headers.append((b"content-encoding", b"gzip"))
    await send_whole(send, 200, headers, kept.packed if is_packed else kept.content, scope["method"])


async def send_whole(send: Send, status: int, headers: RawHeaders, body: bytes, method: str) -> None:
    """Send an answer in one piece; HEAD hears its length only."""
    told = [*(one for one in headers if one[0] != b"content-length"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
