"""Feeds: Atom as RFC 4287 asks, conditional GET, and text that stays text."""

from datetime import datetime
from xml.etree import ElementTree as xml

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_catalogue, sample_product

from hdex.catalog.atom import ATOM, Feed, atom_feed
from hdex.catalog.cursor import read_cursor, write_cursor
from hdex.catalog.errors import CursorInvalid
from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.ports import Place, Query
from hdex.catalog.saved_search import Match
from hdex.catalog.terms import Text
from hdex.catalog.web.app import create_app

BASE = "https://exchange.hdex.test"


@pytest.fixture
def catalogue() -> Catalogue:
    held = Catalogue(MemoryIndex())
    for product in sample_catalogue(8):
        held.publish(product.document(), b"{}")
    return held


@pytest.fixture
def client(catalogue: Catalogue) -> TestClient:
    feed = atom_feed("stents", (), own=f"{BASE}/feeds/secret", base=BASE)
    return TestClient(create_app(catalogue, feed={"secret": feed}.get, base=BASE))


def require_atom(body: bytes) -> xml.Element:
    """Fail unless these bytes are a feed with all that RFC 4287 demands of it and of each entry (4.1.1, 4.1.2)."""
    feed = xml.fromstring(body)  # our own bytes
    assert feed.tag == f"{{{ATOM}}}feed"
    entries = feed.findall(f"{{{ATOM}}}entry")
    assert feed.find(f"{{{ATOM}}}author/{{{ATOM}}}name") is not None
    for element in (feed, *entries):
        for name in ("id", "title", "updated"):
            (one,) = element.findall(f"{{{ATOM}}}{name}")
            assert one.text
        assert str(element.findtext(f"{{{ATOM}}}id")).startswith("https://")
        assert datetime.fromisoformat(str(element.findtext(f"{{{ATOM}}}updated"))).tzinfo is not None
        links = [link.get("rel") for link in element.findall(f"{{{ATOM}}}link")]
        assert links == (["self"] if element is feed else ["alternate"])
    ids = [entry.findtext(f"{{{ATOM}}}id") for entry in entries]
    assert len(ids) == len(set(ids))
    return feed


def titles(feed: xml.Element) -> list[str]:
    return [str(entry.findtext(f"{{{ATOM}}}title")) for entry in feed.findall(f"{{{ATOM}}}entry")]


def test_what_is_new_is_a_feed_newest_first(client: TestClient) -> None:
    answer = client.get("/products.atom?q=carotid")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = require_atom(answer.content)
    assert titles(feed)[0].startswith("Carotid stents with one-year")
    assert feed.findtext(f"{{{ATOM}}}id") == f"{BASE}/products.atom?q=carotid"
    assert len(titles(require_atom(client.get("/zh/products.atom").content))) == 8


def test_a_reader_that_has_the_newest_is_told_so(client: TestClient) -> None:
    first = client.get("/products.atom")
    for header, value in (
        ("if-none-match", first.headers["etag"]),
        ("if-none-match", f'"x", W/{first.headers["etag"]}'),
        ("if-none-match", "*"),
        ("if-modified-since", first.headers["last-modified"]),
    ):
        again = client.get("/products.atom", headers={header: value})
        assert (again.status_code, again.content) == (304, b""), header
        assert again.headers["etag"] == first.headers["etag"]
    for header, value in (
        ("if-none-match", '"other"'),
        ("if-modified-since", "Sat, 01 Jan 2022 00:00:00 GMT"),
        ("if-modified-since", "yesterday"),
    ):
        assert client.get("/products.atom", headers={header: value}).status_code == 200, header


def test_a_saved_feed_is_at_its_address_only(client: TestClient) -> None:
    answer = client.get("/feeds/secret")
    require_atom(answer.content)
    assert "private" in answer.headers["cache-control"]
    assert client.get("/feeds/other").status_code == client.get("/feeds/" + "x" * 9000).status_code == 404
    assert TestClient(create_app(Catalogue(MemoryIndex()))).get("/feeds/secret").status_code == 404


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=30)


@given(title=TEXTS.filter(str.strip), name=TEXTS.filter(str.strip))
def test_text_stays_text(title: str, name: str) -> None:
    for text in (title, f"<script>{title}</script>", f"]]>&{title}", '"><b>'):
        match = Match("a.b", "1.0.0", Text(text, text), Text("A", "甲"), "2026-11-22T00:00:00Z")
        feed: Feed = atom_feed(name, [match], own=f"{BASE}/x", base=BASE)
        assert titles(require_atom(feed.body)) == [f"{text} / {text}"]


def test_the_page_says_what_it_looked_for_instead_and_where_its_feed_is(catalogue: Catalogue) -> None:
    client = TestClient(create_app(catalogue))
    page = client.get("/products?q=hypertensoin").text
    assert "hypertension" in page
    assert "No product holds a word of" in page
    assert 'href="/products.atom?q=hypertensoin"' in page
    assert "没有产品包含" in client.get("/zh/products?q=hypertensoin").text
    assert "No product holds" not in client.get("/products?q=hypertension").text


def test_every_facet_is_a_link_that_narrows(catalogue: Catalogue) -> None:
    catalogue.publish(sample_product(id="a.b-grade", quality={"grade": "B"}).document(), b"{}")
    client = TestClient(create_app(catalogue))
    page = client.get("/products").text
    assert "grade=B" in page
    assert "price=free" in page
    narrowed = client.get("/products?grade=B").text
    assert "a.b-grade" in narrowed
    assert "hospital-a.carotid-stents" not in narrowed
    assert client.get("/products?grade=%3Cb%3E&plan='--&category=%00").status_code == 200


@given(
    score=st.integers(1, 192),
    issued=st.integers(-(10**13), 10**14),
    id=st.from_regex("[a-z0-9.]{1,80}", fullmatch=True),
)
def test_a_cursor_comes_back_for_its_query_only(score: int, issued: int, id: str) -> None:
    place, query = Place(score, issued, id), Query(text="stent", level=2)
    text = write_cursor(place, query)
    assert read_cursor(text, query) == place
    for other in (Query(text="stents", level=2), Query(text="stent", level=3), Query(text="stent", provider="2")):
        with pytest.raises(CursorInvalid, match="another query"):
            read_cursor(text, other)


@pytest.mark.parametrize(
    "text", ["0", "=", "é", "x" * 10**6, "W10", "WzEsMiwzLDRd", "bnVsbA", "W1tbW1tbW1tbW10", "//8"]
)
def test_a_cursor_that_was_not_handed_out_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid, match="first page"):
        read_cursor(text, Query())
