"""The refusal matrix: coordinator and buyer both lie, over the real Grid, against a hospital's real admission."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market
from tests.node.study_stage import SITE, Round
from tests.node.test_site_admission import CHANGES

from hdex.catalog.lifecycle import ProductState
from hdex.federated.apps.flower import MessageType, Run, be_task, node_id
from hdex.federated.apps.records import question_record, reply_error
from hdex.federated.broadcast import Broadcast
from hdex.federated.errors import FederatedError, Refusal
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.statistics import Point
from hdex.federated.study import Study
from hdex.ledger.event import format_time
from hdex.node.errors import describe
from hdex.node.hospital.study_approvals import Said
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import Envelope, canonical, countersign, sign

Document = dict[str, Any]
ROWS = 160


def broadcast(study: Study, number: int, **changes: Any) -> Broadcast:
    """Return the question of a round as an honest coordinator asks it."""
    p = len(study.features)
    step = {1: "moments", 2: "refine"}.get(number, "newton")
    point = None if number == 1 else Point(np.full(p + 1, 0.1), np.zeros(p), np.ones(p))
    return replace(Broadcast(study.id, study.digest(), number, 1, step, point), **changes)


def ask(handle: Callable[[bytes], bytes], envelope: bytes, question: bytes) -> None:
    """Send one round's message through Flower's Grid; raise what the hospital answers."""
    be_task(7)
    grid = InprocGrid({SITE: handle})
    grid.set_run(Run.create_empty(7))
    record = question_record(envelope, question)
    message = grid.create_message(record, MessageType.TRAIN, node_id(SITE), "1")
    (reply,) = grid.send_and_receive([message], timeout=30)
    if reply.has_error():
        raise reply_error(reply, SITE)


def nothing(stage: Round) -> None:
    """Change nothing at the hospital."""


def same(study: Study) -> Study:
    return study


@dataclass(frozen=True)
class Case:
    """What is different from an honest round, and the rule that refuses it."""

    rule: str
    before: Callable[[Round], object] = nothing
    change: Callable[[Study], Study] = same
    number: int = 1
    ask: Mapping[str, Any] | None = None  # fields of the question
    sign: Callable[[Round, Study], Envelope] | None = None
    document: Callable[[Document], object] | None = None  # what no Study could say, signed all the same
    rows: int = ROWS
    level: int = 2
    mode: str = "federated"


def changed(**changes: Any) -> Callable[[Study], Study]:
    return lambda study: replace(study, **changes)


def run(stage: Round, number: int, study_id: str = "study-1", **changes: Any) -> None:
    """Let the hospital answer rounds 1 to `number` honestly."""
    study = replace(stage.study(study_id), **changes)
    for one in range(1, number + 1):
        ask(stage.session.handle, canonical(stage.signed(study)), broadcast(study, one).to_bytes())


def signed_by(*names: str) -> Callable[[Round, Study], Envelope]:
    return lambda stage, study: stage.signed(study, names)


def of_another_kind(stage: Round, study: Study) -> Envelope:
    envelope = sign("request", study.document(), BUYER, stage.market.keys[BUYER].secret("sign"))
    return countersign("study", envelope, "exchange", stage.market.keys["exchange"].secret("sign"))


def signed_before_the_change(stage: Round, study: Study) -> Envelope:
    return {"document": study.document(), "signatures": stage.signed(stage.study())["signatures"]}


def foreign_contract(stage: Round) -> None:
    market = stage.market
    market.buyers[OTHER].request(market.wish(stage.product, "federated", recipient=OTHER), contract_id="c-2")
    market.negotiations.decide("c-2", OFFICER, approved=True)
    market.buyers[OTHER].accept("c-2")
    stage.rule("c-2")


def unfinished_contract(stage: Round) -> None:
    stage.market.buyers[BUYER].request(stage.market.wish(stage.product, "federated"), contract_id="c-3")
    stage.rule("c-3")


def rule_of(verdict: str = "approve", days: int = 400, kind: str = "logistic", role: str = "privacy_officer") -> Any:
    def sign_it(stage: Round) -> None:
        until = format_time(stage.market.now + timedelta(days=days))
        stage.say(Said(verdict, contract="c-1", kind=kind, expires=until), role)

    return sign_it


def word(verdict: str, *roles: str, study_id: str = "study-1") -> Any:
    def sign_it(stage: Round) -> None:
        for role in roles:
            stage.say(Said(verdict, study_digest=stage.study(study_id).digest()), role)

    return sign_it


def holds(stage: Round, role: str, keys: MemoryKeys) -> None:
    """Write another person's key into the hospital's staff."""
    people = stage.approvals._staff
    stage.approvals._staff = replace(people, keys={**people.keys, role: keys.public("sign")})


def one_person(stage: Round) -> None:
    """One person holds both roles."""
    keys = stage.staff["privacy_officer"]
    stage.staff["ethics_committee"] = keys
    holds(stage, "ethics_committee", keys)
    word("approve", "privacy_officer", "ethics_committee")(stage)


def officer_left(stage: Round) -> None:
    """Who signed the rule holds the role no more."""
    holds(stage, "privacy_officer", MemoryKeys(dict(STANDARD)))


def grant_ended_on_chain(stage: Round) -> None:
    stage.market.hospital.ground.facts.revoke_grant(stage.market.negotiations.grant_of("c-1"))


def no_federated_use(stage: Round) -> None:
    documents = stage.market.hospital.ground.documents
    (key,) = documents.keys("product_version")
    kept = documents.get("product_version", key)
    kept["envelope"]["document"]["delivery_modes"] = ["sealed_file"]
    documents.put("product_version", key, kept)


def superseded(stage: Round) -> None:
    stage.market.list_product(replace(stage.product, version="2.0.0"))
    stage.market.later(days=90)


def suspended(stage: Round) -> None:
    products = stage.market.hospital.products
    products.keep(replace(products.versions(stage.product.id)[0], state=ProductState.SUSPENDED))


def rounds_used_up(stage: Round) -> None:
    for number in range(1, 13):
        stage.admit(stage.study("study-0"), number=number)


def one_organisation(document: Document) -> None:
    document["roster"][1]["organisation"] = document["roster"][2]["organisation"]


FLOOR = {"rule": "min_rows", "rows": 9}
EPSILON = {"epsilon": 0.8, "delta": 1e-6, "clip": 1.0}
AT_CONTRIBUTOR = {  # the installed algorithm refuses these before it asks the node
    "not on the roster": "not_on_roster",
    "only two sites": "min_sites",
    "plain sums": "sums_kind",
    "past its deadline": "deadline",
    "other code": "algorithm",
    "an algorithm not installed": "algorithm",
}
CASES: dict[str, Case] = {
    name: Case(AT_CONTRIBUTOR.get(name, rule), change=change) for name, (change, rule) in CHANGES.items()
} | {
    "contract revoked": Case("contract.revoked", lambda s: s.market.negotiations.revoke("c-1", "ended", OFFICER)),
    "contract ended": Case("agreement.expired", lambda s: s.market.later(days=366),
                           changed(deadline="2028-01-01T00:00:00.000Z")),
    "grant ended on the chain": Case("grant.not_live", grant_ended_on_chain),
    "contract of another consumer": Case("signature-invalid", foreign_contract, lambda s: contract(s, "c-2")),
    "contract not finalized": Case("contract.state", unfinished_contract, lambda s: contract(s, "c-3")),
    "contract for files": Case("agreement.mode", mode="sealed_file"),
    "no federated use any more": Case("level.2.no_federated", no_federated_use),
    "superseded, and its notice has run": Case("product.superseded", superseded),
    "suspended": Case("product.suspended", suspended),
    "agreed rounds used up": Case("agreement.rounds", rounds_used_up),
    "more rounds than agreed": Case("agreement.rounds", lambda s: run(s, 12, max_rounds=99),
                                    changed(max_rounds=99), number=13),
    "round beyond the study's maximum": Case("max_rounds", number=13),
    "first round is the third": Case("round_order", number=3),
    "a round left out": Case("round_order", lambda s: run(s, 1), number=3),
    "back to a round before": Case("round_order", lambda s: run(s, 2), number=1),
    "the last round asked differently": Case("round_order", lambda s: run(s, 2), number=2, ask={
        "point": Point(np.full(3, 0.2), np.zeros(2), np.ones(2))}),
    "a replay under another attempt": Case("round_order", lambda s: run(s, 2), number=2, ask={"attempt": 2}),
    "moments in a later round": Case("step_order", lambda s: run(s, 1), number=2, ask={
        "step": "moments", "point": None}),
    "a question of another study": Case("study_digest", ask={"study_digest": "00" * 32}),
    "another study under the same id": Case("study_changed", lambda s: run(s, 1), changed(l2=0.5)),
    "the same id after the reply was lost": Case("study.id", lambda s: s.admit(s.study()), changed(l2=0.5)),
    "a nonce used before": Case("study.nonce", lambda s: s.admit(s.study()), changed(id="study-2")),
    "signed by the exchange alone": Case("signature-invalid", sign=signed_by("exchange")),
    "signed by the buyer alone": Case("signature-invalid", sign=signed_by(BUYER)),
    "signed by another buyer": Case("signature-invalid", sign=signed_by(OTHER, "exchange")),
    "signed by another hospital": Case("signature-invalid", sign=signed_by(BUYER, "hospital-b")),
    "signed by nobody": Case("signature-invalid", sign=signed_by()),
    "signed as another kind of paper": Case("signature-invalid", sign=of_another_kind),
    "changed after it was signed": Case("signature-invalid", change=changed(l2=0.5), sign=signed_before_the_change),
    "nobody approved": Case("approval.missing", rule_of(days=-1)),
    "a rule for another kind": Case("approval.missing", lambda s: (rule_of(days=-1)(s), rule_of(kind="cox")(s))),
    "a rule the committee stopped": Case("approval.missing", rule_of("deny", role="ethics_committee")),
    "a rule of somebody who left": Case("approval.missing", officer_left),
    "a person said no": Case("approval.denied", word("deny", "ethics_committee")),
    "one yes, one no": Case("approval.denied", lambda s: (word("approve", "privacy_officer")(s),
                                                          word("deny", "ethics_committee")(s))),
    "another study was approved": Case("approval.missing", lambda s: (rule_of(days=-1)(s), word(
        "approve", "privacy_officer", study_id="study-9")(s))),
    "level 5 with the floor of level 4": Case("study.min_rows", level=5, change=changed(min_rows=19)),
    "level 5 by rule": Case("approval.missing", level=5),
    "level 5 by one person": Case("approval.second", word("approve", "ethics_committee"), level=5),
    "level 5 by one person in two roles": Case("approval.second", one_person, level=5),
    "more epsilon than the contract has": Case("budget.spent", change=changed(privacy={**EPSILON, "epsilon": 1.5})),
    "epsilon left by an earlier study": Case("budget.spent", lambda s: s.admit(replace(
        s.study("study-0"), privacy=EPSILON, max_rounds=1)), changed(privacy=EPSILON)),
    "negative epsilon": Case("study-invalid", document=lambda d: d.update(privacy={"epsilon": -1.0})),
    "huge epsilon": Case("study-invalid", document=lambda d: d.update(privacy={"epsilon": 1e300})),
    "epsilon in words": Case("study-invalid", document=lambda d: d.update(privacy={"epsilon": "0.1"})),
    "two sites of one organisation": Case("study-invalid", document=one_organisation),
    "the key holder of a site's organisation": Case("study-invalid", document=lambda d: d["keyholder"].update(
        organisation=d["roster"][0]["organisation"])),
    "an unknown field": Case("study-invalid", document=lambda d: d.update(rows="all")),
    "too few rows": Case(**FLOOR),  # type: ignore[arg-type]  # a rule and a count
    "too many parameters for the rows": Case("parameter_share", rows=25),
    "too few events": Case("events_per_parameter", rows=60),
    "a floor lower than the hospital's": Case(change=changed(min_rows=1), **FLOOR),  # type: ignore[arg-type]
}  # fmt: skip


def contract(study: Study, name: str) -> Study:
    return replace(study, contracts={**study.contracts, SITE: name})


def staged(folder: Path, case: Case) -> Round:
    market = Market(folder)
    product = None
    if case.level == 5:
        product = market.level_5()
        told = {"records": case.rows, "recipient_class": ""}
        market.hospital.ground.documents.put("release", f"hiv/{product.version}", told)
    stage = Round(market, mode=case.mode, product=product, rows=case.rows)
    stage.rule()
    return stage


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_round_is_refused_at_the_node_with_its_rule_and_its_event(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    stage = staged(tmp_path, case)
    case.before(stage)
    study = case.change(stage.study())
    envelope = (case.sign or Round.signed)(stage, study)
    if case.document is not None:
        case.document(envelope["document"])
        for signer in (BUYER, "exchange"):
            envelope = countersign("study", envelope, signer, stage.market.keys[signer].secret("sign"))
    ground = stage.market.hospital.ground
    before, kept = ground.log.size, stage.replies.get(f"reply/{study.id}")
    question = broadcast(study, case.number, **(case.ask or {})).to_bytes()
    with pytest.raises(FederatedError) as refused:
        ask(stage.session.handle, json.dumps(envelope).encode(), question)
    assert describe(refused.value).rule == case.rule
    events = ground.events()[before:]
    assert [event.reason for event in events if event.decision == "deny"] == [case.rule]
    assert not any(event.action.value == "round.submit" for event in events)  # nothing left
    assert stage.replies.get(f"reply/{study.id}") == kept


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(CASES) >= 40


def test_an_honest_round_passes_the_same_way(tmp_path: Path) -> None:
    stage = staged(tmp_path, Case(""))
    run(stage, 3)
    events = stage.market.hospital.ground.events()
    assert [event.action.value for event in events][-2:] == ["round.join", "round.submit"]


def test_two_persons_open_level_5(tmp_path: Path) -> None:
    stage = staged(tmp_path, Case("", level=5))
    with pytest.raises(Refusal) as refused:
        run(stage, 1)
    assert refused.value.rule == "approval.missing"
    (waiting,) = stage.approvals.all()
    assert (waiting["study"], waiting["level"], waiting["said"]) == ("study-1", 5, {})
    word("approve", "privacy_officer", "ethics_committee")(stage)
    run(stage, 2)


def test_a_licence_revoked_between_two_rounds_stops_the_next_one(tmp_path: Path) -> None:
    stage = staged(tmp_path, Case(""))
    run(stage, 2)
    stage.market.negotiations.revoke("c-1", "ended", OFFICER)
    study = stage.study()
    with pytest.raises(Refusal) as refused:
        ask(stage.session.handle, canonical(stage.signed(study)), broadcast(study, 3).to_bytes())
    assert refused.value.rule == "contract.revoked"
