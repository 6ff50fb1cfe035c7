"""Before sums are asked every site says how it stands; only who approved is asked, and who is awaited is named."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import rfc8785
from tests.federated.samples import (
    NOW,
    SITES,
    Consortium,
    consortium,
    keypair,
    now,
    table,
    with_shared_key,
)
from tests.federated.test_share_holders import hushed

from hdex.federated.apps.flower import ConfigRecord, Message, RecordDict, Run, from_frame, to_frame
from hdex.federated.apps.records import read_standings, standing_record
from hdex.federated.apps.replies import members_of
from hdex.federated.apps.roll_call import RollCall
from hdex.federated.apps.site import SiteSession
from hdex.federated.channel_memory import Handler, MemoryChannel
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, SiteLost, StudyInvalid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.run import run_study
from hdex.federated.simulate_regions import Regions
from hdex.federated.standing import APPROVED, DENIED, WAITING, People, Standing, words_of
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Study, unsigned_envelope
from hdex.federated.waiting import Patience

COUNT = Question("", ("age",), "DUO:0000006", kind="count")
FOUR = (*SITES, "hospital-d")
NETWORK = Question(
    "event", ("age",), "DUO:0000006", kind="fedavg",
    options={"hidden": [], "rounds": 2, "learning_rate": 0.05},
)  # fmt: skip


class Ward:
    """A study whose sites decide after so many questions, never (a large number), or say no (a rule)."""

    def __init__(self, party: Consortium, decides: dict[str, int | str] | None = None) -> None:
        self.party = party
        self.asked: dict[str, int] = dict.fromkeys(party.study.sites, 0)
        self.told: list[list[str]] = []
        for site, hooks in party.sites.items():
            hooks.standing = self._answer(site, (decides or {}).get(site, 0))  # type: ignore[method-assign]

    def _answer(self, site: str, decides: int | str) -> Any:
        def standing(study: Study, envelope: bytes) -> str:
            self.asked[site] += 1
            if isinstance(decides, str):
                raise AdmissionRefused(decides, "ask another question")
            return "approval.missing" if self.asked[site] <= decides else ""

        return standing

    def tell(self, waiting: Sequence[Standing]) -> None:
        self.told.append([one.site for one in waiting])

    def run(self, handlers: dict[str, Handler] | None = None, regions: Any = None) -> dict[str, Any]:
        """Run the study; no real time passes."""
        ticks = count()
        grid = StreamGrid(MemoryChannel(handlers or self.party.handlers()), clock=lambda: next(ticks) / 10)
        patience = Patience(20.0, 1.0, clock=lambda: NOW + timedelta(seconds=next(ticks) / 10))
        return run_study(
            self.party.envelope,
            grid=grid,
            decryptor=self.party.keyholder,
            journal=MemoryJournal(),
            patience=patience,
            people=People(self.tell, wait_s=10.0, look_s=0.0),
            regions=regions,
        ).document()

    def rounds(self) -> set[str]:
        """Return the sites that were asked for sums."""
        return {site for site, hooks in self.party.sites.items() if hooks.asked}


def four(question: Question = COUNT) -> Consortium:
    return consortium({site: table(220, seed=at) for at, site in enumerate(FOUR)}, question=question)


def with_quorum(party: Consortium, quorum: int) -> Consortium:
    study = replace(party.study, quorum=quorum)
    store = MemoryStore()
    store.put("key/study-1", private_key_to_bytes(keypair()[1]))
    keyholder = KeyHolder(store, admit=lambda study, envelope: None, bits=2048, clock=now)
    keyholder.register(unsigned_envelope(study))
    return replace(party, study=study, keyholder=keyholder)


def test_sums_are_asked_once_the_last_has_approved_and_the_awaited_are_named() -> None:
    ward = Ward(consortium(question=COUNT), {"hospital-b": 3, "hospital-c": 1})
    assert ward.run()["sites"] == list(SITES)
    assert ward.told == [["hospital-b", "hospital-c"], ["hospital-b"], []]
    assert ward.asked == {"hospital-a": 1, "hospital-b": 4, "hospital-c": 2}


def test_a_study_whose_people_never_decide_ends_and_nobody_was_asked_for_sums() -> None:
    ward = Ward(consortium(question=COUNT), {"hospital-b": 10**6})
    with pytest.raises(AdmissionRefused, match="the people of hospital-b have not approved; start it again") as ended:
        ward.run()
    assert ended.value.rule == "approval.missing"
    assert ward.rounds() == set()


def test_a_no_ends_a_study_that_needs_everybody_at_once() -> None:
    ward = Ward(consortium(question=COUNT), {"hospital-b": "approval.denied", "hospital-c": 10**6})
    with pytest.raises(AdmissionRefused, match="hospital-b: ask another question") as ended:
        ward.run()
    assert (ended.value.rule, ward.rounds(), ward.asked["hospital-c"]) == ("approval.denied", set(), 1)


@pytest.mark.parametrize("other", ["approval.denied", 10**6])
def test_a_quorum_is_formed_of_those_that_approved(other: int | str) -> None:
    ward = Ward(with_quorum(four(NETWORK), 3), {"hospital-c": other})
    found = ward.run()
    assert ward.rounds() == {"hospital-a", "hospital-b", "hospital-d"}
    assert {site for sites in found["contributors"] for site in sites} == ward.rounds()


def test_who_approves_while_a_quorum_runs_joins_the_next_round() -> None:
    ward = Ward(with_quorum(four(NETWORK), 3), {"hospital-c": 2})
    found = ward.run()
    assert "hospital-c" not in found["contributors"][0]
    assert "hospital-c" in found["contributors"][-1]


def test_a_quorum_that_too_few_approve_is_refused() -> None:
    ward = Ward(with_quorum(four(NETWORK), 3), {"hospital-c": "approval.denied", "hospital-d": "contract.revoked"})
    with pytest.raises(AdmissionRefused) as ended:
        ward.run()
    assert (ended.value.rule, ward.rounds()) == ("approval.denied", set())


def test_a_shared_key_goes_on_without_those_whose_people_took_too_long() -> None:
    ward = Ward(with_shared_key(four(), 3), {"hospital-c": 10**6})
    assert ward.run()["sites"] == ["hospital-a", "hospital-b", "hospital-d"]
    assert "hospital-c" not in ward.rounds()


def test_a_silent_site_is_awaited_and_then_named() -> None:
    ward = Ward(consortium(question=COUNT))
    with pytest.raises(SiteLost, match="round 1 from hospital-b"):
        ward.run(ward.party.handlers() | {"hospital-b": hushed(ward.party.handlers()["hospital-b"], 1)})
    assert ward.rounds() == set()


def test_a_region_says_how_each_of_its_sites_stands() -> None:
    ward = Ward(four(), {"hospital-b": 1})
    middle = Regions(list(FOUR), 2, now)
    ward.party.keyholder._regions = middle.public_keys()
    assert ward.run(dict(middle.over(ward.party.handlers())), middle.sites)["sites"] == list(FOUR)
    assert ward.told == [["hospital-b"], []]
    assert ward.asked["hospital-b"] == 2


FORGED: dict[str, Any] = {
    "another site": {"site": "hospital-b", "word": APPROVED, "rule": "", "detail": ""},
    "another word": {"site": "hospital-a", "word": "perhaps", "rule": "", "detail": ""},
    "no text": {"site": "hospital-a", "word": APPROVED, "rule": 7, "detail": ""},
    "a long text": {"site": "hospital-a", "word": DENIED, "rule": "", "detail": "x" * 10_000},
    "one more field": {"site": "hospital-a", "word": APPROVED, "rule": "", "detail": "", "more": ""},
    "a field less": {"site": "hospital-a", "word": APPROVED},
    "no object": [],
}


@pytest.mark.parametrize("case", FORGED)
def test_what_no_site_says_for_itself_is_refused(case: str) -> None:
    party = consortium(question=COUNT)

    def forge(frame: bytes) -> bytes:
        said = RecordDict({"standing": ConfigRecord({"said": rfc8785.dumps([FORGED[case]])})})
        return to_frame(Message(said, reply_to=from_frame(frame)))

    with pytest.raises(StudyInvalid):
        Ward(party).run(party.handlers() | {"hospital-a": forge})


def test_a_standing_crosses_as_it_was_said() -> None:
    said = [Standing("hospital-a", WAITING, "approval.second", "one more signs"), Standing.of("b", DENIED, "r" * 999)]
    assert read_standings(standing_record(said)) == said
    assert words_of(said[:1]) == "the people of hospital-a (approval.second) have not decided yet"
    assert words_of([]) == ""


def test_a_site_that_would_refuse_the_study_itself_says_so() -> None:
    party = consortium(question=COUNT)
    told: list[str] = []
    late = SiteSession(
        "hospital-a",
        party.sites["hospital-a"],
        clock=lambda: NOW + timedelta(days=9),
        on_refusal=lambda question, error: told.append(str(error)),
    )
    members, handlers = members_of(party.study, {}), party.handlers() | {"hospital-a": late.handle}
    roll = RollCall(party.study, party.envelope, members, people=People(lambda waiting: None))
    grid = StreamGrid(MemoryChannel(handlers))
    grid.set_run(Run.create_empty(1))
    with pytest.raises(AdmissionRefused) as ended:
        roll.hold(grid, Patience())
    assert ended.value.rule == "deadline"
    assert len(told) == 1
