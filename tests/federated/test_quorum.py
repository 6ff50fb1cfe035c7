"""Best-effort studies: a round goes on with its quorum, says who contributed, and never mixes two populations."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.federated.samples import FEATURES, NOW, TARGET, Consortium, consortium, keypair, table

from hdex.federated.broadcast import Broadcast
from hdex.federated.channel_memory import MemoryChannel
from hdex.federated.contribution import Contribution
from hdex.federated.contributor import Contributor
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, DecryptRefused, JournalConflict, SiteLost, StudyInvalid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal import Attempt
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.ports import Journal, OpenedSum
from hdex.federated.receipts import Receipt, RoundReceipt, replay
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.store_memory import MemoryStore
from hdex.federated.waiting import Patience

ALL = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
THREE, LATE = ALL[:3], ALL[3]
RECIPE: dict[str, Any] = {"hidden": [1], "rounds": 2, "batch": 64, "learning_rate": 0.5}


def party(quorum: int = 3) -> Consortium:
    """Return four sites with a training study of this quorum."""
    frames = {site: table(400 + 20 * i, seed=i) for i, site in enumerate(ALL)}
    question = Question(TARGET, FEATURES, "DUO:0000006", kind="fedavg", options=RECIPE)
    base = consortium(frames, question=question)
    store = MemoryStore()
    store.put("key/study-1", private_key_to_bytes(keypair()[1]))
    keyholder = KeyHolder(store, admit=lambda study, envelope: None, bits=2048, clock=lambda: NOW)
    made = replace(base, study=replace(base.study, quorum=quorum), keyholder=keyholder)
    keyholder.register(made.envelope)
    return made


class Straggling(MemoryChannel):
    """`who` is not heard in round `at`: its replies come late, or never. Time passes while nobody speaks."""

    def __init__(self, made: Consortium, *, at: int = 0, who: tuple[str, ...] = (LATE,), late: bool = False) -> None:
        super().__init__(made.handlers())
        self._made, self._at, self._who, self._late = made, at, who, late
        self._kept: list[tuple[str, bytes]] = []
        self.now = 0.0  # seconds

    def _answer(self, site: str, frame: bytes) -> None:
        if site not in self._who and self._kept and self._late:  # the next attempt is under way
            self._waiting.extend(self._kept)
            self._kept.clear()
        before = len(self._waiting)
        super()._answer(site, frame)
        if site in self._who and self._made.sites[site].asked[-1].round == self._at:
            while len(self._waiting) > before:
                self._kept.append(self._waiting.pop())

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        if not self._waiting:
            self.now += timeout_s
        return super().receive(timeout_s)


def run(made: Consortium, channel: Straggling | None = None, journal: Journal | None = None) -> StudyResult:
    """Run a study whose rounds wait 30 s for stragglers and ten minutes for a quorum, of the channel's own time."""
    line = channel or Straggling(made)
    return run_study(
        made.envelope,
        grid=StreamGrid(line, clock=lambda: line.now),
        decryptor=made.keyholder,
        journal=journal or MemoryJournal(),
        patience=Patience(round_s=600, straggler_s=30, clock=lambda: NOW + timedelta(seconds=line.now)),
    )


def test_a_round_goes_on_with_the_quorum_and_the_result_says_who_contributed() -> None:
    made = party()
    found = run(made, Straggling(made, at=2))
    assert found.contributors == (ALL, THREE, ALL, ALL)
    assert found.document()["contributors"] == [list(sites) for sites in found.contributors]
    whole = run(party())
    assert whole.contributors == (ALL, ALL, ALL, ALL)
    assert whole.document()["history"] != found.document()["history"]


def test_a_reply_that_comes_late_is_not_summed() -> None:
    made, other = party(), party()
    late, silent = run(made, Straggling(made, at=2, late=True)), run(other, Straggling(other, at=2))
    assert late.contributors == silent.contributors
    assert late.document()["model"] == silent.document()["model"]


def test_below_the_quorum_a_round_waits_and_then_ends_with_the_names_and_the_next_step() -> None:
    made, journal = party(), MemoryJournal()
    with pytest.raises(SiteLost, match=r"round 2 from hospital-c, hospital-d until .* 3 sites are needed") as lost:
        run(made, Straggling(made, at=2, who=ALL[2:]), journal)
    assert "goes on at round 2" in lost.value.next_step
    assert run(made, journal=journal).contributors == (ALL, ALL, ALL, ALL)


class Crash(BaseException):
    """The coordinator dies here."""


class CrashingJournal(MemoryJournal):
    """Dies right after a second attempt was declared."""

    def declare(self, attempt: Attempt) -> None:
        new = self.declared(attempt.study_id, attempt.round) != attempt
        super().declare(attempt)
        if new and attempt.attempt == 2:
            raise Crash


def test_after_a_crash_between_attempts_the_declared_one_is_asked_again() -> None:
    made, other, journal = party(), party(), CrashingJournal()
    with pytest.raises(Crash):
        run(made, Straggling(made, at=2), journal)
    again = run(made, journal=journal)  # everybody is back: the round keeps the population it declared
    undisturbed = run(other, Straggling(other, at=2))
    assert again.contributors == undisturbed.contributors == (ALL, THREE, ALL, ALL)
    assert again.document()["model"] == undisturbed.document()["model"]


class DyingAfterOpening:
    """The coordinator dies with round 2's sum in its hands, or before it asked: nothing of it is in the journal."""

    def __init__(self, inner: Any, *, asked: bool) -> None:
        self.inner, self._asked, self._alive = inner, asked, False

    def open_sum(self, study_id: str, number: int, contributions: list[bytes]) -> OpenedSum:
        if number == 2 and not self._alive:
            self._alive = True
            if self._asked:
                self.inner.open_sum(study_id, number, contributions)
            raise Crash
        opened: OpenedSum = self.inner.open_sum(study_id, number, contributions)
        return opened


@pytest.mark.parametrize("asked", [True, False])
def test_a_round_that_may_have_been_opened_is_opened_over_the_same_sites_though_one_is_gone(asked: bool) -> None:
    made, other, journal = party(), party(), MemoryJournal()
    made.keyholder = DyingAfterOpening(made.keyholder, asked=asked)  # type: ignore[assignment]  # and its coordinator
    with pytest.raises(Crash):
        run(made, journal=journal)
    before = made.computations()
    again = run(made, Straggling(made, at=2), journal)  # hospital-d does not say round 2 again
    undisturbed = run(other)
    assert again.contributors == undisturbed.contributors == (ALL, ALL, ALL, ALL)
    assert again.document()["model"] == undisturbed.document()["model"]
    assert {site: count - before[site] for site, count in made.computations().items()} == dict.fromkeys(ALL, 2)


def test_what_was_gathered_for_another_question_is_a_conflict() -> None:
    made, journal = party(), MemoryJournal()
    made.keyholder = DyingAfterOpening(made.keyholder, asked=False)  # type: ignore[assignment]  # and its coordinator
    with pytest.raises(Crash):
        run(made, journal=journal)
    held = journal.gathered("study-1", 2)
    assert held is not None
    journal._gathered["study-1", 2] = replace(held, attempt=2).to_bytes()
    with pytest.raises(JournalConflict, match="answers another question"):
        run(made, journal=journal)


def test_a_resumed_study_replays_rounds_of_other_populations() -> None:
    made, journal = party(), MemoryJournal()
    first = run(made, Straggling(made, at=2), journal)
    assert run(made, journal=journal).document() == first.document()


def test_a_receipt_of_a_quorum_is_replayed_and_a_smaller_one_is_an_offence() -> None:
    made, journal, opened = party(), MemoryJournal(), list[tuple[tuple[bytes, ...], bytes]]()
    inner = made.keyholder

    class Keeping:
        def open_sum(self, study_id: str, number: int, contributions: list[bytes]) -> OpenedSum:
            found = inner.open_sum(study_id, number, contributions)
            opened.append((tuple(contributions), found.proof))
            return found

    made.keyholder = Keeping()  # type: ignore[assignment]  # a key holder that remembers
    run(made, Straggling(made, at=2), journal)
    records = journal.rounds("study-1")
    assert [record.attempt for record in records] == [1, 2, 1, 1]
    rounds = tuple(RoundReceipt(record, *kept) for record, kept in zip(records, opened, strict=True))
    receipt = Receipt.from_bytes(Receipt(made.envelope, rounds).to_bytes())
    found = replay(receipt, {})
    assert found.recomputed == found.proven == found.rounds == 4
    assert not any("contributors" in offence for offence in found.offences)
    few = RoundReceipt(replace(records[1], replies=records[1].replies[:2]), opened[1][0][:2])
    offences = replay(Receipt(made.envelope, (receipt.rounds[0], few)), {}).offences
    assert any("too few of it" in offence for offence in offences)
    first = RoundReceipt(replace(records[1], attempt=1), *opened[1])
    offences = replay(Receipt(made.envelope, (receipt.rounds[0], first)), {}).offences
    assert sum("answers another question" in offence for offence in offences) == len(THREE)


# who refuses what


def asked(made: Consortium, number: int = 1, **changes: Any) -> bytes:
    return Broadcast(
        made.study.id, made.study.digest(), number, step="moments", point=None, **{"attempt": 1, **changes}
    ).to_bytes()


def contributions(made: Consortium, sites: tuple[str, ...], **changes: Any) -> list[bytes]:
    question = asked(made, **changes)
    return [
        Contributor(site, made.sites[site], clock=lambda: NOW).answer(made.envelope, question).to_bytes()
        for site in sites
    ]


def test_the_key_holder_opens_a_quorum_once_and_only_all_who_were_asked() -> None:
    made = party()
    first = contributions(made, ALL)
    with pytest.raises(DecryptRefused) as noise:
        made.keyholder.open_sum("study-1", 1, first[:3])  # the masks of three of four do not cancel
    assert noise.value.rule in {"ciphertext", "count_slot"}
    second = contributions(made, THREE, attempt=2, population=THREE)
    assert made.keyholder.open_sum("study-1", 1, second).values[0] == sum(400 + 20 * i for i in range(3))
    for other in (first, contributions(made, ALL[1:], attempt=3, population=ALL[1:])):
        with pytest.raises(DecryptRefused) as again:
            made.keyholder.open_sum("study-1", 1, other)
        assert again.value.rule == "already_opened"


def test_the_key_holder_mixes_no_two_attempts_and_opens_none_below_the_quorum() -> None:
    made = party()
    first, second = contributions(made, ALL), contributions(made, THREE, attempt=2, population=THREE)
    for mixed, rule in (([*second[:2], first[2]], "broadcast_mismatch"), (second[:2], "roster_incomplete")):
        with pytest.raises(DecryptRefused) as refused:
            made.keyholder.open_sum("study-1", 1, mixed)
        assert refused.value.rule == rule


def refused(made: Consortium, question: bytes, replies: MemoryStore | None = None) -> str:
    with pytest.raises(AdmissionRefused) as refusal:
        Contributor(LATE, made.sites[LATE], clock=lambda: NOW, replies=replies).answer(made.envelope, question)
    return refusal.value.rule


@pytest.mark.parametrize(
    "population", [THREE, ALL[2:], (ALL[1], ALL[0], LATE), (*ALL[1:], "stranger"), (ALL[1], ALL[1], LATE)]
)
def test_a_site_answers_no_population_without_it_too_small_unsorted_or_with_strangers(
    population: tuple[str, ...],
) -> None:
    made = party()
    assert refused(made, asked(made, attempt=2, population=population)) == "population"


def test_a_site_answers_no_attempt_older_than_its_last_and_repeats_that_one() -> None:
    made, replies = party(), MemoryStore()
    site = Contributor(LATE, made.sites[LATE], clock=lambda: NOW, replies=replies)
    three = ALL[1:]
    first: Contribution = site.answer(made.envelope, asked(made, attempt=2, population=three))
    assert site.answer(made.envelope, asked(made, attempt=2, population=three)) == first
    assert refused(made, asked(made), replies) == "round_order"
    assert refused(made, asked(made, attempt=2), replies) == "round_order"


def test_an_exact_study_is_asked_of_its_whole_roster_only() -> None:
    made = party(quorum=0)
    assert refused(made, asked(made, population=ALL[1:])) == "population"


@pytest.mark.parametrize("quorum", [-1, 2, 5, 2.5, True, "3"])
def test_a_quorum_below_the_floor_beyond_the_roster_or_no_number_makes_no_study(quorum: Any) -> None:
    with pytest.raises(StudyInvalid):
        replace(party().study, quorum=quorum)


def test_exact_kinds_and_promises_of_privacy_have_no_quorum() -> None:
    with pytest.raises(StudyInvalid, match="needs every site"):
        replace(consortium().study, quorum=3)
    with pytest.raises(StudyInvalid, match="share of the noise"):
        replace(party().study, privacy={"epsilon": 0.5})
