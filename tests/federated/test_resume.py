"""Crashes, lost and lying sites: the result is identical, or the run ends honestly. No site computes twice."""

from pathlib import Path

import numpy as np
import pytest
from tests.federated.samples import SITES, Consortium, consortium

from hdex.federated.channel_memory import Fault, FaultKind
from hdex.federated.errors import (
    AdmissionRefused,
    CiphertextInvalid,
    DecryptRefused,
    DisclosureRefused,
    FrameInvalid,
    JournalConflict,
    NotConverged,
    SiteLost,
)
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal import RoundRecord
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.journal_sqlite import SqliteJournal
from hdex.federated.ports import Decryptor, Journal, OpenedSum
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.waiting import Patience


class Crash(BaseException):
    """The coordinator dies here."""


class CrashingDecryptor:
    """Dies before the key holder sees round `at`, or after it answered."""

    def __init__(self, inner: Decryptor, at: int, *, answered: bool) -> None:
        self._inner, self._at, self._answered = inner, at, answered

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        if round_number == self._at and not self._answered:
            raise Crash
        total = self._inner.open_sum(study_id, round_number, contributions)
        if round_number == self._at:
            raise Crash
        return total


class CrashingJournal(MemoryJournal):
    """Dies before or after it commits round `at`."""

    def __init__(self, at: int, *, committed: bool) -> None:
        super().__init__()
        self._at, self._committed = at, committed

    def commit(self, record: RoundRecord) -> None:
        due, self._at = record.round == self._at, 0 if record.round == self._at else self._at
        if due and not self._committed:
            raise Crash
        super().commit(record)
        if due:
            raise Crash


def run(party: Consortium, journal: Journal, decryptor: Decryptor | None = None, **grid: object) -> StudyResult:
    """Run with fresh sessions, as after a restart of every process; stores and journal are what is left."""
    return run_study(
        party.envelope,
        grid=InprocGrid(party.handlers(), **grid),  # type: ignore[arg-type]
        decryptor=decryptor or party.decryptor,
        journal=journal,
        patience=Patience(20),
    )


@pytest.fixture(scope="module")
def uninterrupted() -> StudyResult:
    return run(consortium(), MemoryJournal())


def same(found: StudyResult, expected: StudyResult) -> bool:
    """Return whether the numbers are identical, bit for bit (keys and digests differ between consortia)."""
    rows = found.document()["coefficients"]
    others = expected.document()["coefficients"]
    return rows == others and found.rounds == expected.rounds and found.bytes_per_site == expected.bytes_per_site


ROUNDS = [1, 2, 4]
POINTS = ["before decrypt", "after decrypt", "before commit", "after commit"]


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("point", POINTS)
def test_a_coordinator_that_dies_goes_on_to_the_identical_result(
    number: int, point: str, uninterrupted: StudyResult
) -> None:
    party = consortium()
    decryptor: Decryptor = party.keyholder
    journal: Journal = MemoryJournal()
    if "decrypt" in point:
        decryptor = CrashingDecryptor(party.keyholder, number, answered=point == "after decrypt")
    else:
        journal = CrashingJournal(number, committed=point == "after commit")
    with pytest.raises(Crash):
        run(party, journal, decryptor)
    assert same(run(party, journal), uninterrupted)
    assert set(party.computations().values()) == {uninterrupted.rounds}


@pytest.mark.parametrize("direction", ["send", "reply"])
@pytest.mark.parametrize("at", [1, 3, 5, 9])
def test_a_death_at_any_frame_goes_on_to_the_identical_result(
    direction: str, at: int, uninterrupted: StudyResult, tmp_path: Path
) -> None:
    party = consortium()
    crash = Fault(direction, at, FaultKind.CRASH, error=Crash())
    with pytest.raises(Crash):
        run(party, SqliteJournal(tmp_path / "journal.sqlite"), faults=[crash])
    assert same(run(party, SqliteJournal(tmp_path / "journal.sqlite")), uninterrupted)
    assert set(party.computations().values()) == {uninterrupted.rounds}


def test_a_finished_study_is_answered_from_its_journal_alone(uninterrupted: StudyResult) -> None:
    party, journal = consortium(), MemoryJournal()
    first = run(party, journal)

    def nobody(frame: bytes) -> bytes:
        raise AssertionError("no site may be asked")

    grid = InprocGrid(dict.fromkeys(SITES, nobody))
    again = run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=journal)
    assert again == first
    assert same(again, uninterrupted)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.CRASH])
@pytest.mark.parametrize("direction", ["send", "reply"])
def test_a_bad_channel_changes_nothing(kind: FaultKind, direction: str, uninterrupted: StudyResult) -> None:
    party = consortium()
    faults = [Fault(direction, at, kind) for at in (2, 6, 7, 13)]
    assert same(run(party, MemoryJournal(), faults=faults), uninterrupted)
    assert set(party.computations().values()) == {uninterrupted.rounds}


def test_a_silent_site_ends_the_run_and_its_return_goes_on(uninterrupted: StudyResult) -> None:
    party, journal = consortium(), MemoryJournal()
    handlers = party.handlers()
    working = handlers["hospital-b"]
    seen: list[bytes] = []

    def dies_in_round_three(frame: bytes) -> bytes:
        reply: bytes = working(frame) if len(seen) < 2 else b""
        seen.append(frame)
        if not reply:
            raise FrameInvalid("the process is gone")
        return reply

    grid = InprocGrid({**handlers, "hospital-b": dies_in_round_three})
    with pytest.raises(SiteLost, match="hospital-b"):
        run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=journal, patience=Patience(0.1))
    assert len(journal.rounds("study-1")) == 2
    assert same(run(party, journal), uninterrupted)
    assert set(party.computations().values()) == {uninterrupted.rounds}


def test_a_site_that_is_not_there_from_the_start_is_never_left_out() -> None:
    party = consortium()
    handlers = party.handlers()
    del handlers["hospital-c"]
    grid = InprocGrid(handlers)
    with pytest.raises(SiteLost, match="hospital-c"):
        run_study(
            party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal(), patience=Patience(0.05)
        )


def test_a_study_planned_anew_without_the_lost_site_takes_nothing_of_the_old(uninterrupted: StudyResult) -> None:
    from tests.federated.samples import table, tables

    old, sent = consortium({**tables(), "hospital-d": table(220, seed=4)}), list[bytes]()
    handlers = old.handlers()
    del handlers["hospital-d"]
    grid = InprocGrid(handlers)
    with pytest.raises(SiteLost, match="round 1 from hospital-d") as lost:
        run_study(old.envelope, grid=grid, decryptor=old.keyholder, journal=MemoryJournal(), patience=Patience(0.05))
    assert "once hospital-d is back" in lost.value.next_step
    new = consortium()
    for site in SITES:
        kept = old.replies[site].get("reply/study-1")
        assert kept is not None
        sent.append(kept)
    with pytest.raises(DecryptRefused) as refused:
        new.keyholder.open_sum("study-1", 1, sent)
    assert refused.value.rule == "study_mismatch"
    assert same(run(new, MemoryJournal()), uninterrupted)


def test_a_refusal_between_rounds_ends_the_run_with_its_rule() -> None:
    party, journal = consortium(), MemoryJournal()
    party.sites["hospital-b"].refuse[3] = "contract_revoked"
    with pytest.raises(AdmissionRefused, match="hospital-b") as caught:
        run(party, journal)
    assert caught.value.rule == "contract_revoked"
    assert len(journal.rounds("study-1")) == 2


def test_a_site_below_its_floor_ends_the_run_with_the_rule() -> None:
    from tests.federated.samples import tables

    small = {**tables(), "hospital-c": tables()["hospital-c"].head(40)}
    with pytest.raises(DisclosureRefused) as caught:
        run(consortium(small), MemoryJournal())
    assert caught.value.rule == "parameter_share"


def test_two_sites_are_refused_before_anyone_is_asked() -> None:
    from tests.federated.samples import tables

    from hdex.federated.disclosure import Limits

    two = dict(list(tables().items())[:2])
    party = consortium(two, limits=Limits(min_sites=2))
    with pytest.raises(DisclosureRefused, match="min_sites"):
        run(party, MemoryJournal())
    assert set(party.computations().values()) == {0}


def test_too_few_rounds_end_honestly() -> None:
    with pytest.raises(NotConverged, match="3 rounds"):
        run(consortium(max_rounds=3), MemoryJournal())


def test_a_journal_of_another_study_is_refused() -> None:
    journal = MemoryJournal()
    run(consortium(), journal)
    with pytest.raises(JournalConflict):
        run(consortium(), journal)


def test_an_unforeseen_failure_inside_a_site_tells_its_type_only() -> None:
    from hdex.federated.errors import FederatedError

    party = consortium()

    def leak(study: object) -> object:
        raise ZeroDivisionError("patient 4711")

    party.sites["hospital-a"].frame = leak  # type: ignore[method-assign, assignment]
    with pytest.raises(FederatedError, match="ZeroDivisionError") as caught:
        run(party, MemoryJournal())
    assert "4711" not in str(caught.value)


def test_a_site_that_signs_but_answers_another_question_is_found() -> None:
    party = consortium()
    handlers = party.handlers()
    first: list[bytes] = []
    working = handlers["hospital-b"]

    def repeats_itself(frame: bytes) -> bytes:
        from hdex.federated.apps.flower import Message, from_frame, to_frame

        first.append(working(frame))
        old = from_frame(first[0])
        return to_frame(Message(old.content, reply_to=from_frame(frame)))

    grid = InprocGrid({**handlers, "hospital-b": repeats_itself})
    with pytest.raises(CiphertextInvalid, match="another question"):
        run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal(), patience=Patience(0.3))


def test_what_crosses_the_wall_is_counted_by_kind(uninterrupted: StudyResult) -> None:
    for crossed in uninterrupted.crossed.values():
        assert crossed.ciphertexts * 512 + 55 * uninterrupted.rounds == crossed.payload_bytes
        assert crossed.total_bytes == crossed.payload_bytes + crossed.header_bytes
    assert uninterrupted.bytes_per_site.keys() == set(SITES)
    document = uninterrupted.document()
    assert document["crossed"]["hospital-a"]["ciphertexts"] > 0
    assert np.isfinite(document["log_likelihood"])
