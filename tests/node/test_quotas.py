"""Quotas, orders and licences: what was agreed bounds every access, counted from the log."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.node.billing_stage import BUYER, OFFICER, OTHER, BillingStage, priced
from tests.node.market_stage import person, released

from hdex.catalog.contract import Agreement
from hdex.catalog.errors import DocumentInvalid, OutsideAgreement, PriceInvalid
from hdex.catalog.price import PricePlan, Weights
from hdex.catalog.product import DeliveryMode
from hdex.catalog.quota import Quota, QuotaPeriod, Used
from hdex.catalog.quote import Order
from hdex.node.buyer import Wish
from hdex.node.errors import AccessDenied


@pytest.fixture
def stage(tmp_path: Path) -> BillingStage:
    return BillingStage(tmp_path)


def test_a_quota_of_bytes_ends_a_delivery_and_the_refusal_is_remembered(stage: BillingStage) -> None:
    stage.contract(quota=Quota(bytes=800))
    with pytest.raises(OutsideAgreement) as refused:
        stage.market.buyers[BUYER].fetch("c-1")
    assert refused.value.rule == "quota.bytes"
    assert refused.value.next_step == "ask for a contract with more bytes"
    ground = stage.market.hospital.ground
    assert ground.refusals()[-1] == ("export", "quota.bytes")
    assert ground.book.used("c-1").bytes == 768  # one range of three chunks
    record = stage.market.negotiations.get("c-1")
    assert record.agreement is not None
    assert Agreement.from_document(record.agreement["document"]).quota == Quota(bytes=800)


def test_rows_count_with_the_first_range_of_a_delivery_only(stage: BillingStage) -> None:
    stage.contract(quota=Quota(rows=400))
    stage.delivered()
    book = stage.market.hospital.ground.book
    assert book.used("c-1") == Used(rows=400, bytes=book.used("c-1").bytes)
    with pytest.raises(OutsideAgreement) as refused, book.delivering("c-1", Quota(rows=400), rows=1, size=1):
        pytest.fail("a new delivery began beyond the quota")
    assert refused.value.rule == "quota.rows"


def test_a_monthly_quota_is_fresh_in_the_next_month(stage: BillingStage) -> None:
    stage.contract()
    stage.delivered()
    book, quota = stage.market.hospital.ground.book, Quota(rows=400, period=QuotaPeriod.MONTH)
    with pytest.raises(OutsideAgreement), book.delivering("c-1", quota, rows=400, size=1):
        pytest.fail("beyond the month's quota")
    stage.market.later(days=15)
    with book.delivering("c-1", quota, rows=400, size=1):
        pass


def event(stage: BillingStage, action: str, **facts: Any) -> None:
    stage.market.hospital.ground.recorder.allow(action, person("exchange"), contract="c-1", **facts)


def test_rounds_and_queries_are_bounded_and_the_same_round_again_is_free(stage: BillingStage) -> None:
    stage.contract()
    book, quota = stage.market.hospital.ground.book, Quota(rounds=1, queries=1)
    names = ["11" * 32, "22" * 32]
    for _ in range(2):  # attempts at one round
        with book.joining("c-1", quota, round_name=names[0]):
            event(stage, "round.join", policy_digest="aa" * 32, request_digest="bb" * 32, result_digest=names[0])
    with pytest.raises(OutsideAgreement) as refused, book.joining("c-1", quota, round_name=names[1]):
        pytest.fail("a second round was joined while the first is under way")
    assert refused.value.rule == "quota.rounds"
    with book.querying("c-1", quota):
        event(stage, "query.run")
    with pytest.raises(OutsideAgreement), book.querying("c-1", quota):
        pytest.fail("a second query ran")


@pytest.mark.parametrize("kind", ["querying", "joining", "delivering"])
def test_of_many_at_once_only_as_many_get_through_as_are_left(stage: BillingStage, kind: str) -> None:
    stage.contract()
    book = stage.market.hospital.ground.book
    quota = Quota(queries=3, rounds=3, bytes=3)
    opened: dict[str, Callable[[int], AbstractContextManager[None]]] = {
        "querying": lambda _: book.querying("c-1", quota),
        "joining": lambda n: book.joining("c-1", quota, round_name=f"{n:064x}"),
        "delivering": lambda _: book.delivering("c-1", quota, rows=1, size=1),
    }
    facts: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
        "querying": lambda _: ("query.run", {}),
        "joining": lambda n: ("round.join", {"request_digest": f"{n:064x}", "result_digest": f"{n:064x}"}),
        "delivering": lambda _: ("export", {"rows": 1, "bytes": 1}),
    }
    through: list[int] = []

    def use(number: int) -> None:
        try:
            with opened[kind](number):
                action, said = facts[kind](number)
                event(stage, action, **said)
                through.append(number)
        except OutsideAgreement:
            return

    threads = [threading.Thread(target=use, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == 3


# ---- orders ------------------------------------------------------------------------------------------------------


def wished(stage: BillingStage, product: Any, order: Order, mode: str = "federated") -> Wish:
    wish = stage.market.wish(product, mode)
    return Wish(wish.product, mode, wish.access, max_rounds=wish.max_rounds, order=order)


def test_fewer_columns_are_agreed_at_their_price(stage: BillingStage) -> None:
    price = priced().price
    weighed = price.__class__(**{name: getattr(price, name) for name in price.__slots__} | {"weights": Weights(base=2)})
    product = stage.market.list_product(priced(price=weighed), released())
    order = Order(columns=("age_band", "systolic"))
    buyer = stage.market.buyers[BUYER]
    buyer.request(wished(stage, product, order), contract_id="c-f")
    stage.market.negotiations.decide("c-f", OFFICER, approved=True)
    record = buyer.accept("c-f")  # the buyer reckons the same price
    assert record.agreement is not None
    agreed = record.agreement["document"]
    whole = 2 + len(product.columns)
    assert agreed["columns"] == ["age_band", "systolic"]
    assert agreed["price"]["amount_cents"] == round(4_800_000 * 4 / whole)


def test_another_plan_is_agreed_where_it_is_offered(stage: BillingStage) -> None:
    product = stage.market.list_product(priced(plans=(priced("per_round", 900).price,)), released())
    order = Order(plan=PricePlan.PER_ROUND)
    buyer = stage.market.buyers[BUYER]
    buyer.request(wished(stage, product, order), contract_id="c-p")
    stage.market.negotiations.decide("c-p", OFFICER, approved=True)
    record = buyer.accept("c-p")
    assert record.agreement is not None
    assert record.agreement["document"]["price"]["plan"] == "per_round"


def test_an_order_that_is_not_offered_is_refused(stage: BillingStage) -> None:
    product = stage.market.list_product(priced(), released())
    buyer = stage.market.buyers[BUYER]
    with pytest.raises(PriceInvalid, match="offered: one_off"):
        buyer.request(wished(stage, product, Order(plan=PricePlan.PER_QUERY)), contract_id="c-1")
    with pytest.raises(PriceInvalid):
        buyer.request(wished(stage, product, Order(columns=("nowhere",))), contract_id="c-2")
    with pytest.raises(AccessDenied) as refused:
        buyer.request(wished(stage, product, Order(columns=("age_band",)), "sealed_file"), contract_id="c-3")
    assert refused.value.rule == "order.columns"
    paper = stage.market.request_paper(product, BUYER, order={"plan": "cheap"})
    with pytest.raises(DocumentInvalid):
        stage.market.negotiations.consider(paper, person("exchange"))


# ---- licences ----------------------------------------------------------------------------------------------------


def test_of_two_buyers_racing_for_one_licence_one_gets_it(stage: BillingStage) -> None:
    product = stage.market.list_product(priced(max_licences=1), released())
    for contract_id, who in (("c-1", BUYER), ("c-2", OTHER)):
        asked = stage.market.wish(product, recipient=who)
        stage.market.buyers[who].request(asked, contract_id=contract_id)
    refused: list[str] = []

    def decide(contract_id: str) -> None:
        try:
            stage.market.negotiations.decide(contract_id, OFFICER, approved=True)
        except AccessDenied as error:
            refused.append(error.rule)

    threads = [threading.Thread(target=decide, args=(name,)) for name in ("c-1", "c-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["product.licences"]
    states = sorted(record.state for record in stage.market.negotiations.all())
    assert states == ["AGREED", "REQUESTED"]


def test_a_licence_that_ended_makes_room_for_another(stage: BillingStage) -> None:
    stage.contract(max_licences=1)
    product = stage.market.hospital.products.all()[0]
    stage.market.buyers[OTHER].request(stage.market.wish(product, recipient=OTHER), contract_id="c-2")
    with pytest.raises(AccessDenied) as refused:
        stage.market.negotiations.decide("c-2", OFFICER, approved=True)
    assert "1 licence(s) may stand at once" in str(refused.value)
    stage.market.negotiations.revoke("c-1", "the project ended", OFFICER)
    assert stage.market.negotiations.decide("c-2", OFFICER, approved=True).state == "AGREED"
    assert DeliveryMode.SEALED_FILE in product.delivery_modes
