"""A study whose participants are killed, or stopped, at every named instant ends where it would have ended.

In the gate the story's own study has lived through DEATHS; under HDEX_SOAK=1 each instant of the table has its own.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.journeys.stage import DEATHS, Stage, eventually, patiently, silent
from tests.journeys.test_round import question

from hdex.node.demo.setting import HOSPITALS
from hdex.node.failpoint import names
from hdex.node.hospital.study_approvals import Said

pytestmark = [pytest.mark.fault, pytest.mark.xdist_group("studies")]
SITE = HOSPITALS[2]
LONG = os.environ.get("HDEX_SOAK") == "1"
INSTANTS = {  # named instant -> whose process dies there; those of `study` are the exchange's child
    "site.round.joined": SITE,  # admitted and charged, nothing summed
    "site.round.summed": SITE,  # encrypted, not kept
    "site.round.kept": SITE,  # kept, not remembered
    "site.round.submit": SITE,  # remembered, not sent
    "study.replies.gathered": "exchange",  # all replies, no sum
    "study.sum.received": "exchange",  # the sum, no row in the journal
    "study.round.committed": "exchange",  # the row, not told
    "exchange.study.started": "exchange",
    "exchange.round.kept": "exchange",  # contributions kept, sum not asked
    "exchange.sum.received": "exchange",  # sum opened, not handed on
    "exchange.round.committed": "exchange",  # the row, no record in the log
    "exchange.round.logged": "exchange",  # the record, not on the chain
    "exchange.round.sealed": "exchange",  # on the chain, not told
    "exchange.result.kept": "exchange",
    "keyholder.sum.kept": "keyholder",  # opened, not remembered
    "keyholder.sum.opened": "keyholder",  # remembered, not said
}
ONCE = ("exchange.study.started", "exchange.result.kept")
ROOMS = ("site.", "study.", "keyholder.", "exchange.study.", "exchange.round.", "exchange.sum.", "exchange.result.")
Say = Callable[[str, str], None]


def plan(stage: Stage, study_id: str, **more: Any) -> dict[str, Any]:
    """Return the story's own question under contracts of its own, agreed while everybody is there."""
    contracts = {
        hospital: patiently(lambda at=hospital: stage.agree(at, "federated", study_id))  # type: ignore[misc]  # bound now
        for hospital in HOSPITALS
    }
    return question(stage, study_id, contracts) | more


def ask(stage: Stage, asked: dict[str, Any], say: Say = silent) -> dict[str, Any]:
    """Return the answer, whoever dies on the way."""
    return patiently(lambda: stage.memory.cast.buyer.study(asked, say))


def answer(document: dict[str, Any]) -> dict[str, Any]:
    """Return what was found, without what names the run or has its length."""
    names_the_run = {"study_id", "study_digest", "crossed", "bytes_per_site"}
    return {name: value for name, value in document.items() if name not in names_the_run}


@pytest.fixture(scope="module")
def quiet(stage: Stage) -> dict[str, Any]:
    """The answer to the story's question when nobody dies."""
    stage.reach("federate")
    return ask(stage, plan(stage, "study-quiet"))


def require_whole(stage: Stage, found: dict[str, Any]) -> None:
    """Nobody computed twice, what was sent again was the same, and each round has one record in the ledger."""
    digest, rounds = found["study_digest"], found["rounds"]
    for hospital in HOSPITALS:
        sent = [event for event in allowed(stage, hospital, "round.submit") if event["policy_digest"] == digest]
        computed = Counter(event["request_digest"] for event in sent if event.get("rows") is not None)
        assert set(computed.values()) <= {1}  # none where death fell between keeping and telling
        assert len({event["request_digest"] for event in sent}) == rounds
        assert len({event["result_digest"] for event in sent}) == rounds
        joined = [event for event in allowed(stage, hospital, "round.join") if event["policy_digest"] == digest]
        charged = Counter(event["request_digest"] for event in joined if event.get("epsilon"))
        assert set(charged.values()) <= {1}
    sealed = Counter(
        e["result_digest"] for e in allowed(stage, "exchange", "round.seal") if e["request_digest"] == digest
    )
    assert (len(sealed), set(sealed.values())) == (rounds, {1})


def allowed(stage: Stage, participant: str, action: str) -> list[dict[str, Any]]:
    events = patiently(lambda: stage.events(participant))
    return [event for event in events if event["action"] == action and event["decision"] == "allow"]


def test_every_named_instant_of_a_study_stands_in_the_table() -> None:
    assert {name for name in names() if name.startswith(ROOMS)} == set(INSTANTS)


def test_after_deaths_of_all_who_take_part_the_answer_is_the_same_to_the_last_bit(
    stage: Stage, quiet: dict[str, Any]
) -> None:
    memory = stage.reach("federate")
    assert sum(point.partition(":")[0] in INSTANTS for points in DEATHS["studies"].values() for point in points) >= 6
    assert answer(memory.study) == answer(quiet)
    require_whole(stage, memory.study)


def test_a_hospital_that_is_stopped_is_awaited_by_name_until_it_goes_on(stage: Stage, quiet: dict[str, Any]) -> None:
    asked, said = plan(stage, "study-stopped"), list[str]()
    pid = stage.supervisor.pids()[SITE]
    with ThreadPoolExecutor(1) as runner:
        os.kill(pid, signal.SIGSTOP)
        try:
            running = runner.submit(ask, stage, asked, lambda step, words: said.append(f"{step}: {words}"))
            awaited = f"waiting: round 1 waits for {SITE} (not connected) since "
            eventually(lambda: any(line.startswith(awaited) for line in said), awaited)
        finally:
            os.kill(pid, signal.SIGCONT)
        found = running.result()
    assert answer(found) == answer(quiet)
    require_whole(stage, found)
    assert "waiting: round 1: everybody has answered" in said


def deaths() -> list[tuple[str, int]]:
    """Return (instant, at which of its times)."""
    return [(instant, at) for instant in INSTANTS for at in (1, 2) if at == 1 or instant not in ONCE]


@pytest.mark.soak
@pytest.mark.parametrize(("instant", "at"), deaths())
def test_a_death_at_any_instant_changes_no_bit(stage: Stage, quiet: dict[str, Any], instant: str, at: int) -> None:
    who, asked = INSTANTS[instant], plan(stage, f"study-{instant}-{at}")
    lives = child_deaths(stage)
    stage.supervisor.arm(who, f"{instant}:{at}")
    found = ask(stage, asked)
    assert stage.supervisor.restarts_of(who) + child_deaths(stage) - lives == 1
    assert answer(found) == answer(quiet)
    require_whole(stage, found)


@pytest.mark.parametrize("instant", [name for name in INSTANTS if name.startswith("site.")][: None if LONG else 1])
def test_a_death_of_a_hospital_costs_no_epsilon(stage: Stage, instant: str) -> None:
    asked = plan(stage, f"study-private-{instant}", kind="count", target="", privacy={"epsilon": 0.5})
    for hospital, contract in asked["contracts"].items():
        rule = Said("approve", contract=contract, kind="count", expires="2199-01-01T00:00:00.000Z")
        stage.officer(hospital).sign("decision", contract, rule.document())
    stage.supervisor.arm(SITE, instant)
    found = ask(stage, asked)
    assert stage.supervisor.restarts_of(SITE) == 1
    require_whole(stage, found)
    for hospital in HOSPITALS:
        joined = [e for e in allowed(stage, hospital, "round.join") if e["policy_digest"] == found["study_digest"]]
        assert 0 < sum(event.get("epsilon") or 0.0 for event in joined) <= 0.5


def child_deaths(stage: Stage) -> int:
    """Return how often the exchange has told that a study's process died."""
    return sum(line["message"] == "a study's process died" for line in stage.log_lines("exchange"))
