"""A quote follows from the manifest: line by line, never dearer with fewer columns, as an invoice will say it."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import PRICE, complete_product, sample_column, sample_product
from tests.catalog.test_money import VECTORS

from hdex.catalog.errors import OutsideAgreement, PriceInvalid, ProductInvalid
from hdex.catalog.price import Price, PriceBasis, PricePlan, Tax, Weights
from hdex.catalog.product import DataProduct, check
from hdex.catalog.quota import Quota, QuotaPeriod, Used, check_quota, require_quota
from hdex.catalog.quote import Amounts, Order, lines_of, ordered_price, quote, units_of
from hdex.catalog.terms import Text

VAT = Text("VAT", "增值税")
NAMES = ("a", "b", "c", "d", "e")


def product(price: Price, names: tuple[str, ...] = NAMES) -> DataProduct:
    return sample_product(columns=tuple(sample_column(name, name, name) for name in names), price=price)


def market(plan: str, amount: int, tax: str | None = None, weights: Weights | None = None) -> Price:
    return Price(
        basis=PriceBasis.MARKET,
        amount_cents=amount,
        currency="CNY",
        plan=PricePlan(plan),
        tax=Tax(VAT, tax) if tax else None,
        weights=weights,
    )


@pytest.mark.parametrize("vector", VECTORS["quotes"], ids=lambda vector: vector["plan"])
def test_a_quote_is_what_is_reckoned_by_hand(vector: dict[str, Any]) -> None:
    given = vector["weights"]
    weights = None if given is None else Weights(**(given | {"mandatory": tuple(given.get("mandatory", ()))}))
    offered = product(market(vector["plan"], vector["amount"], vector["tax"], weights), tuple(vector["of"]))
    check(offered)
    amounts = Amounts(quantity=vector["quantity"], rows=vector["rows"] or None, months=vector["months"])
    found = quote(offered, Order(columns=tuple(vector["columns"])), amounts)
    assert [line.unit_cents for line in found.lines] == [vector["unit"]]
    assert (found.subtotal_cents, found.tax_cents) == (vector["subtotal"], vector["tax_cents"])
    assert found.total_cents == vector["subtotal"] + vector["tax_cents"]


@st.composite
def priced(draw: st.DrawFn) -> DataProduct:
    """Return a product with weights of every kind."""
    weights = Weights(
        base=draw(st.integers(0, 20)),
        columns=draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 50))) | {"e": draw(st.integers(1, 9))},
        mandatory=tuple(draw(st.sets(st.sampled_from(NAMES), max_size=2))),
    )
    tax = draw(st.sampled_from([None, "0.06", "0.125"]))
    return product(market(draw(st.sampled_from(list(PricePlan))), draw(st.integers(1, 10**9)), tax, weights))


@given(priced(), st.sets(st.sampled_from(NAMES), min_size=1), st.sets(st.sampled_from(NAMES)), st.integers(1, 5000))
def test_fewer_columns_never_cost_more(offered: DataProduct, few: set[str], more: set[str], quantity: int) -> None:
    amounts = Amounts(quantity=quantity, months=2)
    less, all_of_it = (quote(offered, Order(columns=tuple(sorted(names))), amounts) for names in (few, few | more))
    whole = quote(offered, Order(), amounts)
    assert 0 <= less.total_cents <= all_of_it.total_cents <= whole.total_cents
    assert quote(offered, Order(columns=NAMES), amounts).total_cents == whole.total_cents


@given(priced(), st.sets(st.sampled_from(NAMES), min_size=1), st.integers(1, 5000))
def test_the_lines_sum_up_and_an_invoice_over_as_many_units_says_the_same(
    offered: DataProduct, names: set[str], quantity: int
) -> None:
    order, amounts = Order(columns=tuple(sorted(names))), Amounts(quantity=quantity)
    found = quote(offered, order, amounts)
    assert found.subtotal_cents == sum(line.amount_cents for line in found.lines)
    agreed = ordered_price(offered, order)
    assert lines_of(agreed, units_of(agreed.plan, amounts, records=offered.records)) == found.lines
    mandatory = offered.price.weights.mandatory if offered.price.weights else ()
    assert set(found.columns) == names | set(mandatory)


def test_a_quote_explains_what_the_columns_did_in_both_languages() -> None:
    weights = Weights(base=1, mandatory=("a",))
    found = quote(product(market("one_off", 600, weights=weights)), Order(columns=("b",)), Amounts())
    said = [text.en for text in found.why]
    assert said == [
        "2 of 5 columns",
        "they weigh 3 of 6: unit price CNY 3.00 instead of CNY 6.00",
        "always included: a",
    ]
    assert all(text.zh for text in found.why)
    plain = quote(product(market("one_off", 600)), Order(columns=("b",)), Amounts())
    assert plain.total_cents == 600
    assert plain.why[-1].en == "this price does not depend on the columns"


def test_another_plan_is_found_among_the_plans() -> None:
    offered = replace(product(market("one_off", 600)), plans=(market("per_query", 7),))
    assert quote(offered, Order(plan=PricePlan.PER_QUERY), Amounts(quantity=3)).total_cents == 21
    with pytest.raises(PriceInvalid, match="offered: one_off, per_query"):
        quote(offered, Order(plan=PricePlan.SUBSCRIPTION), Amounts())


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        (Order(columns=("nowhere",)), Amounts()),
        (Order(), Amounts(quantity=0)),
        (Order(), Amounts(quantity=10**9 + 1)),
        (Order(), Amounts(months=-1)),
        (Order(), Amounts(rows=-1)),
    ],
)
def test_an_order_that_is_none_is_refused(order: Order, amounts: Amounts) -> None:
    with pytest.raises(PriceInvalid):
        quote(product(market("one_off", 600)), order, amounts)


BROKEN: dict[str, Price] = {
    "cost-based without costs": replace(PRICE, cost_sheet=None),
    "cost-based above its costs": replace(PRICE, amount_cents=PRICE.amount_cents + 1),
    "no currency of ISO 4217": replace(PRICE, currency="ABC"),
    "weights of unknown columns": replace(PRICE, weights=Weights(columns={"nowhere": 1})),
    "weights below 0": replace(PRICE, weights=Weights(base=-1)),
    "weights of nothing": market("one_off", 5, weights=Weights(columns=dict.fromkeys(NAMES, 0))),
    "a tax above the whole": market("one_off", 5, tax="1.5"),
    "an amount beyond reckoning": market("one_off", 10**16),
}


@pytest.mark.parametrize("price", BROKEN.values(), ids=BROKEN)
def test_a_price_that_breaks_its_basis_is_no_price(price: Price) -> None:
    with pytest.raises(PriceInvalid):
        check(product(price))


def test_a_public_hospital_needs_a_document_for_market_prices() -> None:
    listed = complete_product(product(market("one_off", 5)))
    with pytest.raises(ProductInvalid, match="document"):
        check(listed)
    check(replace(listed, price=replace(listed.price, document="Price bureau 2026 no. 17")))


# ---- quotas ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_a_quota_lets_through_what_fits_and_nothing_more(bound: int, had: int, more: int) -> None:
    quota = Quota(rows=bound)
    if had + more <= bound:
        require_quota(quota, Used(rows=had), Used(rows=more))
        return
    with pytest.raises(OutsideAgreement) as refused:
        require_quota(quota, Used(rows=had), Used(rows=more))
    assert refused.value.rule == "quota.rows"
    assert refused.value.next_step == "ask for a contract with more rows"
    require_quota(quota, Used(rows=had), Used(queries=more))  # what is not bounded is not counted


def test_a_monthly_quota_says_that_the_next_month_brings_more() -> None:
    with pytest.raises(OutsideAgreement, match="1 of the 5 agreed for this month") as refused:
        require_quota(Quota(queries=5, period=QuotaPeriod.MONTH), Used(queries=4), Used(queries=2))
    assert refused.value.next_step.startswith("wait for the next month")


@pytest.mark.parametrize("quota", [Quota(), Quota(rows=-1), Quota(bytes=2**53)])
def test_a_quota_without_a_bound_is_none(quota: Quota) -> None:
    with pytest.raises(ProductInvalid):
        check_quota(quota)


def test_units_are_pro_rata_thousands_of_rows() -> None:
    assert units_of(PricePlan.PER_1000_ROWS, Amounts(rows=1), records=9) == Fraction(1, 1000)
    assert units_of(PricePlan.PER_1000_ROWS, Amounts(), records=2550) == Fraction(51, 20)
