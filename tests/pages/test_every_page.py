"""Every page of every desk, in both languages, before a browser and two judges: nothing may be wrong with it.

The gate looks at it in English on a phone in the dark and in Chinese on a desk in the light; `make soak` in all eight.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI
from tests.catalog.test_browser import serving
from tests.pages.families import FAMILIES, served
from tests.pages.judge import DESK, PHONE, Judge, Judged, missing, sitting
from tests.pages.sites import Site, page_of

pytestmark = [pytest.mark.xdist_group("pages"), pytest.mark.skipif(bool(missing()), reason=missing() or "judged")]
SEEN = {("", PHONE, True), ("/zh", DESK, False)}
PAGES = [
    pytest.param(
        name, root + path, width, dark,
        id=f"{name} {root}{path} {width}{' dark' if dark else ''}",
        marks=() if (root, width, dark) in SEEN else pytest.mark.soak,
    )
    for name, family in FAMILIES.items()
    for path in family.paths
    for root in ("", "/zh")
    for width in (PHONE, DESK)
    for dark in (False, True)
]  # fmt: skip


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with sitting() as made:
        yield made


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, judge: Judge) -> Iterator["Served"]:
    with ExitStack() as stack:
        yield Served(stack, judge, tmp_path_factory)


class Served:
    """Each family is served at its first page, and stays."""

    def __init__(self, stack: ExitStack, judge: Judge, folders: pytest.TempPathFactory) -> None:
        self._stack, self._judge, self._folders = stack, judge, folders
        self._sites: dict[str, Site] = {}

    def page(self, family: str, path: str, width: int, dark: bool) -> Judged:
        if family not in self._sites:
            folder = self._folders.mktemp(family.replace(" ", "-"))
            site = self._sites[family] = self._stack.enter_context(served(family, folder))
            if site.enter:
                self._judge.browser.open(site.address + site.enter)
        return self._judge.page(self._sites[family].at(path), width=width, dark=dark)


@pytest.mark.parametrize(("family", "path", "width", "dark"), PAGES)
def test_a_page_is_valid_html_without_barriers(serve: Served, family: str, path: str, width: int, dark: bool) -> None:
    assert serve.page(family, path, width, dark).faults() == []


BARRED = (
    '<!doctype html><html lang="en"><head><title>t</title><link rel="icon" href="data:,"></head><body><main><h1>t</h1>'
    '<p style="color: #999; background: #fff">pale</p><img src="data:,"><div><p><div></p></div>'
    '<table style="width: 700px"><tr><td>wide</td></tr></table></main></body></html>'
)


HALF = BARRED.replace('lang="en"', 'lang="zh-Hans"').replace("pale", "请求被拒绝：wait until the provider answers")


def test_a_sentence_in_english_on_a_page_in_chinese_is_found(judge: Judge) -> None:
    """Not one in code, not what a person wrote, not a command."""
    app = FastAPI()
    whole = HALF.replace("wait until the provider answers", "<code>wait until the provider answers</code>")
    for path, page in (("/half", HALF), ("/whole", whole.replace("wide", "hdex buy vetting apply FILE"))):
        app.add_api_route(path, page_of(page), response_model=None)
    with serving(app) as address:
        half, all_chinese = judge.page(f"{address}/half"), judge.page(f"{address}/whole")
    assert half.foreign == ["in English: wait until the provider answers"]
    assert all_chinese.foreign == []


def test_what_is_wrong_with_a_page_is_found(judge: Judge) -> None:
    """The judges judge: a pale text, a picture without words, a wrong tag and a wide table are each named."""
    app = FastAPI()
    app.add_api_route("/", page_of(BARRED), response_model=None)
    with serving(app) as address:
        found = judge.page(address)
    assert any(one.startswith("color-contrast:") for one in found.barriers)
    assert any(one.startswith("image-alt:") for one in found.barriers)
    assert any(one.startswith(("close-order", "no-implicit-close")) for one in found.invalid)
    assert found.wider
