"""A desk under TLS, before a real TLS client: who comes in by certificate, and who needs a code."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from tests.node.desk_stage import HOSPITAL, OFFICER, House, Seat, said

from hdex.node import pki
from hdex.node.compose.desk_line import HOST, door_of
from hdex.node.config import IdentityFiles
from hdex.node.identity import Identity
from hdex.node.pki import Authority, DenyList
from hdex.node.steward import Steward
from hdex.node.web.desk_acts import DeskActs, MemoryDrafts
from hdex.node.web.desk_app import create_desk_app
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_pages import DeskPages
from hdex.node.wire.http_server import serve_browsers

OWN = f"hospital/{HOSPITAL}/{OFFICER}"
NOW = datetime.now(UTC)  # TLS looks at the real clock


@dataclass
class Line:
    """A desk of the officer's that is served under the hospital's certificate."""

    authority: Authority
    folder: Path
    port: int
    door: Door
    who: Identity

    def certificate(self, path: str, authority: Authority | None = None, **life: datetime | float) -> tuple[str, str]:
        """Return files with a certificate and its key."""
        made = pki.issue(authority or self.authority, path, **life)  # type: ignore[arg-type]  # a day or a time
        names = [self.folder / f"{path.replace('/', '-')}-{len(list(self.folder.iterdir()))}.{end}" for end in "ck"]
        for name, content in zip(names, made, strict=True):
            name.write_bytes(content)
            name.chmod(0o600)
        return str(names[0]), str(names[1])

    @contextmanager
    def browser(self, shown: tuple[str, str] | None = None) -> Iterator[httpx.Client]:
        context = ssl.create_default_context(cafile=str(self.authority.folder / "ca.pem"))
        if shown:
            context.load_cert_chain(*shown)
        with httpx.Client(base_url=f"https://{HOST}:{self.port}", verify=context, timeout=60) as made:
            yield made


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("tls")
    authority = pki.init(folder / "ca", "hdex.test")
    certificate, key = pki.issue(authority, f"hospital/{HOSPITAL}")
    for name, content in (("node.pem", certificate), ("node.key", key)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    ca = authority.folder / "ca.pem"
    files = IdentityFiles(folder / "node.pem", folder / "node.key", ca, ca, authority.folder / "denied.txt", ca, ca)
    house = House(folder / "house")
    seat = Seat(house, OFFICER)
    who, denied = seat.who, DenyList(files.denied)
    made = door_of(
        folder, who, 0, denied, domain="hdex.test", tls=True, lets=lambda one: one.spiffe_id == who.spiffe_id
    )
    steward, drafts = Steward(f"{HOSPITAL}/{OFFICER}", house.keys[OFFICER], seat.desk), MemoryDrafts()
    app = create_desk_app(made, DeskPages(steward, drafts), DeskActs(steward, drafts))
    serving = serve_browsers(app, (HOST, 0), files)
    yield Line(authority, folder, serving.port, made, who)
    serving.stop()


def test_the_person_s_own_certificate_opens_the_desk_without_a_code(line: Line) -> None:
    with line.browser(line.certificate(OWN)) as browser:
        answer = browser.get("/")
        assert answer.status_code == 200
        assert "Signed in as privacy officer" in said(answer.text)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-hdex-desk-")
        assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=strict"))
        assert "set-cookie" not in browser.get("/studies").headers  # the session goes on


def test_signing_out_is_not_undone_by_the_certificate(line: Line) -> None:
    with line.browser(line.certificate(OWN)) as browser:
        page = browser.get("/").text
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        own = {"origin": f"https://{HOST}:{line.port}", "sec-fetch-site": "same-origin"}
        answer = browser.post("/sign-out", data={"csrf": csrf}, headers=own)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "Signed in as" not in said(browser.get("/sign-in").text)


def test_another_site_opens_no_session_with_the_browser_s_certificate(line: Line) -> None:
    with line.browser(line.certificate(OWN)) as browser:
        answer = browser.get("/", headers={"sec-fetch-site": "cross-site"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "set-cookie" not in answer.headers


def test_a_page_that_renews_itself_opens_no_session_with_the_browser_s_certificate(line: Line) -> None:
    with line.browser(line.certificate(OWN)) as browser:
        answer = browser.get("/", headers={"hx-request": "true"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        f"hospital/{HOSPITAL}/data_steward",  # what is signed here is signed with the officer's key
        f"hospital/{HOSPITAL}",
        "hospital/hospital-b/privacy_officer",
        "buyer/buyer-heartline",
    ],
)
def test_any_other_certificate_of_the_consortium_is_refused_with_a_reason(line: Line, path: str) -> None:
    with line.browser(line.certificate(path)) as browser:
        answer = browser.get("/")
        assert answer.status_code == 403
        assert "identity-refused" in said(answer.text)
        assert "set-cookie" not in answer.headers


def test_a_revoked_certificate_is_refused_and_ends_its_session(line: Line) -> None:
    shown = line.certificate(OWN)
    serial = x509.load_pem_x509_certificate(Path(shown[0]).read_bytes()).serial_number
    with line.browser(shown) as browser:
        assert browser.get("/").status_code == 200
        pki.revoke(line.authority, serial)
        answer = browser.get("/")
        assert answer.status_code == 403
        assert "revoked" in said(answer.text)


@pytest.mark.parametrize("kind", ["foreign", "expired", "early"])
def test_a_certificate_that_does_not_hold_ends_the_handshake(line: Line, tmp_path: Path, kind: str) -> None:
    if kind == "foreign":
        shown = line.certificate(OWN, pki.init(tmp_path / "ca", "hdex.test"))
    else:
        days = -80 if kind == "expired" else 5
        shown = line.certificate(OWN, now=NOW + timedelta(days=days), days=1)
    with line.browser(shown) as browser, pytest.raises(httpx.TransportError):
        browser.get("/")


def test_without_a_certificate_a_code_is_asked_and_opens(line: Line) -> None:
    with line.browser() as browser:
        answer = browser.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        code = line.door.sessions.issue(line.who)
        assert browser.get(f"/sign-in?code={code}").headers["location"] == "/"
        assert "Signed in as privacy officer" in said(browser.get("/").text)


def test_a_line_without_tls_knows_nobody_by_certificate(tmp_path: Path) -> None:
    seat = Seat(House(tmp_path), OFFICER)
    seat.app.state.certificate = b"x"
    assert seat.browser.get("/").headers["location"] == "/sign-in"
