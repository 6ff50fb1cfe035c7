"""The desk in a real browser: it signs in by the printed address, draws at both widths, and the console is silent."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.catalog.test_browser import CHROMIUM, browse, serving
from tests.node.desk_stage import OFFICER, House, Seat

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    house = House(tmp_path_factory.mktemp("house"))
    house.ask()
    return Seat(house, OFFICER)


@pytest.fixture(scope="module")
def site(seat: Seat) -> Iterator[str]:
    with serving(seat.app) as address:
        yield address


def test_the_printed_address_signs_the_browser_in(site: str, seat: Seat) -> None:
    document, console = browse("--dump-dom", f"{site}/sign-in?code={seat.sessions.issue(seat.who)}")
    assert console == []
    assert "Signed in as privacy officer" in document
    assert "Decide on the study restenosis-2026" in document


@pytest.mark.parametrize(("width", "root"), [(390, "/zh"), (1280, "")])
def test_a_page_is_drawn_at_phone_and_desk_width(site: str, seat: Seat, width: int, root: str, tmp_path: Path) -> None:
    picture, code = tmp_path / "page.png", seat.sessions.issue(seat.who)
    _, console = browse(f"--window-size={width},1000", f"--screenshot={picture}", f"{site}{root}/sign-in?code={code}")
    drawn = picture.read_bytes()
    assert console == []
    assert struct.unpack(">II", drawn[16:24]) == (width, 1000)
    assert len(drawn) > 20_000  # a blank page of this size has a few kB
