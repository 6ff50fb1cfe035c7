"""The exchange's status: the page and its JSON tell the same, in both languages, for every trouble."""

from datetime import timedelta
from html import unescape

import pytest
from starlette.testclient import TestClient
from tests.catalog.samples import sample_product, sample_status
from tests.catalog.test_pages import client

from hdex.catalog.errors import IndexUnavailable
from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.ports import Page, Query
from hdex.catalog.web.app import create_app
from hdex.catalog.web.labels import labels
from hdex.catalog.web.status import ExchangeStatus, Health, Trouble, age


def web(status: ExchangeStatus):  # type: ignore[no-untyped-def]  # a test client
    return client([sample_product()], status=lambda: status)


def test_a_well_exchange_says_how_it_stands() -> None:
    page = web(sample_status()).get("/status").text
    told = ("Serving", "1,204", "ab" * 32, "hospital-a", "1 min ago", "3 / 3", "hdex 0.1.0", "running for 3 days")
    for words in told:
        assert words in page
    assert "运行正常" in web(sample_status()).get("/zh/status").text


def test_the_json_says_the_same() -> None:
    said = web(sample_status()).get("/status.json").json()
    assert (said["health"], said["troubles"], said["at"]) == ("serving", [], "2026-11-21T12:00:00Z")
    assert said["log"]["cosigned"][1] == {"witness": "hospital-b", "at": "2026-11-21T11:59:00Z"}
    assert said["anchor"] == {"size": 1200, "block": 88, "waited_s": 4.0}
    assert said["members"][2] == {"role": "hospital", "listed": 3, "online": 3}
    assert said["catalogue"] == {"listed": 32, "newest": "2026-11-20T09:30:00.000Z"}


@pytest.mark.parametrize("trouble", list(Trouble))
@pytest.mark.parametrize("root", ["", "/zh"])
def test_each_trouble_is_told_in_words(trouble: Trouble, root: str) -> None:
    lang = "zh" if root else "en"
    page = unescape(web(sample_status(trouble)).get(f"{root}/status").text)
    assert labels()["trouble"][trouble.value][lang] in page
    assert labels()["status"]["serving"][lang] + "</p>" not in page


def test_a_log_or_index_that_fails_stops_the_exchange_the_rest_limits_it() -> None:
    stops = {Trouble.LOG_FAILED, Trouble.INDEX_AWAY}
    for trouble in Trouble:
        assert sample_status(trouble).health == (Health.FAILED if trouble in stops else Health.DEGRADED)


def test_what_is_not_there_is_told_as_not_there() -> None:
    shown = web(sample_status(Trouble.CHAIN_AWAY, anchor=None, listed=None, newest=None))
    assert shown.get("/status").status_code == 200
    assert shown.get("/status.json").json()["anchor"] is None


def test_no_member_is_named_but_those_who_signed() -> None:
    page = web(sample_status()).get("/status").text + web(sample_status()).get("/status.json").text
    assert "buyer-" not in page


def test_without_a_status_there_is_no_page() -> None:
    bare = client([])
    assert {bare.get(path).status_code for path in ("/status", "/zh/status", "/status.json")} == {404}
    assert "/status" not in bare.get("/").text


@pytest.mark.parametrize(
    ("seconds", "told"), [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")]
)
def test_a_span_is_told_in_the_unit_a_person_would_choose(seconds: int, told: str) -> None:
    assert age(timedelta(seconds=seconds), ("d", "h", "min", "s")) == told


def test_an_index_that_does_not_answer_has_its_own_page() -> None:
    class Away(MemoryIndex):
        def find(self, query: Query) -> Page:
            raise IndexUnavailable("the database does not answer")

    web = TestClient(create_app(Catalogue(Away())), raise_server_exceptions=False)
    for root, words in (("", "The catalogue does not answer now"), ("/zh", "目录暂时无法访问")):
        answer = web.get(f"{root}/products")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert words in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
