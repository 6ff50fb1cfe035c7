"""Products as an Atom feed (RFC 4287). Titles are text, never markup; ids stay the same for one product version."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as xml

from hdex.catalog.ports import Listing
from hdex.catalog.saved_search import Match

ATOM = "http://www.w3.org/2005/Atom"
NOTHING_YET = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it goes out: its bytes, their entity tag, and when it last changed (RFC 3339)."""

    body: bytes
    etag: str
    updated: str


def match_of(listing: Listing) -> Match:
    """Return a listing as an entry that was new when its version was issued."""
    product = listing.product
    return Match(product.id, product.version, product.title, product.provider.name, product.issued)


def atom_feed(title: str, entries: Sequence[Match], *, own: str, base: str, created: str = NOTHING_YET) -> Feed:
    """Return the feed that stands at `own`, newest entry first. `base` is the exchange's address without a slash."""
    xml.register_namespace("", ATOM)
    feed = xml.Element(f"{{{ATOM}}}feed")
    updated = max([created, *(entry.at for entry in entries)])
    _add(feed, "id", own)
    _add(feed, "title", title)
    _add(feed, "updated", updated)
    _add(_add(feed, "author"), "name", "hdex exchange")
    _add(feed, "link", rel="self", href=own, type="application/atom+xml")
    for entry in entries:
        _entry(feed, entry, base)
    body = xml.tostring(feed, encoding="utf-8", xml_declaration=True)
    return Feed(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', updated)


def _entry(feed: xml.Element, match: Match, base: str) -> None:
    entry = _add(feed, "entry")
    page = f"{base}/products/{quote(match.product, safe='')}"
    _add(entry, "id", f"{page}#{quote(match.version, safe='')}")
    _add(entry, "title", f"{match.title.en} / {match.title.zh}")
    _add(entry, "updated", match.at)
    _add(entry, "link", rel="alternate", href=page, type="text/html")
    _add(entry, "summary", f"{match.provider.en} / {match.provider.zh}, version {match.version}")


def _add(parent: xml.Element, name: str, text: str = "", **attributes: str) -> xml.Element:
    child = xml.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    child.text = text or None
    return child
