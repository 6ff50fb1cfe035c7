"""Contracts, deliveries and studies renew themselves at the desks, in a real browser, as the other side acts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.catalog.test_browser import CHROMIUM, serving
from tests.node.buyer_stage import Organisation, contract_of
from tests.node.desk_stage import OFFICER, House, Seat
from tests.pages.browser import Browser, running_browser

from hdex.ledger.event import Action
from hdex.node.sessions import IDLE
from hdex.node.study_diary import StudyDiary

pytestmark = [
    pytest.mark.xdist_group("pages"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
KEPT = "window.kept = true"  # lost where a page is loaded anew
LOOK = "window.asked = 0; document.dispatchEvent(new Event('visibilitychange')); asked"  # how often it asked for that
LOOKED = "document.querySelector('#live-line').dataset.state === 'on'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as made:
        yield made


@pytest.fixture(scope="module")
def us(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    made = Organisation(tmp_path_factory.mktemp("buyer"))
    made.sign_in()
    return made


@pytest.fixture(scope="module")
def product(us: Organisation) -> str:
    return us.market.stents().id


@pytest.fixture(scope="module")
def site(us: Organisation) -> Iterator[str]:
    with serving(us.app) as address:
        yield address


def enter(browser: Browser, site: str, us: Seat) -> None:
    browser.open(f"{site}/sign-in?code={us.sessions.issue(us.who)}")


def reads(us: Organisation) -> int:
    """Return how many readings of contracts the exchange and the hospital remember."""
    grounds = (*us.market.grounds.values(), *us.market.desks.values())
    return sum(event.action is Action.CONTRACT_READ for ground in grounds for event in ground.events())


def test_a_contract_moves_on_its_page_as_both_sides_act(
    browser: Browser, site: str, us: Organisation, product: str
) -> None:
    contract = contract_of(us, product)
    enter(browser, site, us)
    browser.open(f"{site}/contracts/{contract}")
    browser.evaluate(KEPT)
    us.decide(contract)
    browser.until("document.querySelector('#live-news').textContent.startsWith('agreed')")
    assert browser.evaluate("window.kept && document.querySelectorAll('form[action$=accept]').length") == 1
    us.desk_.buyer.accept(contract)
    browser.until("document.querySelector('form[action$=fetch]') !== null")
    us.desk_.fetches.begin(contract)
    browser.until("document.querySelector('#arrived').value === 100")
    browser.until("document.querySelector('#live-news').textContent.includes('·')")
    assert browser.evaluate("window.kept") is True
    assert browser.console() == []


def test_looking_on_leaves_no_event_and_a_pause_asks_nothing(
    browser: Browser, site: str, us: Organisation, product: str
) -> None:
    contract = contract_of(us, product)
    enter(browser, site, us)
    browser.open(f"{site}/contracts/{contract}")
    before = reads(us)
    browser.evaluate("window.looks = 0; addEventListener('htmx:afterRequest', () => looks += 1)")
    browser.evaluate("window.swaps = 0; addEventListener('htmx:afterSwap', () => swaps += 1)")
    browser.evaluate("window.last = 0; addEventListener('htmx:afterRequest', e => last = e.detail.xhr.status)")
    browser.until(f"looks >= 2 && {LOOKED}")
    assert (reads(us), browser.evaluate("swaps")) == (before, 0)  # nothing was new: nothing told, nothing moved
    assert browser.evaluate("last") == 304  # although the browser may keep nothing of a desk
    browser.evaluate("addEventListener('htmx:beforeSend', () => asked += 1)")
    browser.click("#live-pause")
    assert browser.evaluate(LOOK) == 0
    assert browser.evaluate("document.querySelector('#live-line').dataset.state") == "paused"
    assert browser.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    browser.click("#live-pause")
    us.decide(contract, approved=False)
    browser.until("!document.querySelector('#live-line').hasAttribute('data-hx-get')")
    assert "come to its end" in browser.text("#live-line")


def test_a_page_that_renews_itself_keeps_no_session_alive(
    browser: Browser, site: str, us: Organisation, product: str
) -> None:
    contract = contract_of(us, product)
    enter(browser, site, us)
    browser.open(f"{site}/zh/contracts/{contract}")
    shown = browser.text(".timeline")
    us.market.later(seconds=IDLE.total_seconds() - 60)
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(LOOKED)
    us.market.later(seconds=60)
    browser.until("document.querySelector('#live-line a')?.getAttribute('href') === '/zh/sign-in'")
    assert browser.text(".timeline") == shown
    browser.evaluate("addEventListener('htmx:beforeSend', () => asked += 1)")
    assert browser.evaluate(LOOK) == 0


def test_a_study_is_followed_to_its_end(browser: Browser, site: str, us: Organisation) -> None:
    diary = StudyDiary(us.home / "studies", "restenosis-2027")
    diary.begin("summary")
    enter(browser, site, us)
    browser.open(f"{site}/studies/restenosis-2027")
    diary.add("done", "7 rounds over 3 sites")
    browser.until("document.querySelectorAll('.timeline li').length === 2")
    assert browser.text("#live-news") == "7 rounds over 3 sites"
    assert browser.evaluate("document.querySelector('#live-line').hasAttribute('data-hx-get')") is False


def test_a_hospital_sees_a_licence_end_that_a_colleague_ends(browser: Browser, tmp_path: Path) -> None:
    house = House(tmp_path)
    market, seat = house.market, Seat(house, OFFICER)
    market.finalized(market.stents())
    with serving(seat.app) as address:
        enter(browser, address, seat)
        browser.open(f"{address}/contracts/c-1")
        browser.evaluate(KEPT)
        market.negotiations.revoke("c-1", "consent withdrawn", seat.who)
        browser.until("document.querySelector('#live-news').textContent !== ''")
        assert browser.evaluate("window.kept") is True
        assert browser.text(".head-badges .state") == browser.text("#live-news")
        assert browser.console() == []
