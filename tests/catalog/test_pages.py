"""The pages, through the application's own door: content, state in the URL, headers; strangers' text stays text."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient
from tests.catalog.samples import federated_only, sample_catalogue, sample_column, sample_product

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.product import Bin, DataProduct, Histogram, Preview, PreviewKind, Provider
from hdex.catalog.terms import Terms, Text
from hdex.catalog.web.app import create_app
from hdex.catalog.web.labels import labels
from hdex.catalog.web.plain import plain_terms

PRODUCT = "/products/hospital-a.carotid-stents"
CONTRACTS: list[dict[str, object]] = [
    {
        "id": "urn:uuid:1",
        "product": "hospital-a.carotid-stents",
        "provider": "hospital-a",
        "consumer": "buyer-heartline",
        "purpose": "DUO:0000007",
        "state": "FINALIZED",
        "updated": "2026-11-21T22:00:00.000Z",
    },
    {
        "id": "urn:uuid:2",
        "product": "hospital-a.carotid-stents",
        "provider": "hospital-a",
        "consumer": "applicant-two",
        "purpose": "HDEX:underwriting",
        "state": "TERMINATED",
        "rule": "purpose.prohibited",
        "updated": "2026-11-21T22:01:00.000Z",
    },
]
TIMELINE: list[dict[str, object]] = [
    {
        "time": "2026-11-20T09:31:00.000Z",
        "action": "product.publish",
        "decision": "allow",
        "node": "hospital-a",
        "index": 4,
    },
    {
        "time": "2026-11-21T09:31:00.000Z",
        "action": "delivery",
        "decision": "deny",
        "node": "hospital-a",
        "index": 9,
        "reason": "grant.revoked",
    },
]


def client(products: list[DataProduct], **given: object) -> TestClient:
    catalogue = Catalogue(MemoryIndex())
    for product in products:
        catalogue.publish(product.document(), b'{"signed": true}')
    app = create_app(catalogue, clock=lambda: datetime(2026, 11, 21, tzinfo=UTC), **given)  # type: ignore[arg-type]
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def web() -> TestClient:
    return client(sample_catalogue(40), contracts=lambda: CONTRACTS, timeline=lambda _: TIMELINE)


EVERY_PAGE = ["/", "/products", "/products?q=stent&level=2", PRODUCT, "/products/hospital-c.hiv-stents", "/contracts"]
FOREIGN_SCRIPT = re.compile(r'<script(?! src="/static/[a-z.]+\.[0-9a-f]{12}\.js" defer></script>)')
BOTH = [page for path in EVERY_PAGE for page in (path, "/zh" + path)]


class Outline(HTMLParser):
    """What a checker of structure needs to know of a page."""

    VOID = frozenset({"meta", "link", "input", "br", "rect", "line", "path", "circle"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name in ("for", "aria-labelledby"):
                self.refers.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")


@pytest.mark.parametrize("path", BOTH)
def test_every_page_is_well_formed_in_both_languages(web: TestClient, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code == 200
    outline = Outline(answer.text)
    assert (outline.faults, outline.open) == ([], [])
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.refers) <= set(outline.ids)
    assert outline.headings[0] == outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    lang = "zh-Hans" if path.startswith("/zh") else "en"
    assert f'<html lang="{lang}">' in answer.text


@pytest.mark.parametrize("path", [*BOTH, "/nothing", "/zh/nothing", "/static/hdex.css"])
def test_every_answer_carries_the_security_headers(web: TestClient, path: str) -> None:
    headers = web.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", [*BOTH, "/nothing"])
def test_no_page_needs_script_inline_style_or_another_host(web: TestClient, path: str) -> None:
    page = web.get(path).text
    assert not FOREIGN_SCRIPT.search(page)
    assert "<style" not in page
    for _, name, value in Outline(page).attributes:
        assert name != "style"
        assert not name.startswith("on")
        if name in ("href", "src", "action"):
            assert not re.match(r"[a-z]+:|//", value), value


def test_the_first_load_is_small(web: TestClient) -> None:
    parts = ("/", "/static/hdex.css", "/static/mark.svg")
    assert sum(len(web.get(path).content) for path in parts) < 100_000
    assert len(web.get(PRODUCT).content) < 60_000


def test_search_works_in_both_languages(web: TestClient) -> None:
    assert "Carotid stents with one-year follow-up" in web.get("/products", params={"q": "carotid"}).text
    assert "颈动脉支架一年随访数据" in web.get("/zh/products", params={"q": "颈动脉"}).text
    assert "Type 2 diabetes follow-up" in web.get("/products", params={"q": "糖尿病"}).text


def test_facets_are_links_with_counts_and_the_url_is_the_state(web: TestClient) -> None:
    page = web.get("/products", params={"level": "3", "provider": "hospital-b"}).text
    assert 'href="/products?level=2&amp;provider=hospital-b"' in page  # another level, the rest kept
    assert 'href="/products?provider=hospital-b"' in page  # the chip takes the level away
    assert page.count('class="chip"') == 2
    assert "Riverside University Hospital" in page


def test_results_come_in_pages(web: TestClient) -> None:
    first, second = (web.get("/products", params={"page": str(number)}).text for number in (1, 2))
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    titles = [set(re.findall(r'href="(/products/[^"]+)"', page)) for page in (first, second)]
    assert not titles[0] & titles[1]


@pytest.mark.parametrize(
    "query", ["level=9", "level=abc", "level=%E4%B8%89", "page=-1", "page=99999999999999", "mode=x", "q=%00", "page=²"]
)
def test_a_state_that_cannot_be_is_passed_over(web: TestClient, query: str) -> None:
    assert web.get(f"/products?{query}").status_code == 200


def test_nothing_found_is_said_with_a_way_out(web: TestClient) -> None:
    page = web.get("/products", params={"q": "moonstone"}).text
    assert "Nothing found" in page
    assert 'class="button" href="/products"' in page
    empty = client([])
    assert "Nothing is listed yet" in empty.get("/products").text
    assert "暂无上架产品" in empty.get("/zh/").text


def test_the_product_page_says_what_was_measured(web: TestClient) -> None:
    page = web.get(PRODUCT).text
    for words in ("Meets preset", "registered", "91.4 %", "0.60 %", "2,500 – 2,600", "CNY 48,000", "I63, I65, I66"):
        assert words in page
    assert sample_product().digest() in page
    assert page.count('class="synthetic"') == 12
    assert "grant.revoked" in page


def test_every_chart_has_a_table_beside_it(web: TestClient) -> None:
    page = web.get(PRODUCT).text
    assert page.count('<svg class="chart"') == page.count('<details class="twin">') == 3


def test_a_level_5_product_shows_no_row_and_no_file(web: TestClient) -> None:
    page = web.get("/products/hospital-c.hiv-stents").text
    assert "No file of this product leaves the hospital" in page
    assert 'class="synthetic"' not in page
    assert "Sealed file" not in page


def test_limits_are_told_with_what_terms_name_for_them() -> None:
    limits = ("DUO:0000025", "DUO:0000027", "DUO:0000028")
    terms = Terms(permitted=("DUO:0000006",), modifiers=limits, months=12, projects=("stroke-2026",))
    said = plain_terms(terms, "en").conditions
    assert said[:3] == (
        "Use for a limited number of months: 12.",
        "Within an approved project only: stroke-2026.",
        "Within an approved institution only.",
    )
    assert plain_terms(terms, "zh").conditions[1] == "仅限获批项目内使用：stroke-2026。"


def test_a_purpose_is_answered_at_once_by_rule(web: TestClient) -> None:
    def answer(**asked: str) -> str:
        return str(web.get(PRODUCT, params=asked).text)

    assert "purpose.prohibited" in answer(purpose="HDEX:underwriting", commercial="yes")
    assert "purpose.disease" in answer(purpose="DUO:0000007", disease="E11")
    assert "approval.ethics" in answer(purpose="DUO:0000007", disease="I65.2")
    assert "purpose.unknown" in answer(purpose="<b>")
    assert "answer-" not in answer()


def test_a_permitted_purpose_is_told_so() -> None:
    open_terms = sample_product(terms=Terms(permitted=("DUO:0000006",)))
    page = client([open_terms]).get(PRODUCT, params={"purpose": "DUO:0000039", "commercial": "yes"}).text
    assert 'class="answer answer-permitted"' in page


def test_contracts_are_listed_with_state_and_rule(web: TestClient) -> None:
    page = web.get("/contracts").text
    assert "FINALIZED · in force" in page
    assert "purpose.prohibited" in page
    assert "FINALIZED · 已生效" in web.get("/zh/contracts").text
    assert "No contract yet" in client([], contracts=list).get("/contracts").text
    assert client([]).get("/contracts").status_code == 404


def test_the_language_switch_keeps_the_state(web: TestClient) -> None:
    assert 'href="/zh/products?q=stent&amp;level=2"' in web.get("/products?q=stent&level=2").text
    assert 'href="/products?q=stent&amp;level=2"' in web.get("/zh/products?q=stent&level=2").text
    assert 'href="//' not in web.get("/zh//elsewhere.test").text


def test_unknown_and_withdrawn_products_have_their_own_pages() -> None:
    catalogue = Catalogue(MemoryIndex())
    catalogue.publish(sample_product().document(), b"{}")
    catalogue.withdraw("hospital-a.carotid-stents")
    web = TestClient(create_app(catalogue))
    gone, unknown, zh = web.get(PRODUCT), web.get("/products/nobody"), web.get("/zh/products/nobody")
    assert (gone.status_code, unknown.status_code, zh.status_code) == (410, 404, 404)
    assert "This product was withdrawn" in gone.text
    assert "This page does not exist" in unknown.text
    assert "页面不存在" in zh.text
    assert web.post("/products").status_code == 405


def test_our_own_fault_is_a_page_without_its_details() -> None:
    def broken() -> list[dict[str, object]]:
        raise RuntimeError("patient 4711")

    answer = client([], contracts=broken).get("/contracts")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "4711" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'


def hostile() -> DataProduct:
    """Return a product whose every free text tries to be markup."""
    return sample_product(
        title=Text(EVIL, EVIL),
        description=Text(EVIL, EVIL),
        keywords=(EVIL,),
        inclusion=(EVIL,),
        provider=Provider("hospital-a", Text(EVIL, EVIL)),
        columns=(sample_column(EVIL, EVIL, EVIL, unit=EVIL, concept=EVIL, method=EVIL, datatype=EVIL),),
        terms=Terms(
            permitted=("DUO:0000007",), diseases=(EVIL,), recipients=(EVIL,), countries=(EVIL,), duties=(EVIL,)
        ),
        quality={EVIL: EVIL},
        preview=Preview(
            kind=PreviewKind.SYNTHETIC,
            rows=({"synthetic": True, EVIL: EVIL},),
            histograms=(Histogram(EVIL, (Bin(EVIL, 20), Bin("b", 30))),),
            generator=EVIL,
            epsilon=1.0,
        ),
    )


@pytest.mark.parametrize("path", ["/", "/products", PRODUCT, "/zh" + PRODUCT, "/contracts", "/products?q=" + EVIL])
def test_markup_in_any_field_stays_text(path: str) -> None:
    rows = [dict.fromkeys(CONTRACTS[0], EVIL) | {"rule": EVIL}]
    events = [dict.fromkeys(("time", "action", "decision", "node", "index", "reason"), EVIL)]
    web = client([hostile()], contracts=lambda: rows, timeline=lambda _: events)
    page = web.get(path).text
    outline = Outline(page)
    assert outline.faults == []
    assert not FOREIGN_SCRIPT.search(page)
    assert "<img" not in page
    assert not any(name.startswith("on") for _, name, _ in outline.attributes)
    assert ">49<" not in page


def test_the_manifest_is_given_as_it_was_signed(web: TestClient) -> None:
    answer = web.get(f"{PRODUCT}/manifest")
    assert answer.content == b'{"signed": true}'
    assert answer.headers["content-type"] == "application/json"
    assert "attachment" in answer.headers["content-disposition"]
    assert (
        web.get(f"{PRODUCT}/dcat", headers={"host": "evil.test"})
        .json()["@id"]
        .startswith("https://exchange.hdex.test/")
    )


def test_head_is_answered_and_no_api_page_is_open(web: TestClient) -> None:
    assert web.head("/products").status_code == 200
    assert {web.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}
    assert web.get("/static/../app.py").status_code == 404


def test_every_label_has_both_languages() -> None:
    for section, entries in labels().items():
        for name, words in entries.items():
            assert set(words) == {"en", "zh"}, f"{section}.{name}"


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


PAIRS = [
    (ink, ground)
    for ink in ("ink", "soft", "accent", "good", "bad", "wait")
    for ground in ("ground", "surface", "sunk")
]
PAIRS += [("accent", "accent-ground"), ("good", "good-ground"), ("bad", "bad-ground"), ("wait", "wait-ground")]
PAIRS += [("ink", "good-ground"), ("ink", "bad-ground"), ("ink", "wait-ground"), ("on-accent", "accent")]
PAIRS += [(f"l{number}", "surface") for number in range(1, 6)]
PAIRS += [("soft", f"{tone}-ground") for tone in ("good", "bad", "wait")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_colours_meets_wcag_aa(web: TestClient, scheme: str) -> None:
    sheet: Callable[[str], dict[str, str]] = lambda text: dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", text))  # noqa: E731
    light, dark = web.get("/static/hdex.css").text.split("@media (prefers-color-scheme: dark)")[:2]
    colours = sheet(light) | (sheet(dark) if scheme == "dark" else {})
    for ink, ground in PAIRS:
        low, high = sorted((luminance(colours[ink]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {ground}"


def test_a_level_5_product_is_found_by_its_level(web: TestClient) -> None:
    page = web.get("/products", params={"level": "5"}).text
    assert federated_only().title.en in page
    assert "<strong>1</strong> product" in page
