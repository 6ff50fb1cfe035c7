"""Studies at the exchange: planned from the caller's own live contracts, started by who planned them; and the pipe."""

import io
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_product
from tests.federated.samples import keypair, safe_primes
from tests.node.market_stage import BUYER, OTHER, PURPOSE, Market, person

from hdex.federated.dealing import DealtKey, deal_key
from hdex.federated.errors import DisclosureRefused, StudyInvalid
from hdex.federated.paillier import public_key_hex
from hdex.federated.ports import OpenedSum
from hdex.federated.shapley import Scores, coalitions
from hdex.ledger.errors import LogFailed
from hdex.node.errors import AccessDenied, ConfigInvalid, NotFound, SignatureInvalid
from hdex.node.exchange.pipe import LARGEST, Pipe, join, split
from hdex.node.exchange.studies import Coordinator, Studies
from hdex.node.exchange.study_child import PipeChannel
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


# ---- the pipe to a study's process -----------------------------------------------------------------------------------

NAMES = st.text(max_size=12).filter(lambda name: name not in {"kind", "payload", "self"})
HEADS = st.dictionaries(NAMES, st.integers() | st.text(max_size=20), max_size=4)


@given(messages=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=300), HEADS), max_size=8))
def test_messages_come_out_as_they_went_in(messages: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    wire = io.BytesIO()
    sender = Pipe(io.BytesIO(), wire)
    for kind, payload, head in messages:
        sender.send(kind, payload, **head)
    receiver = Pipe(io.BytesIO(wire.getvalue()), io.BytesIO())
    for kind, payload, head in messages:
        packet = receiver.receive()
        assert packet is not None
        assert (packet.kind, packet.payload, packet.head) == (kind, payload, {"kind": kind, **head})
    assert receiver.receive() is None


@given(payload=st.binary(max_size=200), cut=st.integers(0, 400))
def test_a_message_that_is_cut_is_the_end_and_never_half_a_message(payload: bytes, cut: int) -> None:
    wire = io.BytesIO()
    Pipe(io.BytesIO(), wire).send("frame", payload, site="hospital-a")
    data = wire.getvalue()
    packet = Pipe(io.BytesIO(data[: min(cut, len(data) - 1)]), io.BytesIO()).receive()
    assert packet is None


@pytest.mark.parametrize("sizes", [(LARGEST + 1, 0), (2, LARGEST + 1), (2**32 - 1, 2**32 - 1)])
def test_a_length_beyond_all_bounds_ends_the_conversation(sizes: tuple[int, int]) -> None:
    assert Pipe(io.BytesIO(struct.pack(">II", *sizes) + b"{}"), io.BytesIO()).receive() is None


@given(parts=st.lists(st.binary(max_size=64), max_size=8))
def test_parts_are_split_where_they_were_joined(parts: list[bytes]) -> None:
    sizes, payload = join(parts)
    assert split(sizes, payload) == parts


def test_many_threads_may_send_without_mixing_their_messages() -> None:

    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        sender, receiver = Pipe(io.BytesIO(), writer), Pipe(reader, io.BytesIO())
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(sender.send, "frame", bytes([n]) * 100, n=n) for n in range(32)]
            found = [receiver.receive() for _ in range(32)]
            for job in jobs:
                job.result()
    assert sorted(packet.head["n"] for packet in found if packet) == list(range(32))
    assert all(set(packet.payload) == {packet.head["n"]} for packet in found if packet)


def test_the_childs_channel_knows_the_sites_and_waits_no_longer_than_asked() -> None:
    wire = io.BytesIO()
    channel = PipeChannel(Pipe(io.BytesIO(), wire))
    with pytest.raises(TimeoutError):
        channel.receive(0.001)
    for kind, payload, head in (("sites", b"", {"sites": ["a", "b"]}), ("frame", b"bytes", {"site": "a"})):
        other = io.BytesIO()
        Pipe(io.BytesIO(), other).send(kind, payload, **head)
        packet = Pipe(io.BytesIO(other.getvalue()), io.BytesIO()).receive()
        assert packet is not None
        channel.arrived(packet)
    assert channel.sites() == {"a", "b"}
    assert channel.receive(1) == ("a", b"bytes")
