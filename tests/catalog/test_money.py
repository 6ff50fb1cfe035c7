"""Money is whole minor units; amounts round half to even, and parts sum to the whole."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.invoice import Left, credited_net
from hdex.catalog.money import apportion, minor_digits, rate_of, rounded, say, to_decimal, to_minor
from hdex.catalog.revenue import Revenue, SplitRule, cleared, own_split, pool, split_revenue

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "prices.json").read_text("utf-8"))
NAMES = st.text("abcdefghij", min_size=1, max_size=6)


@pytest.mark.parametrize(("currency", "amount", "minor"), VECTORS["minor_units"])
def test_an_amount_is_whole_minor_units_of_its_currency(currency: str, amount: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor
    assert f"{to_decimal(minor, currency):f}" == amount


@pytest.mark.parametrize(("currency", "amount"), VECTORS["refused_amounts"])
def test_an_amount_is_never_rounded_to_fit(currency: str, amount: str) -> None:
    with pytest.raises(PriceInvalid):
        to_minor(amount, currency)


@pytest.mark.parametrize(("exact", "minor"), VECTORS["half_even"])
def test_a_half_goes_to_the_even_unit(exact: str, minor: int) -> None:
    assert rounded(Fraction(exact)) == minor


@pytest.mark.parametrize(("total", "weights", "parts"), VECTORS["apportion"])
def test_an_amount_is_split_by_largest_remainders(total: int, weights: dict[str, int], parts: dict[str, int]) -> None:
    assert apportion(total, weights) == parts


@given(st.integers(0, 10**12), st.dictionaries(NAMES, st.integers(0, 10**6), min_size=1, max_size=12))
def test_the_parts_sum_to_the_amount_and_are_within_one_unit_of_their_share(
    total: int, weights: dict[str, int]
) -> None:
    parts = apportion(total, weights)
    assert sum(parts.values()) == total
    assert parts == apportion(total, dict(reversed(weights.items())))  # the order of the parties says nothing
    whole = sum(weights.values())
    for name, part in parts.items():
        share = Fraction(weights[name], whole) if whole else Fraction(1, len(weights))
        assert abs(part - share * total) < 1


def test_the_whole_is_refused_without_parties_or_with_a_debt() -> None:
    refused: list[tuple[int, dict[str, int | Fraction]]] = [(5, {}), (-1, {"a": 1}), (1, {"a": -1})]
    for total, weights in refused:
        with pytest.raises(PriceInvalid):
            apportion(total, weights)


def test_an_amount_is_written_as_a_reader_of_each_language_does() -> None:
    assert (say(4_800_000, "CNY", "en"), say(4_800_000, "CNY", "zh")) == ("CNY 48,000.00", "48,000.00 元")
    assert say(480, "JPY", "en") == "JPY 480"
    assert {minor_digits(one) for one in ("BHD", "CNY", "VND")} == {3, 2, 0}


@pytest.mark.parametrize("text", ["1.01", "-0.1", "0.1234567", "6%", "", "1e-2"])
def test_a_rate_is_a_decimal_text_up_to_one(text: str) -> None:
    with pytest.raises(PriceInvalid):
        rate_of(text)


# ---- who gets what -----------------------------------------------------------------------------------------------

FEE = Revenue(rule=SplitRule.ROWS, fee_basis_points=250, platform="exchange")


def test_a_fee_comes_first_and_the_rest_is_split_by_rows() -> None:
    split = split_revenue(100_001, FEE, {"hospital-a": 400, "hospital-b": 100})
    assert (split.fee, split.platform) == (2_500, "exchange")  # 2500.025
    assert split.parts == {"hospital-a": 78_001, "hospital-b": 19_500}  # 78000.8 and 19500.2


def test_a_shapley_value_below_zero_earns_nothing() -> None:
    rule = Revenue(rule=SplitRule.SHAPLEY)
    assert split_revenue(90, rule, {"a": 0.25, "b": -3.0, "c": 0.5}).parts == {"a": 30, "b": 0, "c": 60}


def test_a_provider_without_a_rule_keeps_all() -> None:
    assert own_split(77, None, "hospital-a").parts == {"hospital-a": 77}
    shared = Revenue(shares={"hospital-a": 3, "hospital-b": 1})
    assert own_split(10, shared, "hospital-a").parts == {"hospital-a": 8, "hospital-b": 2}  # 7.5 each way: by name


@given(
    st.integers(0, 10**12),
    st.integers(0, 10_000),
    st.dictionaries(NAMES, st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=12),
)
def test_fee_and_parts_are_the_amount_to_the_last_unit(amount: int, points: int, weights: dict[str, float]) -> None:
    rule = Revenue(rule=SplitRule.SHAPLEY, fee_basis_points=points, platform="exchange")
    split = split_revenue(amount, rule, weights)
    assert split.fee + sum(split.parts.values()) == amount
    assert all(part >= 0 for part in split.parts.values())


@pytest.mark.parametrize(
    "rule",
    [
        Revenue(fee_basis_points=10_001, platform="exchange"),
        Revenue(fee_basis_points=1),
        Revenue(platform="=cmd", fee_basis_points=1),
        Revenue(shares={"hospital-a": 0}),
        Revenue(shares={"hospital-a": -1, "hospital-b": 5}),
        Revenue(rule=SplitRule.ROWS, shares={"hospital-a": 1}),
        Revenue(platform="exchange", fee_basis_points=1, shares={"exchange": 1}),
    ],
)
def test_a_rule_that_cannot_be_carried_out_is_refused(rule: Revenue) -> None:
    with pytest.raises(PriceInvalid):
        split_revenue(100, rule, {"hospital-a": 1})


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(PriceInvalid):
        split_revenue(100, Revenue(rule=SplitRule.SHAPLEY), {"a": float("nan")})


# ---- pools -------------------------------------------------------------------------------------------------------

AMOUNTS = st.dictionaries(NAMES, st.integers(0, 10**9), min_size=1, max_size=8)


def test_hospitals_that_earned_unequally_share_by_rows() -> None:
    earned = {"hospital-a": 1_000, "hospital-b": 0, "hospital-c": 500}
    found = pool(earned, FEE, {"hospital-a": 1, "hospital-b": 1, "hospital-c": 2})
    assert (found.split.fee, found.split.parts) == (38, {"hospital-a": 366, "hospital-b": 365, "hospital-c": 731})
    assert [(one.payer, one.payee, one.amount) for one in found.transfers] == [
        ("hospital-a", "exchange", 38),
        ("hospital-a", "hospital-b", 365),
        ("hospital-a", "hospital-c", 231),
    ]


@given(AMOUNTS, AMOUNTS, st.integers(0, 10_000))
def test_after_the_transfers_everybody_holds_what_is_due(
    earned: dict[str, int], weights: dict[str, int], points: int
) -> None:
    known = dict.fromkeys(earned, 0) | weights
    found = pool(earned, Revenue(rule=SplitRule.ROWS, fee_basis_points=points, platform="z-exchange"), known)
    held = dict(earned)
    for one in found.transfers:
        assert one.amount > 0
        held[one.payer] -= one.amount
        held[one.payee] = held.get(one.payee, 0) + one.amount
    due = dict(found.split.parts) | {"z-exchange": found.split.fee}
    assert {name: left for name, left in held.items() if left} == {name: left for name, left in due.items() if left}
    assert cleared(held, due) == ()


def test_who_earned_is_part_of_the_split() -> None:
    with pytest.raises(PriceInvalid, match="hospital-b earned"):
        pool({"hospital-b": 5}, Revenue(rule=SplitRule.ROWS), {"hospital-a": 1})
    with pytest.raises(PriceInvalid):
        pool({"hospital-a": -5}, Revenue(rule=SplitRule.ROWS), {"hospital-a": 1})


# ---- credits -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.lists(st.integers(1, 10**6), max_size=8))
def test_credits_in_parts_sum_to_net_and_tax_of_the_whole(net: int, tax: int, asked: list[int]) -> None:
    left = Left(net + tax, net)
    for amount in [*asked, net + tax]:  # the last takes whatever is left
        part = min(amount, left.total_cents)
        if not part:
            break
        given = credited_net(left, part)
        assert 0 <= given <= part
        left = Left(left.total_cents - part, left.net_cents - given)
        assert 0 <= left.net_cents <= left.total_cents
    assert left == Left(0, 0)
