"""Who gets to the desk's pages: codes, cookies, forms, origins, headers, names of this machine."""

import itertools
import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.node.desk_stage import BASE, DIGEST, OFFICER, PORT, House, Seat, said

from hdex.catalog.web.headers import SECURITY_HEADERS
from hdex.node.sessions import WRONG_PER_CLIENT

PATHS = ("/", "/datasets", "/studies", "/products", "/accesses", "/accesses.csv", f"/studies/{DIGEST}/approve")
APPROVE = f"/studies/{DIGEST}/approve"


@pytest.fixture
def seat(tmp_path: Path) -> Seat:
    return Seat(House(tmp_path), OFFICER)


def approvals(seat: Seat) -> list[str]:
    return [event.action for event in seat.house.record.ground.events() if event.action == "study.approve"]


@pytest.mark.parametrize("root", ["", "/zh"])
def test_without_a_session_every_page_leads_to_sign_in(seat: Seat, root: str) -> None:
    for path, cookie in itertools.product(PATHS, ("", "hdex-desk-8490=x")):
        answer = seat.browser.get(root + path, headers={"cookie": cookie} if cookie else {})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{root}/sign-in")


def test_without_a_session_no_form_does_anything(seat: Seat) -> None:
    seat.house.ask()
    assert seat.send(APPROVE, {"csrf": ""}).headers["location"] == "/sign-in"
    assert approvals(seat) == []


def test_a_code_in_the_address_is_exchanged_and_redirected_away(seat: Seat) -> None:
    code = seat.sessions.issue(seat.who)
    answer = seat.browser.get(f"/sign-in?code={code}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Nothing waits for anybody" in seat.words("/")
    seat.browser.cookies.clear()
    again = seat.browser.get(f"/sign-in?code={code}")
    assert again.status_code == 403
    assert "code.wrong" in said(again.text)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_neither_spend_a_code_nor_shut_the_door(seat: Seat, site: str) -> None:
    """Images of any page that a person visits may ask this machine's own address."""
    code = seat.sessions.issue(seat.who)
    for tried in (code, *["AAAA-BBBB-CCCC-DDDD"] * (WRONG_PER_CLIENT + 1)):
        answer = seat.browser.get(f"/sign-in?code={tried}", headers={"sec-fetch-site": site})
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert seat.browser.get(f"/sign-in?code={code}", headers={"sec-fetch-site": "none"}).status_code == 303


def test_what_a_person_has_seen_is_kept_by_no_browser(seat: Seat) -> None:
    seat.sign_in()
    for path in ("/", "/accesses.csv", "/sign-in", "/nowhere"):
        assert seat.browser.get(path).headers["cache-control"] == "no-store"
    assert "max-age" in seat.browser.get("/static/desk/desk.css").headers["cache-control"]


def test_a_code_is_typed_into_the_form(seat: Seat) -> None:
    code = seat.sessions.issue(seat.who)
    answer = seat.send("/zh/sign-in", {"code": code.lower()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/zh/")
    assert "没有待办事项" in seat.words("/zh/")


def test_the_cookie_is_kept_from_scripts_and_other_sites(seat: Seat) -> None:
    cookie = seat.browser.get(f"/sign-in?code={seat.sessions.issue(seat.who)}").headers["set-cookie"].lower()
    assert cookie.startswith(f"hdex-desk-{PORT}=")
    for part in ("httponly", "samesite=strict", "path=/"):
        assert part in cookie
    assert "domain" not in cookie
    assert "secure" not in cookie


def test_over_tls_the_cookie_is_secure_and_the_host_s(tmp_path: Path) -> None:
    seat = Seat(House(tmp_path), OFFICER, is_tls=True)
    cookie = seat.browser.get(f"/sign-in?code={seat.sessions.issue(seat.who)}").headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "omain" not in cookie


def test_a_planted_token_is_never_adopted(seat: Seat) -> None:
    seat.browser.cookies.set(seat.door.cookie, "planted", domain="127.0.0.1")
    answer = seat.browser.get(f"/sign-in?code={seat.sessions.issue(seat.who)}")
    assert "planted" not in answer.headers["set-cookie"]
    fresh = Seat(seat.house, OFFICER)
    fresh.door = seat.door
    assert seat.browser.get("/", headers={"cookie": f"{seat.door.cookie}=planted"}).status_code in (200, 303)
    assert seat.sessions.find("planted") is None


def test_signing_out_ends_the_session_at_the_server(seat: Seat) -> None:
    seat.sign_in()
    token = seat.browser.cookies[seat.door.cookie]
    answer = seat.send("/sign-out", seat.forms("/")["/sign-out"])
    assert answer.headers["location"] == "/sign-in"
    assert seat.sessions.find(token) is None
    assert seat.browser.get("/", headers={"cookie": f"{seat.door.cookie}={token}"}).status_code == 303


def test_a_session_ends_with_its_certificate(seat: Seat) -> None:
    seat.sign_in()
    seat.denied = frozenset({7})
    assert seat.browser.get("/").status_code == 303


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, True),
        ({"origin": BASE, "sec-fetch-site": ""}, True),  # an older browser
        ({"origin": "null", "sec-fetch-site": "same-origin"}, True),  # under referrer-policy: no-referrer
        ({"origin": "", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "", "sec-fetch-site": ""}, False),
        ({"origin": "null", "sec-fetch-site": ""}, False),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
        ({"origin": BASE, "sec-fetch-site": "same-site"}, False),
        ({"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-site"}, False),  # another server of this machine
        ({"origin": "http://localhost:8490", "sec-fetch-site": ""}, False),
    ],
)
def test_a_form_comes_from_the_desk_s_own_page(seat: Seat, headers: dict[str, str], passes: bool) -> None:
    seat.house.ask()
    seat.sign_in()
    form = seat.forms(APPROVE)[APPROVE]
    answer = seat.send(APPROVE, form, **headers)
    assert (answer.status_code == 303) is passes
    assert bool(approvals(seat)) is passes
    if not passes:
        assert "session.origin" in said(answer.text)


def test_a_form_needs_the_token_of_its_own_session(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.ask()
    mine, other = Seat(house, OFFICER).sign_in(), Seat(house, OFFICER).sign_in()
    foreign = other.forms(APPROVE)[APPROVE]
    for form in ({"other": "x"}, {"csrf": ""}, {"csrf": "guess"}, foreign):
        answer = mine.send(APPROVE, form)
        assert answer.status_code == 403
        assert "session.form" in said(answer.text)
    assert approvals(mine) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"csrf=a&csrf=b", "application/x-www-form-urlencoded"),
        (b"csrf=%ff", "application/x-www-form-urlencoded"),
        (b"\xff=1", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(50)), "application/x-www-form-urlencoded"),
        (b"offer=" + b"x" * 300_000, "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_form_is_refused(seat: Seat, content: bytes, kind: str) -> None:
    seat.sign_in()
    headers = {"origin": BASE, "content-type": kind}
    answer = seat.browser.post("/sign-out", content=content, headers=headers)
    assert answer.status_code == 400
    assert seat.browser.get("/").status_code == 200  # still signed in


def test_the_sign_in_form_too_answers_only_its_own_page(seat: Seat) -> None:
    code = seat.sessions.issue(seat.who)
    assert seat.send("/sign-in", {"code": code}, origin="https://evil.example").status_code == 403
    assert seat.send("/sign-in", {"code": code}).status_code == 303


def test_guessing_shuts_the_form(seat: Seat) -> None:
    for _ in range(WRONG_PER_CLIENT):
        assert seat.send("/sign-in", {"code": "AAAA-BBBB-CCCC-DDDD"}).status_code == 403
    answer = seat.send("/sign-in", {"code": seat.sessions.issue(seat.who)})
    assert "code.attempts" in said(answer.text)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8490", "127.0.0.1.evil.example", ""])
def test_another_name_of_this_machine_is_refused(seat: Seat, host: str) -> None:
    seat.sign_in()
    code = seat.sessions.issue(seat.who)
    for path in ("/", "/sign-in", f"/sign-in?code={code}", "/accesses.csv"):
        assert seat.browser.get(path, headers={"host": host}).status_code == 421
    assert seat.sessions.redeem(code, "x")  # not spent


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nowhere", "/static/desk/desk.css", "/studies/x/approve"])
def test_every_answer_carries_the_headers_that_forbid_frames_and_scripts(seat: Seat, path: str) -> None:
    for answer in (seat.browser.get(path), seat.sign_in().browser.get(path)):
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
    assert "frame-ancestors 'none'" in SECURITY_HEADERS["content-security-policy"]


def test_no_code_and_no_token_reaches_a_log(seat: Seat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    code = seat.sessions.issue(seat.who)
    seat.send("/sign-in", {"code": code})
    token = seat.browser.cookies[seat.door.cookie]
    seat.page("/")
    seat.send("/sign-in", {"code": "AAAA-BBBB-CCCC-DDDD"})
    own = [record for record in caplog.records if record.name.startswith("hdex")]
    told = " ".join(str(vars(record)) for record in own)
    assert own
    assert not any(secret in told for secret in (code, token, "AAAA-BBBB"))


def test_a_token_stands_in_no_address(seat: Seat) -> None:
    seat.sign_in()
    page = seat.page("/")
    token = seat.browser.cookies[seat.door.cookie]
    assert token not in page
    assert not any(urlsplit(link).query for link in page.split('href="')[1:] if "csrf" in link.partition('"')[0])


def test_get_changes_nothing(seat: Seat) -> None:
    seat.house.ask()
    seat.sign_in()
    before = seat.house.record.ground.log.size
    for path in (APPROVE, f"/studies/{DIGEST}/deny", "/sign-out", "/datasets/x/classification/propose"):
        seat.browser.get(path)
    assert seat.house.record.ground.log.size == before
    assert seat.browser.get("/").status_code == 200
