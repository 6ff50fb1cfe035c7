"""The sections of a product's page: what an order costs, which versions there are, how a program reaches it."""

import re
from html import unescape

import pytest
from tests.catalog.rich_product import rich_product
from tests.catalog.samples import federated_only, sample_product
from tests.catalog.test_pages import EVIL, PRODUCT, TIMELINE, client

from hdex.catalog.product import DataProduct
from hdex.catalog.quote import Amounts, Order, quote
from hdex.catalog.web.prices import MOST_QUANTITY, Asked, priced
from hdex.catalog.web.product_page import SECTIONS, api_of

RICH = rich_product()
NAMES = tuple(column.name for column in RICH.columns)


def said(product: DataProduct, query: str = "", *, lang: str = "", **given: object) -> str:
    page = client([product], **given).get(f"{lang}/products/{product.id}{query}").text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_sample_is_a_product_that_may_be_published() -> None:
    assert DataProduct.from_document(RICH.document()) == RICH


@pytest.mark.parametrize("lang", ["", "/zh"])
def test_every_section_stands_and_its_tab_leads_there(lang: str) -> None:
    for product in (RICH, sample_product(), federated_only()):
        page = client([product], timeline=lambda _: TIMELINE).get(f"{lang}/products/{product.id}").text
        there = [name for name in SECTIONS if name != "cohort" or product.cohort]
        assert re.findall(r'<a href="#(\w+)">', page) == there
        assert re.findall(r'<section id="(\w+)"', page) == there


def test_dropping_columns_lowers_the_price_by_their_weight() -> None:
    kept = [name for name in NAMES if name != "restenosis"]
    words = said(RICH, "?plan=one_off&quantity=1&" + "&".join(f"columns={name}" for name in kept))
    expected = quote(RICH, Order(columns=tuple(kept)), Amounts())
    assert expected.subtotal_cents == 1_100_000  # 15,000.00 for weight 15, restenosis weighs 4
    assert "CNY 11,000.00" in words
    assert "CNY 11,660.00" in words  # with 6 % tax
    assert "they weigh 11 of 15" in words


def test_a_mandatory_column_cannot_be_left_out() -> None:
    words = said(RICH, "?plan=one_off&columns=sex")
    assert "always included: age_band" in words
    page = client([RICH]).get(f"{PRODUCT}?plan=one_off&columns=sex").text
    assert re.search(r'value="age_band" checked disabled', page)
    assert re.search(r'value="ldl">', page)


def test_each_plan_is_shown_with_the_ground_it_stands_on() -> None:
    words = said(RICH)
    for text in ("CNY 15,000.00", "CNY 200.00", "Notice 2026-7", "CNY 300.00", "per query", "once, for this version"):
        assert text in words
    for text in ("500 a month", "100,000 a month", "Complete deliveries of one contract 3", "7 days", "90 days"):
        assert text in words
    assert "每月" in said(RICH, lang="/zh")


def test_the_plan_that_is_asked_is_reckoned() -> None:
    assert "CNY 1,400.00" in said(RICH, "?plan=per_query&quantity=7")
    months = priced(rich_product(), Asked("subscription", (), 3, is_asked=True), "en")
    assert months.reckoned is not None  # a plan that is not offered: the first one is reckoned, and shown as chosen
    assert [plan.chosen for plan in months.plans] == [True, False]


@pytest.mark.parametrize(
    "query",
    [
        "quantity=-1", "quantity=0", "quantity=abc", "quantity=%C2%B2", "quantity=99999999999999", "plan=%00",
        "plan=one_off&columns=" + "x" * 900, "columns=%3Cb%3E", "plan=" + "p" * 500, "&&&=&columns",
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_is_told_or_passed_over(query: str) -> None:
    answer = client([RICH]).get(f"{PRODUCT}?{query}")
    assert answer.status_code == 200
    assert "<b>" not in answer.text


def test_a_column_that_is_not_there_is_a_problem_in_words() -> None:
    words = said(RICH, "?plan=one_off&columns=ldl&columns=name")
    assert "This cannot be ordered" in words
    assert "'name': not among the 8 columns of the product" in words


def test_what_a_form_may_ask_is_bounded() -> None:
    many = [("columns", f"c{number}") for number in range(5000)]
    asked = Asked.read([*many, ("quantity", "9999999")])
    assert (len(asked.columns), asked.quantity) == (500, MOST_QUANTITY)


def test_versions_are_those_that_are_told_else_the_one_listed() -> None:
    assert "1.0.0 listed 20 Nov 2026" in said(sample_product())
    rows = [
        {"version": "2.1.0", "state": "LISTED", "since": "2026-11-20T00:00:00Z"},
        {"version": "2.0.0", "state": "SUPERSEDED", "since": "2026-11-20T00:00:00Z"},
        {"version": "3.0.0", "state": "NOTICE", "since": "2026-11-21T00:00:00Z"},
    ]
    words = said(RICH, versions=lambda _: rows)
    assert "2.0.0 superseded" in words
    assert "3.0.0 in public notice 21 Nov 2026" in words


def test_the_page_tells_how_to_check_it_offline() -> None:
    assert f"hdex audit export --product {RICH.id} --out evidence.zip" in said(RICH)


@pytest.mark.parametrize("product", [RICH, sample_product(), federated_only()])
def test_the_python_of_the_page_is_python_and_calls_what_there_is(product: DataProduct) -> None:
    from hdex.node.client import Exchange

    text = api_of(product, product.digest()).python
    compile(text, "page", "exec")
    for verb in re.findall(r"exchange\.(\w+)\(", text):
        assert callable(getattr(Exchange, verb))


def test_the_commands_and_calls_of_the_page_are_there() -> None:
    from typer.main import get_command

    from hdex.node.authz import METHODS
    from hdex.node.cli.buy import app

    verbs = get_command(app).commands  # type: ignore[attr-defined]  # a group
    for product in (RICH, federated_only()):
        api = api_of(product, product.digest())
        assert [line.split()[2] for line in api.commands if line.split()[2] not in verbs] == []
        assert [call for call in api.calls if f"/{call}" not in METHODS] == []


def test_renderings_are_those_that_the_record_can_be_told_in() -> None:
    web, plain = client([RICH]), client([sample_product()])
    for name in ("dcat", "healthdcat", "dsp", "croissant"):
        assert web.get(f"{PRODUCT}/{name}").status_code == 200
    assert plain.get(f"{PRODUCT}/healthdcat").status_code == 404
    assert "healthdcat" not in plain.get(PRODUCT).text
    assert web.get(f"{PRODUCT}/dsp").json()["@id"] == api_of(RICH, RICH.digest()).dataset
    assert web.get(f"{PRODUCT}/manifest.exe").status_code == 404


@pytest.mark.parametrize("lang", ["", "/zh"])
def test_the_sheet_is_a_page_that_the_content_policy_lets_stand(lang: str) -> None:
    answer = client([RICH]).get(f"{lang}{PRODUCT}/sheet")
    assert answer.status_code == 200
    assert "<style" not in answer.text
    assert 'href="/static/sheet.' in answer.text


def test_a_stranger_s_rows_stay_text() -> None:
    rows = [{"version": EVIL, "state": EVIL, "since": EVIL}]
    page = client([RICH], versions=lambda _: rows).get(f"{PRODUCT}?plan={EVIL}&columns={EVIL}&quantity={EVIL}").text
    assert "<script" not in page
    assert "<img" not in page


def test_the_sheet_says_every_field_in_the_reader_s_language() -> None:
    from hdex.catalog.documents import to_document
    from hdex.catalog.web.labels import labels

    def names(document: object) -> set[str]:
        if isinstance(document, dict) and set(document) != {"en", "zh"}:
            return set(document).union(*map(names, document.values()))
        return set().union(*map(names, document)) if isinstance(document, list) else set()

    parts = (RICH.publisher, RICH.access_body, RICH.health, RICH.privacy, RICH.price, RICH.notice, RICH.provenance)
    told = set().union(*(names(to_document(part)) for part in parts)) - {column.name for column in RICH.columns}
    assert sorted(told - set(labels()["field"])) == []
    words = sheet_words("/zh")
    for text in ("公立医院", "电子健康档案, 医疗器械", "成本补偿", "类型"):
        assert text in words
    assert "False" not in words


def sheet_words(lang: str) -> str:
    page = client([RICH]).get(f"{lang}{PRODUCT}/sheet").text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
