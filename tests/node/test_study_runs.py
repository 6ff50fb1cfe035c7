"""Studies that wait, lose a site, are told or asked again: one record a round, and everybody hears how far it is."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.node.market_stage import BUYER, person
from tests.node.test_studies import Stage

from hdex.federated.errors import SiteLost, StudyInvalid
from hdex.node.buyer import RECONNECTS, follow
from hdex.node.errors import PeerUnavailable, describe
from hdex.node.exchange.study_process import Told
from hdex.node.signed import Envelope


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def ended(study_id: str, told: Told) -> None:
    raise PeerUnavailable("the study's process ended")


def lost(study_id: str, told: Told) -> None:
    raise SiteLost("no answer to round 3 from hospital-b", "plan a new study")


def test_a_round_that_is_told_again_after_a_crash_has_one_record(stage: Stage) -> None:
    """A death between the journal and the log left a round without a record; one behind it, a round with two."""
    plan = stage.plan()
    stage.runner.play = ended
    with pytest.raises(PeerUnavailable):
        stage.start(stage.signed(plan))
    stage.runner.play = lambda study_id, told: None
    stage.serve()
    stage.start(stage.signed(plan))
    seals = [event for event in stage.market.exchange.events() if event.action.value == "round.seal"]
    assert [event.result_digest for event in seals] == [bytes([number]).hex() * 32 for number in (1, 2)]
    assert [fact.kind for fact in stage.market.ledger.facts].count("RoundSealed") == 2


def test_a_study_that_lost_a_site_ends_with_its_words_and_an_event(stage: Stage) -> None:
    stage.runner.play = lost
    with pytest.raises(SiteLost, match="round 3 from hospital-b") as error:
        stage.start(stage.signed(stage.plan()))
    assert describe(error.value).next_step == "plan a new study"
    assert stage.market.exchange.refusals()[-1] == ("study.start", "site-lost")


def test_a_study_that_waits_holds_up_no_other_and_whoever_asks_again_hears_it(stage: Stage) -> None:
    plans = {name: stage.plan(id=name) for name in ("study-1", "study-2")}
    waiting, goes_on = threading.Event(), threading.Event()

    def play(study_id: str, told: Told) -> None:
        if study_id == "study-1":
            told.waiting("round 3 waits for hospital-b")
            waiting.set()
            assert goes_on.wait(60)
            told.waiting("round 3: everybody has answered")

    stage.runner.play = play
    heard: dict[str, list[str]] = {"first": [], "again": []}

    def listen(who: str) -> dict[str, Any]:
        return stage.studies.start(
            stage.signed(plans["study-1"]), person(BUYER), lambda step, words: heard[who].append(words)
        )

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(listen, "first")
        assert waiting.wait(60)
        again = pool.submit(listen, "again")
        assert stage.start(stage.signed(plans["study-2"]))["study"] == "study-2"
        while not heard["again"]:
            waiting.wait(0.01)
        goes_on.set()
        assert first.result() == again.result()
    assert heard["again"] == ["round 3 waits for hospital-b", "round 3: everybody has answered"]
    assert [envelope["document"]["id"] for envelope in stage.runner.runs] == ["study-1", "study-2"]


def test_a_quorum_is_planned_only_where_it_was_asked(stage: Stage) -> None:
    asked: dict[str, Any] = {"kind": "fedavg", "options": {"rounds": 2}, "quorum": 3}
    assert stage.plan(**asked)["quorum"] == 3
    assert stage.plan(id="study-2")["quorum"] == 0
    with pytest.raises(StudyInvalid):
        stage.plan(id="study-3", quorum=3)


class Breaking:
    """An exchange whose line breaks some times, each after a word; with a rule the end is its own word."""

    def __init__(self, times: int, rule: str = "") -> None:
        self.times, self.rule = times, rule

    def start(self, study: Envelope, say: Callable[[str, str], None]) -> dict[str, Any]:
        say("round", "1")
        self.times -= 1
        if self.times >= 0:
            away = PeerUnavailable("cut")
            away.rule = self.rule
            raise away
        return {"rounds": 1}


def test_a_buyer_whose_line_breaks_asks_again_and_believes_the_exchanges_own_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hdex.node.buyer.RECONNECT_S", 0.0)
    said: list[str] = []
    study: Envelope = {"document": {}, "signatures": []}
    line: Any = Breaking(times=RECONNECTS + 5)  # each time something was heard: the count begins anew
    assert follow(line, study, lambda step, words: said.append(step)) == {"rounds": 1}
    assert said.count("waiting") == RECONNECTS + 5
    for ending in (Breaking(1, rule="site-lost"), Breaking(1, rule="peer-unavailable")):
        silent: Any = ending
        with pytest.raises(PeerUnavailable):
            follow(silent, study, lambda step, words: None)
        assert ending.times == 0
