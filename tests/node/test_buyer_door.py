"""All pages of the buyer's desk alike: each asks for a session, each form for its token; none needs a script."""

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from tests.node.access_stage import PDF
from tests.node.buyer_stage import BASE, PATHS, Organisation, furnish
from tests.node.desk_stage import SCRIPT, said

from hdex.catalog.web.headers import SECURITY_HEADERS

VALUES = {"product": "hospital-a.priced", "name": "r-2", "contract": "c-agreed", "provider": "hospital-a",
          "number": "hospital-a-2026-000001", "study": "restenosis-2026", "act": "withdraw"}  # fmt: skip
OPEN = ("/sign-in", "/zh/sign-in")


@pytest.fixture(scope="module")
def us(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    made = Organisation(tmp_path_factory.mktemp("buyer"))
    furnish(made)
    return made


def addresses(us: Organisation, method: str) -> Iterator[str]:
    """Yield every address of the application that answers a method."""
    for route in us.app.routes:
        if isinstance(route, APIRoute) and method in (route.methods or ()) and route.path not in OPEN:
            yield re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], route.path)


def memory(us: Organisation) -> tuple[object, ...]:
    """Return everything that a form could have changed: logs of all, and the organisation's own folders."""
    logs = [ground.log.size for ground in (*us.market.grounds.values(), *us.market.desks.values())]
    files = {str(path): path.stat().st_mtime_ns for path in us.home.rglob("*") if path.is_file()}
    return (*logs, files)


def test_without_a_session_every_page_and_every_form_leads_to_sign_in(us: Organisation) -> None:
    before, held = memory(us), dict(us.browser.cookies)
    us.browser.cookies.clear()
    try:
        found = [("GET", path) for path in addresses(us, "GET")] + [("POST", path) for path in addresses(us, "POST")]
        assert len(found) > 50
        for method, path in found:
            answer = us.browser.request(method, path, headers={"origin": BASE})
            root = "/zh" if path.startswith("/zh/") else ""
            assert (answer.status_code, answer.headers["location"]) == (303, f"{root}/sign-in"), path
    finally:
        us.browser.cookies.update(held)
    assert memory(us) == before


@pytest.mark.parametrize(
    ("token", "origin"), [("guess", BASE), ("", BASE), ("own", "https://evil.example"), ("own", "null"), ("own", "")]
)
def test_no_form_does_anything_without_its_token_and_its_page(us: Organisation, token: str, origin: str) -> None:
    own = re.findall(r'name="csrf" value="([^"]+)"', us.page("/"))[0]
    headers = {"origin": origin} if origin else {}
    before = memory(us)
    for path in addresses(us, "POST"):
        fields = {"csrf": own if token == "own" else token, "text": "x", "reason": "x"}
        file = {"paper": ("x.pdf", PDF)} if path.endswith("/submit") else None
        answer = us.browser.post(path, data=fields, files=file, headers=headers)
        assert answer.status_code == 403, path
        assert ("session.origin" if origin != BASE else "session.form") in said(answer.text), path
    assert memory(us) == before


def test_every_answer_carries_the_headers_that_forbid_frames_and_scripts(us: Organisation) -> None:
    for path in addresses(us, "GET"):
        answer = us.browser.get(path)
        assert all(answer.headers[name] == value for name, value in SECURITY_HEADERS.items()), path


def test_a_file_is_taken_only_where_one_is_asked_for(us: Organisation) -> None:
    csrf = re.findall(r'name="csrf" value="([^"]+)"', us.page("/"))[0]
    before = memory(us)
    answer = us.browser.post(
        "/requests/r-2/save", data={"csrf": csrf}, files={"paper": ("x", PDF)}, headers={"origin": BASE}
    )
    assert answer.status_code == 400
    plain = us.browser.post("/requests/r-2/submit", data={"csrf": csrf}, headers={"origin": BASE})
    assert "multipart/form-data" in said(plain.text)
    assert memory(us) == before


@pytest.mark.parametrize("root", ["", "/zh"])
def test_every_page_stands_in_both_languages_without_script_or_foreign_source(us: Organisation, root: str) -> None:
    for path in PATHS:
        lost = path in ("/nowhere", "/contracts/nobodys")
        page = us.page(root + path, 404 if lost else 200)
        assert f'lang="{"zh-Hans" if root else "en"}"' in page
        assert not re.search(SCRIPT + r"|\son\w+=|style=|(src|href)=\"(https?:)?//|http-equiv=\"refresh", page), path
        (other,) = re.findall(r'class="lang-switch" href="([^"]+)"', page)
        assert lost or us.page(other.replace("&amp;", "&"))
