"""A participant that asks for it releases nothing while the chain lags; everything else goes on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.node.market_stage import BUYER, Ground, Market, person

from hdex.ledger.anchor import Anchorer
from hdex.ledger.chain_memory import MemoryChain
from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.event import RELEASES, Action, Decision
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.node.anchored import RULE, AnchoredRecorder
from hdex.node.config import ChainPeer
from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.keeper import Keeper

ME = person(BUYER)
LIMIT = timedelta(minutes=30)


class Stage:
    """One hospital whose recorder fails closed, over a chain in memory and a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder)
        self.ground: Ground = self.market.grounds["hospital-a"]
        self.late = timedelta()
        chain = MemoryChain(self.market.ledger, "hospital-a")
        self.anchorer = Anchorer(chain, MemoryOutbox(), "hospital-a", root_at=self.ground.log.root_at, clock=self.clock)
        self.recorder = self.recorder_of(self.anchorer.age)
        self.keeper = Keeper(
            self.ground.log,
            [],
            anchoring=lambda: self.anchorer,
            flush=lambda: None,
            meter=self.ground.meter,
            period_s=1,
        )

    def clock(self) -> datetime:
        return self.market.clock() + self.late

    def recorder_of(self, age: Callable[[], timedelta]) -> AnchoredRecorder:
        return AnchoredRecorder(
            self.ground.log, self.ground.details, node="hospital-a", organisation="A", clock=self.market.clock,
            age=age, limit=LIMIT,
        )  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def released(stage: Stage) -> bool:
    """Return whether data moved."""
    try:
        with stage.recorder.refusals("export", ME), stage.recorder.release("export", ME):
            return True
    except AccessDenied as refused:
        if refused.rule != RULE:
            raise
        return False


def test_nothing_leaves_while_an_entry_waits_too_long_for_its_anchor(stage: Stage) -> None:
    assert released(stage)
    stage.keeper.keep()
    stage.market.ledger.up = False
    assert released(stage)
    stage.keeper.keep()
    told = []
    for minutes in (0, 29, 30, 31, 600):
        stage.late = timedelta(minutes=minutes)
        told.append(released(stage))
    assert told == [True, True, True, False, False]
    stage.market.ledger.up = True
    stage.keeper.keep()
    assert released(stage)


def test_the_refusal_is_an_event_and_names_its_rule(stage: Stage) -> None:
    stage.market.ledger.up = False
    stage.recorder.allow("catalogue.read", ME)
    stage.keeper.keep()
    stage.late = timedelta(hours=1)
    assert not released(stage)
    event = stage.ground.events()[-1]
    assert (event.action, event.decision, event.reason) == (Action.EXPORT, Decision.DENY, RULE)


def test_only_releases_are_stopped(stage: Stage) -> None:
    stage.recorder = stage.recorder_of(lambda: timedelta(days=1))
    stopped = set()
    for action in Action:
        try:
            stage.recorder.allow(action.value, ME)
        except AccessDenied:
            stopped.add(action)
    assert stopped == RELEASES
    stage.recorder.deny("export", ME, "grant.revoked")
    with stage.recorder.release("grant.revoke", ME, rule="by-rule") as receipt:
        assert receipt.index >= 0
    assert stage.ground.events()[-1].reason == "by-rule"


def test_no_chain_at_all_releases_nothing(stage: Stage) -> None:
    def nowhere() -> timedelta:
        raise ChainUnavailable("no chain is configured")

    stage.recorder = stage.recorder_of(nowhere)
    assert not released(stage)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_the_limit_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ConfigInvalid, match="fail_closed_after_s"):
        ChainPeer("http://127.0.0.1:8545", "0x", 1, seconds)
