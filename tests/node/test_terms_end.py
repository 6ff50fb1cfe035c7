"""What has a term ends by itself while a node runs, and at its start; an exchange that was away hears of it."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.node.market_doors import ExchangeDoor
from tests.node.market_stage import BUYER
from tests.node.test_lifecycle import OFFICER, PRODUCT, Life

from hdex.catalog.errors import ProductClosed
from hdex.catalog.lifecycle import ProductState
from hdex.node.compose.access import watch_clock
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.hospital.lifecycle import UNTOLD


@pytest.fixture
def life(tmp_path: Path) -> Life:
    life = Life(tmp_path)
    life.list(life.assessed())
    return life


class FarExchange(ExchangeDoor):
    """An exchange that is away, or refuses, until `error` is taken back."""

    error: NodeError | None = None

    def amend(self, step: Any) -> str:
        if self.error is not None:
            raise self.error
        return super().amend(step)


@pytest.mark.parametrize(
    "error", [PeerUnavailable("down"), RemoteRefused("busy", "", "later", status="RESOURCE_EXHAUSTED")]
)
def test_an_exchange_that_is_away_hears_of_the_end_when_it_is_back(life: Life, error: NodeError) -> None:
    door = FarExchange(life.market, "hospital-a")
    life.lifecycle._exchange, door.error = door, error
    life.market.later(days=500)
    assert [held.state for held in life.lifecycle.expire(actor=OFFICER)] == [ProductState.EXPIRED]
    assert life.market.buyers[BUYER].show(PRODUCT)  # it does not know yet
    assert life.lifecycle.expire(actor=OFFICER) == []
    door.error = None
    assert life.lifecycle.expire(actor=OFFICER) == []
    with pytest.raises(ProductClosed):
        life.market.buyers[BUYER].show(PRODUCT)
    assert life.ground.documents.keys(UNTOLD) == []
    ends = [event for event in life.ground.events() if event.action.value == "product.expire"]
    assert len(ends) == 1


def test_an_end_that_the_exchange_refuses_for_good_is_not_told_for_ever(life: Life) -> None:
    door = FarExchange(life.market, "hospital-a")
    life.lifecycle._exchange, door.error = door, RemoteRefused("withdraw.foreign", "", "no")
    life.market.later(days=500)
    life.lifecycle.expire(actor=OFFICER)
    assert life.ground.documents.keys(UNTOLD) == []


def test_a_node_that_died_before_it_told_the_end_tells_it_when_it_is_back(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(_name: str) -> None:
        raise Killed

    life.market.later(days=500)
    with monkeypatch.context() as patched:
        patched.setattr("hdex.node.hospital.lifecycle.failpoint", die)
        with pytest.raises(Killed):
            life.lifecycle.expire(actor=OFFICER)
    assert life.lifecycle.expire(actor=OFFICER) == []
    with pytest.raises(ProductClosed):
        life.market.buyers[BUYER].show(PRODUCT)


def test_a_node_ends_by_itself_what_has_a_term(life: Life) -> None:
    contract = life.market.finalized(life.side.products.all()[0]).contract_id
    lives = life.market.negotiations.lives
    stop, looked, looks = Event(), Event(), list[int]()

    def failing() -> None:
        raise PeerUnavailable("one duty fails")

    def counted() -> None:
        looks.append(1)
        if len(looks) == 1:
            life.market.later(days=500)  # the terms end while the node runs
        else:
            looked.set()

    duties = (failing, lives.sweep, lambda: life.lifecycle.expire(actor=OFFICER), counted)
    watch_clock(stop, *duties, look_s=0.001)
    assert looked.wait(30)
    stop.set()
    states = [held.state for held in life.side.products.versions(PRODUCT)]
    assert states == [ProductState.EXPIRED]
    assert life.market.negotiations.get(contract).life in ("EXPIRED", "OBLIGATIONS_OPEN", "CLOSED")
    assert {"product.expire", "contract.expire"} <= {event.action.value for event in life.ground.events()}
