"""Searches that organisations keep at the exchange: each is answered again whenever a product is listed.

A listing is noted before it is made and settled afterwards, so that no match is lost to a crash; a product version is
matched once per search. What is matched stands in the search's feed and, where it has a webhook, in the outbox.
The feed's address and the webhook's key are derived from one key of the keystore: no file holds them.
"""

import base64
import hmac
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from hdex.catalog.atom import Feed, atom_feed
from hdex.catalog.documents import from_document, to_document
from hdex.catalog.index import Catalogue
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Listing, Query
from hdex.catalog.saved_search import Match, SavedSearch, check_search
from hdex.ledger.event import format_time
from hdex.node.documents import Documents
from hdex.node.errors import LimitExceeded, NotFound
from hdex.node.exchange.notices import Outbox
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder

MOST_SEARCHES = 50  # of one organisation
SEARCH, SEEN, EXPECTED = "saved search", "saved search match", "saved search listing"


class Door(Protocol):
    """Where webhooks are: says which addresses may be called."""

    def check(self, url: str) -> None:
        """Raise AccessDenied or RequestInvalid unless notices may go there."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """A search as its owner sees it."""

    search: SavedSearch
    feed: str  # path on the exchange's pages
    waiting: int
    given_up: int


class Searches:
    """Saved searches behind identity and log. Safe for many threads."""

    def __init__(
        self, catalogue: Catalogue, documents: Documents, *, recorder: Recorder, outbox: Outbox, door: Door,
        key: bytes, clock: Callable[[], datetime], base: str,
    ) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._documents = documents
        self._recorder = recorder
        self._outbox = outbox
        self._door = door
        self._key = key
        self._clock = clock
        self._base = base
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()  # listings that this process is about to make

    def save(self, query: Query, name: str, webhook: str, actor: Identity) -> tuple[Told, str]:
        """Keep a search; return it and, where it has a webhook, the key that signs its notices (hex).

        The same query under the same name and for the same webhook is the search that is kept already.
        """
        with self._recorder.refusals("search.save", actor):
            check_search(query, name)
            if webhook:
                self._door.check(webhook)
            with self._lock:
                wanted = SavedSearch(
                    id=uuid.uuid4().hex,
                    owner=actor.participant,
                    name=name,
                    text=query.text,
                    filters=query.chosen(),
                    webhook=webhook,
                    created=format_time(self._clock()),
                )
                search = self._same(wanted) or self._added(wanted, actor)
        return self._told(search), self.webhook_key(search.id).hex() if webhook else ""

    def mine(self, actor: Identity) -> list[Told]:
        """Return the searches of the caller's organisation."""
        found = [self._told(search) for search in self._of(actor.participant)]
        self._recorder.allow("search.read", actor, rows=len(found))
        return found

    def remove(self, search_id: str, actor: Identity) -> None:
        """Forget a search of the caller's organisation, with its feed and what waits for its webhook."""
        with self._recorder.refusals("search.remove", actor), self._lock:
            search = self._get(search_id)
            if search is None or search.owner != actor.participant:
                raise NotFound("your organisation keeps no search of this id")
            with self._recorder.release("search.remove", actor):
                self._documents.remove(SEARCH, [search_id])
                seen = [key for key in self._documents.keys(SEEN) if key.startswith(f"{search_id}/")]
                self._documents.remove(SEEN, seen)
                self._outbox.forget(search_id)

    def feed(self, token: str) -> Feed | None:
        """Return the feed at an address, None where there is none."""
        search_id = token.partition(".")[0]
        if not hmac.compare_digest(token.encode(), self._token(search_id).encode()):
            return None
        search = self._get(search_id)
        if search is None:
            return None
        own = f"{self._base}/feeds/{token}"
        return atom_feed(search.name, search.matches, own=own, base=self._base, created=search.created)

    def expect(self, product_id: str) -> None:
        """Note that a product is about to be listed. Durable on return."""
        with self._lock:
            self._under_way[product_id] += 1
            self._documents.put(EXPECTED, product_id, {"product": product_id})

    def listed(self, product_id: str) -> None:
        """Hear that it is, or that it failed; the courier looks."""
        with self._lock:
            self._under_way[product_id] -= 1
        self._outbox.woken.set()

    def settle(self) -> int:
        """Match what was listed since with every search; return how many matches there are."""
        count = 0
        for product_id in self._documents.keys(EXPECTED):
            with self._lock:
                if self._under_way[product_id]:
                    continue  # it is settled when it is listed, not before
                held = self._catalogue.held(product_id)
                if held is not None and held.state == ProductState.LISTED:
                    count += self._match(held)
                self._documents.remove(EXPECTED, [product_id])
        return count

    def webhook_key(self, search_id: str) -> bytes:
        """Return the key that signs the notices of a search."""
        return self._derived("webhook", search_id)

    def _match(self, listing: Listing) -> int:
        product, document = listing.product, listing.product.document()
        found = [search for search in self._all() if search.fits(document)]
        count = 0
        for search in found:
            seen = f"{search.id}/{product.id}"
            if self._version_seen(seen) == product.version:
                continue
            at = format_time(self._clock())
            match = Match(product.id, product.version, product.title, product.provider.name, at)
            if search.webhook:  # first: told twice to a webhook is better than never
                self._outbox.add(search.id, search.webhook, self._body(search, match), key=f"{seen}@{product.version}")
            self._put(search.matched(match))
            self._documents.put(SEEN, seen, {"version": product.version})
            count += 1
        return count

    def _same(self, wanted: SavedSearch) -> SavedSearch | None:
        """Return the search that says the same already."""
        return next((kept for kept in self._of(wanted.owner) if kept.asks() == wanted.asks()), None)

    def _added(self, search: SavedSearch, actor: Identity) -> SavedSearch:
        if len(self._of(search.owner)) >= MOST_SEARCHES:
            raise LimitExceeded(f"an organisation keeps {MOST_SEARCHES} searches at most; remove one first")
        with self._recorder.release("search.save", actor):
            self._put(search)
        return search

    def _body(self, search: SavedSearch, match: Match) -> bytes:
        told = {
            "search": search.id,
            "name": search.name,
            "link": f"{self._base}/products/{match.product}",
            **_document(match),
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def _version_seen(self, key: str) -> str:
        try:
            return str(self._documents.get(SEEN, key)["version"])
        except NotFound:
            return ""

    def _told(self, search: SavedSearch) -> Told:
        return Told(search, f"/feeds/{self._token(search.id)}", *self._outbox.counts(search.id))

    def _token(self, search_id: str) -> str:
        mark = base64.urlsafe_b64encode(self._derived("feed", search_id)).decode().rstrip("=")
        return f"{search_id}.{mark}"

    def _derived(self, use: str, search_id: str) -> bytes:
        return hmac.digest(self._key, f"{use}:{search_id}".encode(), "sha256")

    def _get(self, search_id: str) -> SavedSearch | None:
        try:
            return from_document(SavedSearch, self._documents.get(SEARCH, search_id))
        except NotFound:
            return None

    def _all(self) -> list[SavedSearch]:
        return [from_document(SavedSearch, held) for held in self._documents.all(SEARCH)]

    def _of(self, owner: str) -> list[SavedSearch]:
        return [search for search in self._all() if search.owner == owner]

    def _put(self, search: SavedSearch) -> None:
        self._documents.put(SEARCH, search.id, _document(search))


def _document(value: object) -> dict[str, Any]:
    document = to_document(value)
    assert isinstance(document, dict)  # of a dataclass
    return document
