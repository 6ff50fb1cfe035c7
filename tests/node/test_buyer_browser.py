"""The buyer's desk in a real browser: a draft's form draws at both widths, and the console is silent."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.catalog.test_browser import CHROMIUM, browse, serving
from tests.node.buyer_stage import Organisation

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def us(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    made = Organisation(tmp_path_factory.mktemp("buyer"))
    product = made.market.stents()
    made.market.finalized(product)
    return made


@pytest.fixture(scope="module")
def site(us: Organisation) -> Iterator[str]:
    with serving(us.app) as address:
        yield address


def test_the_printed_address_signs_the_browser_in(site: str, us: Organisation) -> None:
    document, console = browse("--dump-dom", f"{site}/zh/sign-in?code={us.sessions.issue(us.who)}")
    assert console == []
    assert "本机构有 1 项待办" in document


@pytest.mark.parametrize(("width", "root"), [(390, "/zh"), (1280, "")])
def test_a_page_is_drawn_at_phone_and_desk_width(
    site: str, us: Organisation, width: int, root: str, tmp_path: Path
) -> None:
    picture, code = tmp_path / "page.png", us.sessions.issue(us.who)
    _, console = browse(f"--window-size={width},1000", f"--screenshot={picture}", f"{site}{root}/sign-in?code={code}")
    drawn = picture.read_bytes()
    assert console == []
    assert struct.unpack(">II", drawn[16:24]) == (width, 1000)
    assert len(drawn) > 20_000  # a blank page of this size has a few kB
