"""The catalogue's pages that renew themselves, in a real browser: typing, filters, the way back, and no script."""

from collections.abc import Iterator

import pytest
from tests.catalog.samples import sample_catalogue, sample_status
from tests.catalog.test_browser import CHROMIUM, serving
from tests.pages.browser import Browser, running_browser

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.web.app import create_app
from hdex.catalog.web.status import ExchangeStatus, Trouble

pytestmark = [
    pytest.mark.xdist_group("pages"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
PATIENT = "window.kept = true"  # lost where a page is loaded anew
NO_CLOCK = """addEventListener('htmx:beforeSend', () => asked += 1);
clearTimeout(document.querySelector('#live-line')['htmx-internal-data'].timeout)"""
LOOK = "window.asked = 0; document.dispatchEvent(new Event('visibilitychange')); asked"  # how often it asked for that
SETTLED = "!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, .htmx-added')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as made:
        yield made


class Standing:
    """How the exchange stands, as a test has it."""

    def __init__(self) -> None:
        self.troubles: tuple[Trouble, ...] = ()

    def __call__(self) -> ExchangeStatus:
        return sample_status(*self.troubles)


@pytest.fixture(scope="module")
def standing() -> Standing:
    return Standing()


@pytest.fixture(scope="module")
def site(standing: Standing) -> Iterator[str]:
    held = Catalogue(MemoryIndex())
    for product in sample_catalogue(30):
        held.publish(product.document(), b"{}")
    with serving(create_app(held, contracts=list, status=standing)) as address:
        yield address


def test_typing_finds_without_leaving_the_page(browser: Browser, site: str) -> None:
    browser.open(f"{site}/products")
    before = browser.text("#results-said")
    browser.evaluate(PATIENT)
    browser.evaluate("document.querySelector('#q').focus()")
    for letters in ("h", "iv"):
        browser.type(letters)
    browser.until("location.search === '?q=hiv' && document.title.startsWith('hiv')")
    browser.until("document.querySelector('#results-title').textContent.includes('hiv')")
    assert browser.evaluate("window.kept && document.activeElement.id") == "q"
    assert browser.evaluate("document.querySelector('#q').selectionStart") == 3
    assert browser.text("#results-said") != before  # said by a region that stays: heard by a screen reader
    assert browser.text(".hits-count") == browser.text("#results-said")
    assert browser.evaluate("document.querySelector('#other-language').getAttribute('href')") == "/zh/products?q=hiv"
    assert browser.console() == []


def test_one_search_of_many_letters_is_one_step_back(browser: Browser, site: str) -> None:
    browser.open(f"{site}/products")
    browser.evaluate("document.querySelector('#q').focus()")
    browser.type("ste")
    browser.until("location.search === '?q=ste'")
    browser.type("nt")
    browser.until("location.search === '?q=stent'")
    browser.evaluate("history.back()")
    browser.until("location.search === '' && document.readyState === 'complete'")
    browser.until("!document.querySelector('#results-title q') && document.querySelector('.chips') === null")
    assert browser.console() == []


def test_letters_of_an_unfinished_chinese_word_are_no_search(browser: Browser, site: str) -> None:
    browser.open(f"{site}/zh/products")
    browser.evaluate("document.querySelector('#q').focus()")
    browser.evaluate("window.asked = []; addEventListener('htmx:beforeRequest', e => asked.push(e.detail.xhr && 1))")
    browser.tell("Input.imeSetComposition", text="zhi", selectionStart=3, selectionEnd=3)
    browser.type("支架")
    browser.until("decodeURI(location.search) === '?q=支架'")
    assert browser.evaluate("asked.length") == 1


def test_a_filter_keeps_the_readers_place_and_the_way_back(browser: Browser, site: str) -> None:
    browser.open(f"{site}/products?q=stent")
    option = browser.evaluate("document.querySelector('.facets .option').id")
    browser.evaluate(PATIENT)
    browser.click(f"#{option}")
    browser.until("document.querySelectorAll('.chip').length === 2")
    assert browser.evaluate("window.kept && document.activeElement.id") == option
    browser.until(SETTLED)
    browser.click(".chips .chip")  # the text's own
    browser.until("document.querySelectorAll('.chip').length === 1")
    assert browser.evaluate("window.kept && document.querySelector('#q').value") == ""
    browser.evaluate("history.back()")
    browser.until("location.search.startsWith('?q=stent') && document.querySelectorAll('.chip').length === 2")
    browser.evaluate("history.back()")
    browser.until("location.search === '?q=stent' && document.querySelectorAll('.chip').length === 1")
    assert browser.console() == []


def test_a_link_that_fails_leads_to_the_page_that_says_why(browser: Browser, site: str) -> None:
    browser.open(f"{site}/products")
    browser.evaluate(
        "document.querySelector('.facets .option').insertAdjacentHTML('afterend', '<a id=b href=/nowhere>')"
    )
    browser.evaluate("htmx.process(document.querySelector('#b')); document.querySelector('#b').click()")
    browser.until("location.pathname === '/nowhere' && document.querySelector('h1') !== null")


def test_the_status_renews_itself_and_says_what_is_new(browser: Browser, site: str, standing: Standing) -> None:
    browser.open(f"{site}/status")
    browser.evaluate(f"{PATIENT}; document.querySelector('#checkpoint').open = true")
    standing.troubles = (Trouble.LOG_FAILED,)
    browser.until("document.querySelector('#live-news').textContent === 'Not serving'")
    assert browser.text(".answer-word") == "Not serving"
    assert browser.evaluate("window.kept && document.querySelector('#checkpoint').open") is True
    browser.until("/^[0-9:]{8}$/.test(document.querySelector('#live-at').textContent)")
    assert browser.console() == []


def test_a_server_that_is_away_is_asked_less_often_and_then_again(browser: Browser, site: str) -> None:
    browser.open(f"{site}/status")
    browser.evaluate(NO_CLOCK)
    state = "document.querySelector('#live-line').dataset.state"
    line = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.tell("Network.emulateNetworkConditions", offline=True, **line)
    try:
        assert browser.evaluate(LOOK) == 1
        browser.until(f"{state} === 'away'")
        assert browser.evaluate(LOOK) == 0  # one is left out, then three, seven ... thirty at most
    finally:
        browser.tell("Network.emulateNetworkConditions", offline=False, **line)
    assert browser.evaluate(LOOK) == 1
    browser.until(f"{state} === 'on'")


def test_a_page_that_nobody_sees_asks_nothing(browser: Browser, site: str) -> None:
    browser.open(f"{site}/status")
    browser.evaluate(NO_CLOCK)
    for hidden, asked in (("true", 0), ("false", 1)):
        browser.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})")
        assert browser.evaluate(LOOK) == asked


def test_every_page_works_without_a_script(browser: Browser, site: str) -> None:
    browser.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"{site}/products?q=stent")
        shown = browser.evaluate("getComputedStyle(document.querySelector('.facets')).display !== 'none'")
        href = browser.evaluate("document.querySelector('.facets .option').href")
        assert shown
        assert 'class="chip"' in browser.open(href)
        browser.open(f"{site}/status")
        assert browser.evaluate("getComputedStyle(document.querySelector('#live-line')).display") == "none"
    finally:
        browser.tell("Emulation.setScriptExecutionDisabled", value=False)
