"""Whom a round waits for is said once somebody is late, and whenever that changes; its end says what to do now."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.federated.samples import SITES, consortium

from hdex.federated.apps.flower import node_id
from hdex.federated.channel_memory import MemoryChannel
from hdex.federated.errors import SiteLost, error_document, error_from_document
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.run import run_study
from hdex.federated.waiting import Awaiting, Patience, Vigil, site_lost

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@dataclass
class Hall:
    """A vigil with a clock that a test moves."""

    now: datetime = START
    told: list[Awaiting] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.patience = Patience(deadline=START + timedelta(minutes=30), clock=lambda: self.now)
        self.vigil = Vigil(dict(enumerate(SITES)), self.told.append, self.patience)

    def look(self, second: float, awaited: set[int], connected: set[int], number: int = 1) -> list[str]:
        """Return what is told at a second, in short."""
        self.now = START + timedelta(seconds=second)
        before = len(self.told)
        self.vigil.look(number, awaited, connected)
        return [f"{','.join(one.absent)}|{','.join(one.silent)}" for one in self.told[before:]]


def test_nobody_is_told_of_before_he_is_late_and_a_change_is_told_at_once() -> None:
    hall = Hall()
    assert hall.look(0.0, {0, 1}, {0, 1, 2}) == []
    assert hall.look(0.9, {1}, {0, 1, 2}) == []
    assert hall.look(1.1, {1}, {0, 1, 2}) == ["|hospital-b"]
    assert hall.look(5.0, {1}, {0, 1, 2}) == []
    assert hall.look(9.0, {1}, {0, 2}) == ["hospital-b|"]
    assert hall.look(9.5, set(), {0, 2}) == ["|"]
    assert hall.told[0].document() == {
        "round": 1, "absent": [], "silent": ["hospital-b"],
        "since": "2026-11-22T09:00:00Z", "until": "2026-11-22T09:30:00Z",
    }  # fmt: skip


def test_a_round_that_is_answered_in_time_says_nothing_and_the_next_begins_anew() -> None:
    hall = Hall()
    assert hall.look(0.0, {0}, {0}) == hall.look(0.5, set(), {0}) == []
    assert hall.look(60.0, {2}, {0}, number=2) == []
    assert hall.look(61.5, {2}, {0}, number=2) == ["hospital-c|"]
    assert hall.told[0].since == START + timedelta(seconds=60)


def test_patience_ends_with_the_studys_deadline_and_never_below_nothing() -> None:
    hall = Hall()
    assert hall.patience.left() == 1800
    hall.now = START + timedelta(hours=1)
    assert hall.patience.left() == 0
    assert Patience(7.0).left() == 7


@pytest.mark.parametrize(
    ("patience", "said", "step"),
    [
        (Patience(5.0), "until 5 s had passed", "goes on at round 3"),
        (
            Patience(deadline=START),
            "until the study's deadline 2026-11-22T09:00:00Z",
            "plan a new study under a new id",
        ),
    ],
)
def test_the_end_names_who_was_awaited_until_when_and_the_next_step(patience: Patience, said: str, step: str) -> None:
    lost = site_lost(3, ["hospital-b"], patience, fewest=0)
    crossed = error_from_document(error_document(lost))
    for error in (lost, crossed):
        assert isinstance(error, SiteLost)
        assert str(error).startswith(f"no answer to round 3 from hospital-b {said}; the study is exact")
        assert step in error.next_step
        assert "hospital-b" in error.next_step


def test_a_study_tells_whom_it_awaits_while_it_waits() -> None:
    party, told = consortium(), list[Awaiting]()
    handlers = party.handlers()
    del handlers["hospital-b"]
    names = {node_id(site): site for site in SITES}
    vigil = Vigil(names, told.append, Patience(0.2), late_s=0.0)
    grid = StreamGrid(MemoryChannel(handlers), watch=vigil.look)
    with pytest.raises(SiteLost, match="hospital-b"):
        run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal(), patience=Patience(0.2))
    assert (told[-1].round, told[-1].absent, told[-1].silent) == (1, ("hospital-b",), ())
