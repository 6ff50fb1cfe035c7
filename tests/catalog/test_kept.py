"""Kept pages and files: what is given again, to whom, and that a change is seen at once."""

import asyncio
import gzip
import re
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from tests.catalog.samples import sample_catalogue, sample_product, sample_status
from tests.catalog.test_pages import PRODUCT, client

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.web.app import create_app
from hdex.catalog.web.assets import Assets, is_named, takes_gzip
from hdex.catalog.web.kept import BRIEFLY_S, KEPT_S, KeptPages

PAGE = "page " * 400


class Rendered:
    """An application that counts how often it is asked."""

    def __init__(self, answer: Response) -> None:
        self.answer, self.asked = answer, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self.answer(scope, receive, send)


class Kept:
    """Kept pages before a counting application, with their clock and revision at hand."""

    def __init__(self, answer: Response | None = None, most: int = 100) -> None:
        self.now, self.revision = 0.0, 0
        self.app = Rendered(answer or Response(PAGE, media_type="text/html"))
        self.pages = KeptPages(self.app, revision=lambda: self.revision, clock=lambda: self.now, most=most)
        self.web = TestClient(self.pages)


def test_a_page_is_rendered_once_until_something_changes_or_its_time_is_over() -> None:
    kept = Kept()
    for _ in range(3):
        assert kept.web.get("/a?b").text == PAGE
    assert kept.app.asked == 1
    kept.revision += 1
    kept.web.get("/a?b")
    assert kept.app.asked == 2
    kept.now += KEPT_S + 0.1
    kept.web.get("/a?b")
    assert kept.app.asked == 3
    kept.web.get("/a?c")
    assert kept.app.asked == 4


def test_what_tells_of_this_moment_is_kept_briefly() -> None:
    kept = Kept()
    kept.web.get("/status")
    kept.now += BRIEFLY_S + 0.1
    kept.web.get("/status")
    assert kept.app.asked == 2


def test_a_change_while_a_page_is_rendered_makes_it_old() -> None:
    kept = Kept()

    class Changing(Rendered):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            kept.revision += 1
            await super().__call__(scope, receive, send)

    app = Changing(Response(PAGE, media_type="text/html"))
    web = TestClient(KeptPages(app, revision=lambda: kept.revision, clock=lambda: 0.0))
    web.get("/")
    web.get("/")
    assert app.asked == 2


def test_whoever_has_it_is_told_so() -> None:
    web = Kept().web
    tag = web.get("/").headers["etag"]
    again = web.get("/", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert web.get("/", headers={"if-none-match": '"other"'}).status_code == 200


def test_it_is_packed_for_those_who_take_it_and_head_hears_the_length() -> None:
    web = Kept().web
    with web.stream("GET", "/") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "accept-encoding"
        packed = b"".join(answer.iter_raw())
    assert gzip.decompress(packed).decode() == PAGE
    plain = web.get("/", headers={"accept-encoding": "gzip;q=0, br"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["etag"] != answer.headers["etag"]
    head = web.head("/", headers={"accept-encoding": "identity"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(PAGE)))


@pytest.mark.parametrize(
    ("answer", "method", "path"),
    [
        (Response(PAGE, 404, media_type="text/html"), "GET", "/"),
        (Response(PAGE, media_type="application/atom+xml"), "GET", "/"),
        (PlainTextResponse(PAGE), "GET", "/"),
        (Response(PAGE, media_type="text/html"), "POST", "/"),
        (Response(PAGE, media_type="text/html"), "GET", "/feeds/secret"),
        (Response(PAGE, media_type="text/html"), "GET", "/?" + "q" * 1001),
    ],
)
def test_what_is_not_the_same_for_everybody_is_not_kept(answer: Response, method: str, path: str) -> None:
    kept = Kept(answer)
    for _ in range(2):
        assert kept.web.request(method, path).text == PAGE
    assert kept.app.asked == 2


def test_what_is_kept_is_bounded() -> None:
    kept = Kept(most=5)
    for number in (0, 1, 2, 3, 4, 0, 5, 0):  # the sixth makes the one go that nobody asked for longest
        kept.web.get(f"/?{number}")
    assert kept.app.asked == 6
    kept.web.get("/?1")
    assert kept.app.asked == 7
    assert len(kept.pages._pages) == 5


async def body_of(pages: KeptPages, path: str) -> bytes:
    """Return the body that is sent for a path."""
    got: list[bytes] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        got.append(message.get("body", b""))

    await pages({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}, receive, send)
    return b"".join(got)


def test_many_who_ask_at_once_are_one_question() -> None:
    class Slow(Rendered):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0)  # lets the others in
            await super().__call__(scope, receive, send)

    app = Slow(Response(PAGE, media_type="text/html"))
    pages = KeptPages(app, revision=lambda: 0, clock=lambda: 0.0)

    async def everybody() -> list[bytes]:
        return await asyncio.gather(*(body_of(pages, "/") for _ in range(16)))

    assert asyncio.run(everybody()) == [PAGE.encode()] * 16
    assert app.asked == 1


def test_nobody_waits_for_the_turn_of_another_page() -> None:
    done = asyncio.Event()

    class Stuck(Rendered):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/stuck":
                await done.wait()
            await super().__call__(scope, receive, send)

    pages = KeptPages(Stuck(Response(PAGE, media_type="text/html")), revision=lambda: 0)

    async def everybody() -> None:
        stuck = asyncio.create_task(body_of(pages, "/stuck"))
        await asyncio.sleep(0)  # it has begun
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(body_of(pages, f"/{one}") for one in range(1000))) == [PAGE.encode()] * 1000
        assert not stuck.done()
        done.set()
        assert await stuck == PAGE.encode()

    asyncio.run(everybody())
    assert not pages._locks


def test_a_product_that_is_withdrawn_is_gone_at_once() -> None:
    catalogue = Catalogue(MemoryIndex())
    catalogue.publish(sample_product().document(), b"{}")
    web = TestClient(create_app(catalogue))
    assert web.get(PRODUCT).status_code == 200
    catalogue.withdraw(sample_product().id)
    assert web.get(PRODUCT).status_code == 410
    assert "Nothing is listed yet" in web.get("/products").text


def test_files_are_kept_for_ever_under_a_name_with_their_digest() -> None:
    web = client(sample_catalogue(3))
    (named,) = set(re.findall(r'href="(/static/hdex\.[0-9a-f]{12}\.css)"', web.get("/").text))
    answer = web.get(named)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.text == web.get("/static/hdex.css").text
    assert web.get("/static/hdex.css").headers["cache-control"] == "public, max-age=3600"
    assert web.get(named, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    for absent in ("/static/hdex.000000000000.css", "/static/", "/static/../app.py", "/static/%2e%2e/app.py"):
        assert web.get(absent).status_code == 404
    assert web.post(named).status_code == 405


@pytest.mark.parametrize(
    ("accepted", "taken"), [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=0", False), ("", False), ("br", False)]
)
def test_what_a_client_takes_is_read_as_it_says(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) == taken
    assert is_named('"a"', "*")
    assert not is_named('"a"', '"ab"')


def test_a_first_load_is_at_most_100_kB_as_it_travels() -> None:
    """Every page with all it names: the bar of the catalogue, met with a tenth of it."""
    web = client(sample_catalogue(40), contracts=list, status=sample_status)
    assets = Assets("hdex.catalog.web")
    for path in ("/", "/products", PRODUCT, "/contracts", "/status", "/nowhere", f"{PRODUCT}/sheet"):
        for root in ("", "/zh"):
            with web.stream("GET", root + path) as answer:
                page = b"".join(answer.iter_raw())
            html = gzip.decompress(page).decode() if "content-encoding" in answer.headers else page.decode()
            named = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html))
            travels = len(page) + sum(assets.size(name.removeprefix("/static/")) for name in named)
            assert travels <= 100_000, (path, travels)
