"""A study's process, killed for real at its named instants: it is started again and ends with the same answer."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.federated.samples import FEATURES
from tests.node.study_ground import Ground

from hdex.federated.errors import SiteLost
from hdex.federated.journal_sqlite import SqliteJournal
from hdex.node.exchange.study_process import StudyProcess, Told, words_of
from hdex.node.failpoint import VARIABLE
from hdex.node.wire.messages import progress

INSTANTS = ["study.replies.gathered", "study.sum.received:2", "study.round.committed"]
QUICK = INSTANTS[1:2]
SOAK = bool(os.environ.get("HDEX_SOAK"))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path, away=2)
    yield made
    made.lines.channel.close()


@pytest.mark.fault
@pytest.mark.parametrize("instant", INSTANTS if SOAK else QUICK)
def test_a_process_that_dies_goes_on_and_nobody_computes_twice(
    ground: Ground, instant: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, instant)
    found = ground.run()
    assert caplog.messages.count("a study's process died") == 1
    records = SqliteJournal(ground.folder / "study-1" / "journal.db").rounds("study-1")
    assert [record.round for record in records] == list(range(1, found["rounds"] + 1))
    assert {number for number, _ in ground.rounds} == {record.round for record in records}
    assert {digest for _, digest in ground.rounds} == {record.digest() for record in records}
    assert set(ground.party.computations().values()) == {found["rounds"]}
    column = np.concatenate([site.frame(ground.party.study)[FEATURES[0]] for site in ground.party.sites.values()])
    assert any("round 1 waits for keyholder (not connected) since" in words for words in ground.said)
    assert "round 1: everybody has answered" in ground.said
    assert found["columns"][0]["variance"] == pytest.approx(np.var(column, ddof=1), rel=1e-12)


def test_a_key_holder_away_until_the_deadline_ends_the_study_with_the_next_step(tmp_path: Path) -> None:
    ground = Ground(tmp_path, away=1_000, lasts=timedelta(0))
    process = StudyProcess(ground.lines, ground.desk, ground.folder)
    with pytest.raises(
        SiteLost, match="the key holder keyholder did not open round 1 until the study's deadline"
    ) as lost:
        process._ask(
            json.loads(ground.party.envelope), 1, [], Told(lambda number, digest, step: None, ground.said.append)
        )
    ground.lines.channel.close()
    assert "once keyholder is back" in lost.value.next_step


def test_a_call_whose_caller_has_gone_gives_its_worker_back_and_the_work_goes_on() -> None:
    """A study that waits for days would else hold one worker for every line that broke meanwhile."""
    goes_on, done = threading.Event(), threading.Event()

    def work(say: Callable[[str, str], None]) -> dict[str, Any]:
        goes_on.wait(60)
        done.set()
        return {}

    assert list(progress(work, lambda: False)) == []
    goes_on.set()
    assert done.wait(60)


def test_words_name_who_is_awaited_since_and_until_when() -> None:
    waiting = {"round": 2, "absent": ["hospital-b"], "silent": ["hospital-c"], "since": "S", "until": "U"}
    assert words_of(waiting) == "round 2 waits for hospital-b (not connected), hospital-c since S, until U"
    assert words_of(waiting | {"absent": [], "silent": []}) == "round 2: everybody has answered"
