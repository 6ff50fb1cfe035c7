"""Studies at the exchange: planned from the caller's own live contracts, started by who planned them."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.federated.samples import keypair, safe_primes
from tests.node.market_stage import BUYER, OTHER, PURPOSE, Market, person

from hdex.federated.dealing import DealtKey, deal_key
from hdex.federated.errors import DisclosureRefused, SiteLost, StudyInvalid
from hdex.federated.paillier import public_key_hex
from hdex.federated.ports import OpenedSum
from hdex.federated.shapley import Scores, coalitions
from hdex.ledger.errors import LogFailed
from hdex.node.buyer import RECONNECTS, follow
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, PeerUnavailable, SignatureInvalid, describe
from hdex.node.exchange.studies import Coordinator, Studies
from hdex.node.exchange.study_process import StudyProcess, Told
from hdex.node.exchange.study_seals import Seals
from hdex.node.signed import Envelope, countersign, digest, sign, verify

SITES = ("hospital-a", "hospital-b", "hospital-c")


class KeyHolding:
    """A key holder with one ready key."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def create_key(self, study_id: str) -> str:
        self.asked.append(study_id)
        return public_key_hex(keypair()[0])

    def deal_key(self, study_id: str, parties: Sequence[str], needed: int) -> DealtKey:
        keys = {name: bytes(31) + bytes([9 + at]) for at, name in enumerate(parties)}
        return deal_key(keys, needed, bits=2048, randbits=safe_primes())

    def open_sum(self, study: Envelope, round_number: int, contributions: list[bytes]) -> OpenedSum:
        raise AssertionError("no sum is opened here")


class Runner(StudyProcess):
    """Runs nothing: seals two rounds and answers, as the child process would tell."""

    def __init__(self) -> None:
        self.runs: list[Envelope] = []
        self.more: dict[str, Any] = {}
        self.play: Callable[[str, Told], None] = lambda study_id, told: None

    def run(self, study_id: str, envelope: Envelope, told: Told) -> dict[str, Any]:
        self.runs.append(envelope)
        for number in (1, 2):
            told.committed(number, bytes([number]) * 32, "newton")
        self.play(study_id, told)
        return {"study": study_id, "rounds": 2} | self.more


class Stage:
    """An exchange with studies, and finalized federated contracts with three hospitals."""

    def __init__(self, folder: Path) -> None:
        self.market = market = Market(folder)
        self.keyholder, self.runner = KeyHolding(), Runner()
        self.contracts: dict[str, str] = {}
        for site in SITES:
            from dataclasses import replace

            from hdex.catalog.product import Provider

            product = replace(sample_product(), provider=Provider(site, sample_product().provider.name))
            listed = market.list_product(replace(product, id=f"{site}.stents"))
            self.contracts[site] = f"c-{site}"
            market.buyers[BUYER].request(market.wish(listed, "federated"), contract_id=f"c-{site}")
            market.hospitals[site].negotiations.decide(f"c-{site}", person(site, "privacy_officer"), approved=True)
            market.buyers[BUYER].accept(f"c-{site}")
        self.serve()

    def serve(self) -> None:
        """Wire the exchange's studies, as its process does when it starts."""
        self.studies = Studies(
            Coordinator("exchange", self.market.keys["exchange"].secret("sign"), "keyholder", self.market.clock),
            self.market.exchange.documents,
            self.market.contracts,
            directory=self.market.directory,
            keyholder=self.keyholder,
            runner=self.runner,
            recorder=self.market.exchange.recorder,
            facts=self.market.exchange.facts,
            seals=Seals(self.market.exchange.log, list, self.market.exchange.documents),
        )

    def question(self, **changed: Any) -> dict[str, Any]:
        asked = {"id": "study-1", "target": "restenosis", "features": ["systolic"], "purpose": PURPOSE}
        return asked | {"contracts": self.contracts} | changed

    def plan(self, who: str = BUYER, **changed: Any) -> dict[str, Any]:
        return self.studies.plan(self.question(**changed), person(who))

    def signed(self, plan: dict[str, Any], who: str = BUYER) -> Envelope:
        return sign("study", plan, who, self.market.keys[who].secret("sign"))

    def start(self, envelope: Envelope, who: str = BUYER) -> dict[str, Any]:
        return self.studies.start(envelope, person(who), lambda step, text: None)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_study_is_planned_signed_by_both_and_run_once(stage: Stage) -> None:
    plan = stage.plan()
    assert stage.plan() == plan
    result = stage.start(stage.signed(plan))
    assert stage.start(stage.signed(plan)) == result == {"study": "study-1", "rounds": 2}
    (envelope,) = stage.runner.runs
    verify("study", envelope, stage.market.directory.sign_keys(BUYER, "exchange"))
    actions = [event.action.value for event in stage.market.exchange.events()]
    assert actions.count("round.seal") == 2
    assert [fact.kind for fact in stage.market.ledger.facts].count("RoundSealed") == 2


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


def test_a_study_is_planned_with_a_key_that_its_sites_share(stage: Stage) -> None:
    asked = {"parties": list(SITES), "needed": 2}
    plan = stage.plan(threshold=asked)
    assert plan["threshold"] == asked
    assert len(plan["dealt"]["shares"]) == 3
    assert stage.keyholder.asked == []  # no key that one party holds
    assert "threshold" not in stage.plan(id="study-2")
    wrong: Any
    for wrong in ({"parties": list(SITES)}, {**asked, "more": 1}, [], 2):
        with pytest.raises(ConfigInvalid):
            stage.plan(id="study-3", threshold=wrong)
    for unsound in ({**asked, "needed": 1}, {**asked, "needed": "2"}, {**asked, "parties": [*SITES, "hospital-x"]}):
        with pytest.raises(StudyInvalid):
            stage.plan(id="study-3", threshold=unsound)


def test_what_leaves_has_its_verdict_in_the_log_and_what_breaks_a_floor_stays(stage: Stage) -> None:
    plan = stage.plan()
    stage.runner.more = {"n": 60, "events": 30, "coefficients": [{}, {}]}
    stage.start(stage.signed(plan))
    event = stage.market.exchange.events()[-1]
    assert (event.action.value, event.decision, event.request_digest) == ("study.approve", "allow", digest(plan))
    assert event.policy_digest
    assert event.result_digest
    stage.runner.more = {"n": 60, "events": 5, "coefficients": [{}, {}]}
    with pytest.raises(DisclosureRefused):
        stage.start(stage.signed(stage.plan(id="study-2")))
    assert ("study.approve", "events_per_parameter") in stage.market.exchange.refusals()
    assert len(stage.market.exchange.documents.all("study_result")) == 1


def test_coalition_scores_are_logged_by_digest(stage: Stage) -> None:
    scores = Scores("ab" * 32, (("a",), ("b",)), {one: float(len(one)) for one in coalitions(["a", "b"])})
    stage.runner.more = {"coalition_scores": scores.document()}
    stage.start(stage.signed(stage.plan()))
    assert scores.digest() in [event.result_digest for event in stage.market.exchange.events()]


def test_a_study_may_promise_privacy(stage: Stage) -> None:
    assert stage.plan(privacy={"epsilon": 0.5})["privacy"] == {"epsilon": 0.5}
    with pytest.raises(StudyInvalid):
        stage.plan(id="study-2", privacy={"epsilon": -1})


def test_a_plan_holds_what_was_asked_of_any_kind(stage: Stage) -> None:
    asked: dict[str, Any] = {
        "kind": "kaplan-meier", "target": "restenosis", "features": ["sex"], "levels": {"sex": ["f", "m"]},
        "options": {"time": "months", "grid": [6, 12]}, "min_sites": 3, "min_rows": 20,
    }  # fmt: skip
    deadline = (stage.market.clock() + timedelta(days=2)).isoformat()
    plan = stage.plan(**asked, deadline=deadline)
    assert {name: plan[name] for name in asked} == asked
    assert plan["deadline"] == deadline
    assert plan["pack"] == {"counts": {"value_bits": 32, "fraction_bits": 0}}
    assert plan["algorithm"]["id"] == "kaplan-meier.counts.v1"


def test_another_buyer_gets_neither_plan_nor_result(stage: Stage) -> None:
    """Any buyer who knew the id could sign the plan under his own name and was handed the result."""
    plan = stage.plan()
    stage.start(stage.signed(plan))
    with pytest.raises(AccessDenied) as planned:
        stage.plan(OTHER)
    with pytest.raises(AccessDenied) as started:
        stage.start(stage.signed(plan, OTHER), OTHER)
    assert (planned.value.rule, started.value.rule) == ("study.foreign", "study.foreign")
    assert ("study.start", "study.foreign") in stage.market.exchange.refusals()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"contracts": {"hospital-a": "c-hospital-b"}}, AccessDenied),
        ({"contracts": {"hospital-a": "c-9"}}, NotFound),
        ({"contracts": ["c-1"]}, ConfigInvalid),
        ({"contracts": None}, ConfigInvalid),
        ({"features": None}, ConfigInvalid),
        ({"features": []}, StudyInvalid),
        ({"l2": "much"}, ConfigInvalid),
        ({"l2": float("nan")}, StudyInvalid),
        ({"max_rounds": 10**6}, StudyInvalid),
        ({"kind": "tree"}, StudyInvalid),
        ({"options": {"grid": [1]}}, StudyInvalid),
        ({"options": ["grid"]}, ConfigInvalid),
        ({"levels": {"nobody": ["a"]}}, StudyInvalid),
        ({"deadline": "tomorrow"}, StudyInvalid),
        ({"deadline": "2001-01-01T00:00:00Z"}, ConfigInvalid),
        ({"deadline": "2199-01-01T00:00:00Z"}, ConfigInvalid),
        ({"min_sites": 0}, StudyInvalid),
        ({"id": "../up"}, StudyInvalid),
        ({"id": ""}, StudyInvalid),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_and_keeps_no_plan(
    stage: Stage, changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        stage.plan(**changed)
    assert stage.market.exchange.documents.all("study_plan") == []
    assert stage.market.exchange.refusals()[-1][0] == "study.plan"


def test_anothers_contracts_and_ended_ones_make_no_study(stage: Stage) -> None:
    with pytest.raises(AccessDenied):
        stage.plan(OTHER, id="study-2")
    stage.market.hospitals["hospital-b"].negotiations.revoke("c-hospital-b", "x", person("hospital-b", "data_steward"))
    with pytest.raises(AccessDenied) as refused:
        stage.plan(id="study-3")
    assert refused.value.rule == "study.contract"
    assert stage.keyholder.asked == []


def test_only_what_was_planned_is_started_and_only_by_its_buyers_name(stage: Stage) -> None:
    plan = stage.plan()
    with pytest.raises(AccessDenied):
        stage.start(stage.signed(plan | {"l2": 5.0}))
    with pytest.raises(NotFound):
        stage.start(stage.signed(plan | {"id": "study-9"}))
    for envelope in (
        {"document": plan, "signatures": []},
        countersign("study", {"document": plan, "signatures": []}, OTHER, stage.market.keys[OTHER].secret("sign")),
    ):
        with pytest.raises(SignatureInvalid):
            stage.start(envelope)
    assert stage.runner.runs == []


def test_without_a_durable_event_no_study_runs(stage: Stage) -> None:
    plan = stage.plan()
    stage.market.exchange.store.fails = True
    with pytest.raises(LogFailed):
        stage.start(stage.signed(plan))
    assert stage.runner.runs == []
    with pytest.raises(LogFailed):
        stage.plan(id="study-2")
    assert len(stage.market.exchange.documents.all("study_plan")) == 1


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
