"""Who says what to a study: signed by the person who speaks, over exactly this study, and kept."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.node.market_stage import Market, person
from tests.node.study_stage import Round

from hdex.federated.errors import AdmissionRefused
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import format_time
from hdex.node.errors import AccessDenied, ConfigInvalid, RequestInvalid, SignatureInvalid
from hdex.node.hospital.staff import Staff
from hdex.node.hospital.study_approvals import Said, StudyApprovals
from hdex.node.signed import canonical, countersign, sign

YES = "approve"
OFFICER, COMMITTEE, STEWARD = "privacy_officer", "ethics_committee", "data_steward"


@pytest.fixture
def stage(tmp_path: Path) -> Round:
    return Round(Market(tmp_path))


def refused(stage: Round, level: int = 2) -> str:
    with pytest.raises(AccessDenied) as found:
        stage.approvals.require(stage.study(), "c-1", level)
    return found.value.rule


def yes(stage: Round, *roles: str) -> None:
    for role in roles:
        stage.say(Said(YES, study_digest=stage.study().digest()), role)


def test_nobody_said_yes_is_no_and_the_study_waits(stage: Round) -> None:
    assert refused(stage) == "approval.missing"
    (row,) = stage.approvals.all()
    assert row["columns"] == ["systolic", "diameter_mm", "restenosis"]
    assert row["digest"] == stage.study().digest()
    yes(stage, OFFICER)
    stage.approvals.require(stage.study(), "c-1", 2)
    assert stage.approvals.all()[0]["said"] == {OFFICER: YES}


def standing(stage: Round) -> str:
    study = stage.study()
    return stage.site.standing(study, canonical(stage.signed(study)))


def started(stage: Round) -> list[tuple[str, str | None]]:
    events = stage.market.hospital.ground.events()
    return [(str(e.decision), e.reason) for e in events if e.action.value == "study.start"]


def test_asked_how_it_stands_a_node_keeps_the_study_for_its_people_and_says_each_answer_once(stage: Round) -> None:
    assert [standing(stage), standing(stage)] == ["approval.missing"] * 2
    assert [row["digest"] for row in stage.approvals.all()] == [stage.study().digest()]
    yes(stage, OFFICER)
    assert [standing(stage), standing(stage)] == ["", ""]
    assert started(stage) == [("deny", "approval.missing"), ("allow", None)]
    assert stage.joined() == 0
    assert stage.market.hospital.ground.book.rounds("c-1") == set()


@pytest.mark.parametrize("end", ["denied", "revoked", "stranger"])
def test_asked_how_it_stands_a_node_says_no_by_the_rule_of_a_round(stage: Round, end: str) -> None:
    yes(stage, OFFICER)
    study, signers = stage.study(), ("buyer-heartline", "exchange")
    if end == "denied":
        stage.say(Said("deny", study_digest=study.digest()), OFFICER)
    elif end == "revoked":
        stage.market.negotiations.revoke("c-1", "it ended", person("hospital-a", OFFICER))
    else:
        signers = ("buyer-other", "exchange")
    envelope = canonical(stage.signed(study, signers))
    with pytest.raises(AdmissionRefused) as said:
        stage.site.standing(study, envelope)
    with pytest.raises(AdmissionRefused) as refusal:
        stage.admit(study, envelope)
    assert said.value.rule == refusal.value.rule
    assert started(stage) == [("deny", said.value.rule)]


def test_one_yes_is_for_one_study(stage: Round) -> None:
    yes(stage, COMMITTEE)
    stage.approvals.require(stage.study(), "c-1", 3)
    for other in (replace(stage.study(), l2=0.1), stage.study("study-2")):
        with pytest.raises(AccessDenied):
            stage.approvals.require(other, "c-1", 3)


def test_a_no_outweighs_and_can_be_taken_back(stage: Round) -> None:
    yes(stage, OFFICER, COMMITTEE)
    stage.say(Said("deny", study_digest=stage.study().digest()), OFFICER)
    assert refused(stage, 5) == "approval.denied"
    stage.rule()
    assert refused(stage) == "approval.denied"  # a rule does not outweigh it either
    yes(stage, OFFICER)
    stage.approvals.require(stage.study(), "c-1", 5)


@pytest.mark.parametrize("level", [4, 5])
def test_two_persons_from_level_4_on_and_no_rule_for_them(stage: Round, level: int) -> None:
    stage.rule()
    stage.approvals.require(stage.study(), "c-1", 3)
    assert refused(stage, level) == "approval.missing"
    yes(stage, COMMITTEE)
    assert refused(stage, level) == "approval.second"
    yes(stage, OFFICER)
    stage.approvals.require(stage.study(), "c-1", level)


def test_every_word_is_an_event(stage: Round) -> None:
    yes(stage, OFFICER)
    stage.say(Said("deny", study_digest=stage.study().digest()), COMMITTEE)
    events = [event for event in stage.market.hospital.ground.events() if event.policy_digest]
    assert [(event.action.value, event.decision, event.role) for event in events] == [
        ("study.approve", "allow", OFFICER), ("study.approve", "deny", COMMITTEE),
    ]  # fmt: skip


def test_a_yes_that_cannot_be_remembered_is_none_and_a_no_is_one(stage: Round) -> None:
    stage.market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        yes(stage, OFFICER)
    assert refused(stage) == "approval.missing"
    with pytest.raises(LogFailed):
        stage.say(Said("deny", study_digest=stage.study().digest()))
    assert refused(stage) == "approval.denied"


def test_words_outlive_the_process(stage: Round) -> None:
    yes(stage, OFFICER)
    ground = stage.market.hospital.ground
    public = {role: keys.public("sign") for role, keys in stage.staff.items()}
    again = StudyApprovals(Staff("hospital-a", public), ground.documents, ground.recorder, clock=stage.market.clock)
    again.require(stage.study(), "c-1", 2)


def test_who_prepared_the_data_gives_no_study_away(stage: Round) -> None:
    said = Said(YES, study_digest=stage.study().digest())
    envelope = sign("decision", said.document(), f"hospital-a/{STEWARD}", stage.staff[OFFICER].secret("sign"))
    with pytest.raises(AccessDenied) as found:
        stage.approvals.decide(envelope, actor=person("hospital-a", STEWARD))
    assert found.value.rule == "approve.role"


def test_a_word_is_signed_by_who_speaks_as_a_decision(stage: Round) -> None:
    document = Said(YES, study_digest=stage.study().digest()).document()
    by_officer = sign("decision", document, f"hospital-a/{OFFICER}", stage.staff[OFFICER].secret("sign"))
    by_other_key = sign("decision", document, f"hospital-a/{OFFICER}", stage.staff[COMMITTEE].secret("sign"))
    another_kind = sign("receipt", document, f"hospital-a/{OFFICER}", stage.staff[OFFICER].secret("sign"))
    for envelope, role in ((by_officer, COMMITTEE), (by_other_key, OFFICER), (another_kind, OFFICER)):
        with pytest.raises(SignatureInvalid):
            stage.approvals.decide(envelope, actor=person("hospital-a", role))
    both = countersign("decision", by_officer, f"hospital-a/{COMMITTEE}", stage.staff[COMMITTEE].secret("sign"))
    stage.approvals.decide(both, actor=person("hospital-a", OFFICER))
    assert refused(stage, 5) == "approval.second"  # the committee's own call is missing


def test_a_role_that_nobody_holds_says_nothing(stage: Round) -> None:
    ground = stage.market.hospital.ground
    empty = StudyApprovals(Staff("hospital-a", {}), ground.documents, ground.recorder, clock=stage.market.clock)
    with pytest.raises(ConfigInvalid):
        empty.decide({"document": {}, "signatures": []}, actor=person("hospital-a", OFFICER))
    yes(stage, OFFICER)
    with pytest.raises(AccessDenied):
        empty.require(stage.study(), "c-1", 2)


def test_a_rule_ends(stage: Round) -> None:
    until = format_time(stage.market.now + timedelta(days=2))
    stage.say(Said(YES, contract="c-1", kind="logistic", expires=until))
    stage.approvals.require(stage.study(), "c-1", 3)
    with pytest.raises(AccessDenied):
        stage.approvals.require(stage.study(), "c-2", 3)
    stage.market.later(days=2)
    assert refused(stage) == "approval.missing"


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"verdict": "maybe", "study_digest": "ab" * 32}, {"verdict": YES}, {"verdict": YES, "study_digest": "ab"},
        {"verdict": YES, "study_digest": "ab" * 32, "contract": "c-1"}, {"verdict": YES, "contract": "c-1"},
        {"verdict": YES, "contract": "c-1", "kind": "logistic"}, {"verdict": YES, "study_digest": 7},
        {"verdict": YES, "contract": "c-1", "kind": "logistic", "expires": "soon"}, {"verdict": YES, "rows": "all"},
        {"verdict": ["approve"], "study_digest": "ab" * 32},
        {"verdict": YES, "contract": "c" * 999, "kind": "logistic"},
    ],
)  # fmt: skip
def test_a_word_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        Said.from_document(wrong)
