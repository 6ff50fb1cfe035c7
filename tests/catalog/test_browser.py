"""The pages in a real browser: they draw, in both languages and widths, and the console stays silent."""

import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from tests.catalog.samples import sample_catalogue

from hdex.catalog.index import Catalogue
from hdex.catalog.index_sqlite import SqliteIndex
from hdex.catalog.web.app import create_app
from hdex.catalog.web.headers import SecurityHeaders

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --enable-logging=stderr"
)
PATHS = ("/", "/zh/products?level=2", "/products/hospital-a.carotid-stents", "/zh/contracts")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class ReadyServer(uvicorn.Server):
    """Says when it listens, so that nobody has to wait by the clock."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        self.ready.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    server = ReadyServer(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.ready.wait(20)
    yield server.address
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    catalogue = Catalogue(SqliteIndex(tmp_path_factory.mktemp("index") / "index.sqlite"))
    for product in sample_catalogue(30):
        catalogue.publish(product.document(), b"{}")
    with serving(create_app(catalogue, contracts=list, timeline=lambda _: ())) as address:
        yield address


def browse(*asked: str) -> tuple[str, list[str]]:
    """Return what the browser printed and what its console said."""
    with TemporaryDirectory() as profile:
        command = [str(CHROMIUM), *QUIET.split(), f"--user-data-dir={profile}", *asked]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("path", PATHS)
def test_the_console_stays_silent(site: str, path: str) -> None:
    document, console = browse("--dump-dom", site + path)
    assert console == []
    assert "</footer>" in document


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_drawn_at_phone_and_desk_width(site: str, width: int, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    address = f"{site}/zh/products/hospital-a.carotid-stents"
    _, console = browse(f"--window-size={width},1600", f"--screenshot={picture}", address)
    drawn = picture.read_bytes()
    assert console == []
    assert struct.unpack(">II", drawn[16:24]) == (width, 1600)
    assert len(drawn) > 30_000  # a blank page of this size has under 10 kB


def test_an_inline_style_would_be_heard() -> None:
    """The policy is in force in the browser, and this file would notice a breach of it."""
    app = FastAPI()
    app.add_middleware(SecurityHeaders)
    page = HTMLResponse('<!doctype html><link rel="icon" href="data:,"><p style="color: red">styled</p>')
    app.add_api_route("/", lambda: page, response_model=None)
    with serving(app) as address:
        assert any("Content Security Policy" in line for line in browse("--dump-dom", address)[1])
