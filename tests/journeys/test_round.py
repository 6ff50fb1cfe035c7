"""A round: the sum of all equals the pooled fit, and a hospital joins only what it agreed to, whoever asks."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from tests.journeys.stage import Stage, eventually, refusal, silent
from tests.node.consortium import hdex, printed

from hdex.federated.broadcast import Broadcast
from hdex.federated.errors import Refusal
from hdex.federated.statistics import Point
from hdex.federated.study import Algorithm, Study
from hdex.ledger.event import format_time
from hdex.ledger.log import Log
from hdex.node.compose.hospital import HospitalParts
from hdex.node.compose.standing import Standing
from hdex.node.demo.setting import BUYER, HOSPITALS
from hdex.node.hospital.study_approvals import Said
from hdex.node.signed import Envelope, canonical, countersign, sign
from hdex.node.wire.remote import RemoteExchange

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("studies")]
SITE = HOSPITALS[0]
Handle = Callable[[bytes], bytes]


def question(stage: Stage, study_id: str, contracts: dict[str, str]) -> dict[str, Any]:
    memory = stage.reach("federate")
    return {
        "id": study_id,
        "target": memory.target,
        "features": list(memory.features),
        "purpose": memory.plot.purpose,
        "contracts": contracts,
        "standardize": "global",
        "max_rounds": 12,
    }


def market(stage: Stage) -> RemoteExchange:
    return RemoteExchange(stage.channels(BUYER)("exchange"))


def signed(stage: Stage, plan: dict[str, Any]) -> Envelope:
    return sign("study", plan, BUYER, stage.setting.keys[BUYER].secret("sign"))


def test_the_sum_over_three_hospitals_equals_the_pooled_fit(stage: Stage) -> None:
    memory = stage.reach("federate")
    assert memory.difference <= 1e-9
    assert memory.study["sites"] == list(HOSPITALS)
    for hospital in HOSPITALS:
        actions = stage.actions(hospital, contract=memory.contracts[hospital])
        joined, sent = actions.count("round.join"), actions.count("round.submit")
        assert joined >= sent >= memory.study["rounds"]
    assert stage.actions("keyholder").count("aggregate.decrypt") >= memory.study["rounds"]


def test_the_same_study_again_asks_nobody(stage: Stage) -> None:
    memory = stage.reach("federate")
    before = {hospital: asked_rounds(stage, hospital) for hospital in HOSPITALS}
    plan = market(stage).plan(question(stage, "study-1", {name: memory.contracts[name] for name in HOSPITALS}))
    again = market(stage).start(signed(stage, plan), silent)
    assert again["coefficients"] == memory.study["coefficients"]
    assert {hospital: asked_rounds(stage, hospital) for hospital in HOSPITALS} == before


def asked_rounds(stage: Stage, hospital: str) -> int:
    """Return how many rounds a hospital has joined; other events, of alerts or readers, may come at any time."""
    return len(stage.actions(hospital, action="round.join", decision="allow"))


def test_a_licence_revoked_between_plan_and_start_stops_the_round_at_the_node(stage: Stage) -> None:
    memory = stage.reach("federate")
    contracts = {name: memory.contracts[name] for name in HOSPITALS}
    contracts[SITE] = stage.agree(SITE, "federated", "between")
    plan = market(stage).plan(question(stage, "study-revoked", contracts))
    stage.officer(SITE).desk.revoke(contracts[SITE], "ask again")
    error = refusal(lambda: market(stage).start(signed(stage, plan), silent))
    assert error.rule == "contract.revoked"
    assert stage.actions(SITE, contract=contracts[SITE], decision="deny") == ["study.start"]
    assert refusal(lambda: market(stage).plan(question(stage, "study-late", contracts))).rule == "study.contract"


def test_a_study_that_no_rule_lets_pass_waits_for_the_officer(stage: Stage) -> None:
    memory = stage.reach("federate")
    contracts = {name: memory.contracts[name] for name in HOSPITALS}
    contracts[SITE] = stage.agree(SITE, "federated", "unruled")
    home = stage.setting.home(SITE)
    desk = ("--config", stage.setting.config_file(SITE), "--desk", home / "staff" / "privacy_officer")
    assert hdex("federated", "deny", contracts[SITE], "--contract", *desk).returncode == 0
    plan, said = market(stage).plan(question(stage, "study-waits", contracts)), list[str]()
    with ThreadPoolExecutor(1) as runner:
        say = lambda step, words: said.append(f"{step}: {words}")  # noqa: E731  # one line of a diary
        running = runner.submit(market(stage).start, signed(stage, plan), say)
        awaited = f"waiting: the people of {SITE} (approval.missing) have not decided yet"
        eventually(lambda: awaited in said, awaited)
        listed = printed(hdex("federated", "list", *desk, "--json"))["studies"]
        assert "study-waits" in [row["study"] for row in listed]
        digest = Study.from_document(plan).digest()
        for hospital in HOSPITALS:  # nobody was asked for sums
            assert "round.join" not in stage.actions(hospital, policy_digest=digest)
        assert hdex("federated", "approve", "study-waits", *desk).returncode == 0
        assert running.result()["sites"] == list(HOSPITALS)
    told = [(e["decision"], e.get("reason")) for e in stage.events(SITE)
            if e["action"] == "study.start" and e["policy_digest"] == digest]  # fmt: skip
    assert told == [("deny", "approval.missing"), ("allow", None)]


def test_a_no_of_one_hospital_ends_a_study_before_anybody_is_asked(stage: Stage) -> None:
    memory = stage.reach("federate")
    plan = market(stage).plan(question(stage, "study-denied", {name: memory.contracts[name] for name in HOSPITALS}))
    digest = Study.from_document(plan).digest()
    stage.officer(SITE).sign("decision", "study-denied", Said("deny", study_digest=digest).document())
    error = refusal(lambda: market(stage).start(signed(stage, plan), silent))
    assert error.rule == "approval.denied"
    assert SITE in str(error)
    for hospital in HOSPITALS:
        assert "round.join" not in stage.actions(hospital, policy_digest=digest)


class Line:
    """A Channel with one hospital at its other end, in this process."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._replies: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

    def sites(self) -> set[str]:
        return {SITE}

    def send(self, site: str, frame: bytes) -> None:
        self._replies.put((site, self._handle(frame)))

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        with suppress(Empty):
            return self._replies.get(timeout=timeout_s)
        raise TimeoutError


@dataclass(frozen=True)
class Node:
    """One hospital in this process."""

    handle: Handle
    log: Log

    def denied(self) -> list[str]:
        """Return the rules of all refusals in its log."""
        events = [json.loads(entry) for entry in self.log.entries(0, self.log.size)]
        return [event["reason"] for event in events if event["decision"] == "deny"]


@pytest.fixture(scope="module")
def node(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A hospital's own place in studies, wired as in production, over a copy of what its process keeps."""
    stage.reach("federate")
    data = tmp_path_factory.mktemp("copy") / "data"
    config = stage.hospital(SITE)
    copytree(config.data_dir, data)
    standing = Standing(replace(config, data_dir=data))
    handle = HospitalParts(standing, standing.config).site.handler()  # type: ignore[arg-type]  # a hospital's
    yield Node(handle, standing.log)
    standing.channels.close()
    standing.log.close()


def planned(stage: Stage, study_id: str) -> Study:
    """Return the first study's plan under another id, as if it had never been asked."""
    contracts = {name: stage.memory.contracts[name] for name in HOSPITALS}
    plan = Study.from_document(market(stage).plan(question(stage, "study-1", contracts)))
    return replace(
        plan, id=study_id.replace(" ", "-").replace("'", ""), nonce=hashlib.sha256(study_id.encode()).hexdigest()
    )


def asked(handle: Handle, envelope: Envelope, study: Study, number: int) -> None:
    """Ask one round as the exchange does; raise what the hospital refuses with."""
    from hdex.federated.apps.flower import MessageType, Run, be_task, node_id
    from hdex.federated.apps.records import question_record, reply_error
    from hdex.federated.grid_stream import StreamGrid

    p = len(study.features)
    point = None if number == 1 else Point(np.full(p + 1, 0.1), np.zeros(p), np.ones(p))
    step = {1: "moments", 2: "refine"}.get(number, "newton")
    body = Broadcast(study.id, study.digest(), number, 1, step, point).to_bytes()
    be_task(7)
    grid = StreamGrid(Line(handle))
    grid.set_run(Run.create_empty(7))
    message = grid.create_message(
        question_record(canonical(envelope), body), MessageType.TRAIN, node_id(SITE), str(number)
    )
    for reply in grid.send_and_receive([message], timeout=30):
        if reply.has_error():
            raise reply_error(reply, SITE)


def by_both(stage: Stage, study: Study) -> Envelope:
    """Sign a study with the keys of the exchange and of its buyer: the worst case, both are hostile."""
    return countersign("study", signed(stage, study.document()), "exchange", key_of(stage, "exchange"))


def key_of(stage: Stage, participant: str) -> bytes:
    return stage.setting.keys[participant].secret("sign")


def smaller_roster(study: Study) -> Study:
    kept = study.roster[:2]
    sites = {entry.site for entry in kept}
    return replace(
        study, roster=kept, min_sites=2,
        contracts={site: paper for site, paper in study.contracts.items() if site in sites},
        products={site: product for site, product in study.products.items() if site in sites},
    )  # fmt: skip


def foreign_keys(study: Study) -> Study:
    first, second, third = study.roster
    return replace(study, roster=(first, replace(second, mask_key="09" + "00" * 31), third))


def other_product(study: Study) -> Study:
    product, _, digest = study.products[SITE]
    return replace(study, products={**study.products, SITE: (product, "9.9.9", digest)})


HOSTILE: dict[str, tuple[Callable[[Study], Study], int, str]] = {
    "a column outside the product": (lambda s: replace(s, features=(*s.features, "resident_id")), 1, "study.columns"),
    "another purpose": (lambda s: replace(s, purpose="DUO:0000042"), 1, "agreement.purpose"),
    "a roster of two": (smaller_roster, 1, "min_sites"),
    "keys that are not the directory's": (foreign_keys, 1, "study.keys"),
    "another version": (other_product, 1, "study.product"),
    "a round out of order": (lambda s: s, 3, "round_order"),
    "sums in the open": (lambda s: replace(s, secure="plain", public_key="", key_id=""), 1, "sums_kind"),
    "an algorithm that is not installed": (
        lambda s: replace(s, algorithm=Algorithm(s.algorithm.id, "00" * 32)), 1, "algorithm"),
    "a deadline that has passed": (
        lambda s: replace(s, deadline=format_time(datetime.now(UTC) - timedelta(hours=1))), 1, "deadline"),
    "the contract of another hospital": (
        lambda s: replace(s, contracts={**s.contracts, SITE: s.contracts[HOSPITALS[1]]}), 1, "not-found"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_a_hostile_coordinator_and_buyer_get_nothing_beyond_the_contract(stage: Stage, node: Node, case: str) -> None:
    change, number, rule = HOSTILE[case]
    study, before = change(planned(stage, case)), node.denied()
    with pytest.raises(Refusal) as refused:
        asked(node.handle, by_both(stage, study), study, number)
    assert refused.value.rule == rule
    assert node.denied() == [*before, rule]


def test_a_coordinator_alone_cannot_change_what_the_buyer_signed(stage: Stage, node: Node) -> None:
    planned_one = planned(stage, "study-1")
    study = replace(planned_one, id="study-alone", l2=0.5)
    alone = sign("study", study.document(), "exchange", key_of(stage, "exchange"))
    stolen = {**by_both(stage, planned_one), "document": study.document()}
    for envelope in (alone, stolen):
        with pytest.raises(Refusal) as refused:
            asked(node.handle, envelope, study, 1)
        assert refused.value.rule == "signature-invalid"


def test_another_study_under_a_known_id_is_refused(stage: Stage, node: Node) -> None:
    study = replace(planned(stage, "study-1"), l2=0.5)
    with pytest.raises(Refusal) as refused:
        asked(node.handle, by_both(stage, study), study, 1)
    assert refused.value.rule == "study_changed"


def test_the_honest_question_is_answered_and_its_sums_are_an_event(stage: Stage, node: Node) -> None:
    study, before = planned(stage, "study-honest"), node.denied()
    asked(node.handle, by_both(stage, study), study, 1)
    assert node.denied() == before
    assert json.loads(node.log.entries(0, node.log.size)[-1])["action"] == "round.submit"
