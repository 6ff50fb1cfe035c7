"""What the buyer's desk shows and reads, without a market: tasks, a contract's way, clauses, charts, typed forms."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.contract_life import LifeState
from hdex.node.bargain_terms import told_terms
from hdex.node.buyer_desk import Asked, Standing
from hdex.node.buyer_shelf import Arrived, Shelf
from hdex.node.contract_record import ContractRecord
from hdex.node.contract_word import LifeStep, Used, Word
from hdex.node.errors import NotFound, PeerUnavailable, RequestInvalid
from hdex.node.fetches import Fetches
from hdex.node.web.buyer_bargain import offer_of
from hdex.node.web.buyer_forms import declaration, lines, question, typed_lines
from hdex.node.web.buyer_views import (
    US,
    acts,
    answer_chart,
    contract_task,
    limits,
    request_task,
    state_of,
    steps,
    text_columns,
    vetting_task,
    waiting,
)
from hdex.node.web.buyer_words import BuyerWords

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
ASKED = {
    "product": "hospital-a.p",
    "provider": "hospital-a",
    "delivery_mode": "sealed_file",
    "access": {"at": "2026-11-21T20:00:00.000Z"},
}
AGREED = {
    "issued": "2026-11-21T21:00:00.000Z",
    "expires": "2026-12-01T21:00:00.000Z",
    "delivery_modes": ["sealed_file"],
    "max_deliveries": 2,
    "max_rounds": 0,
    "clauses": {"breach_notice_hours": 24},
    "quota": {"rows": 5000, "queries": None, "period": "month"},
}
NOTHING, WHOLE = Arrived(0, 0, is_whole=False), Arrived(100, 90, is_whole=True, receipt="2026-11-21T21:30:00.000Z")


def record(state: str, **changed: Any) -> ContractRecord:
    agreement = {"document": AGREED, "signatures": []} if state not in ("REQUESTED", "TERMINATED") else None
    return ContractRecord("c-1", state, {"document": ASKED, "signatures": []}, agreement=agreement, **changed)


def standing(state: str, arrived: Arrived = NOTHING, **changed: Any) -> Standing:
    return Standing("c-1", ASKED, arrived, record(state, **changed))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (standing("REQUESTED"), ("contract_waits", "hospital-a")),
        (standing("OFFERED"), ("contract_answer", US)),
        (standing("AGREED"), ("contract_sign", US)),
        (standing("VERIFIED"), ("contract_waits", "hospital-a")),
        (standing("FINALIZED"), ("contract_fetch", US)),
        (standing("FINALIZED", WHOLE), None),
        (standing("FINALIZED", revoked=True), None),
        (standing("TERMINATED"), None),
        (Standing("c-1", ASKED, NOTHING), None),  # nobody could be asked
    ],
)
def test_whose_turn_it_is_in_a_contract(one: Standing, expected: tuple[str, str] | None) -> None:
    task = contract_task(one)
    assert (task and (task.key, task.who)) == expected


@pytest.mark.parametrize(
    ("state", "then", "expected"),
    [
        ("DRAFT", "applicant", ("request_draft", US)),
        ("RETURNED", "applicant", ("request_returned", US)),
        ("APPROVED", "applicant", ("request_approved", US)),
        ("COMMITTEE", "ethics_committee", ("request_waits", "hospital-a")),
        ("REFUSED", "", None),
        ("", "", None),
    ],
)
def test_whose_turn_it_is_in_a_request(state: str, then: str, expected: tuple[str, str] | None) -> None:
    asked = Asked("r-1", {"provider": "hospital-a"}, {"state": state, "next": then, "due": "", "overdue": False})
    task = request_task(asked)
    assert (task and (task.key, task.who)) == expected
    for lang in ("en", "zh"):
        assert task is None or "r-1" in BuyerWords(lang).say(f"task.{task.key}", **task.values)


@pytest.mark.parametrize(
    ("vettings", "key"),
    [
        ([], "vetting_none"),
        ([{"state": "APPLIED", "next": "privacy_officer"}, {"state": "VALID", "next": ""}], "vetting_waits"),
        ([{"state": "REFUSED", "next": ""}, {"state": "VALID", "next": ""}], ""),
        ([{"state": "EXPIRED", "next": ""}], "vetting_again"),
        ([{"state": "VALID", "next": ""}], ""),
    ],
)
def test_what_is_to_be_done_about_the_vetting(vettings: list[dict[str, str]], key: str) -> None:
    task = vetting_task(vettings)
    assert (task.key if task else "") == key


def test_ours_stand_first_and_what_is_due_sooner_before_what_is_later() -> None:
    late = Asked("a", {}, {"state": "RETURNED", "next": "applicant", "due": "2026-12-03"})
    soon = Asked("b", {}, {"state": "RETURNED", "next": "applicant", "due": "2026-12-01"})
    found = waiting([{"state": "VALID", "next": ""}], [late, soon], [standing("REQUESTED"), standing("AGREED")])
    assert [(one.who == US, one.due) for one in found] == [
        (True, "2026-12-01"),
        (True, "2026-12-03"),
        (True, ""),
        (False, ""),
    ]


def test_an_approval_waits_for_nobody_once_a_contract_was_asked_for() -> None:
    same = {name: ASKED[name] for name in ("product", "delivery_mode")}
    asked = Asked("r-1", same, {"state": "APPROVED", "next": "applicant", "due": ""})
    stands = [{"state": "VALID", "next": ""}]
    assert [one.key for one in waiting(stands, [asked], [])] == ["request_approved"]
    assert [one.key for one in waiting(stands, [asked], [standing("REQUESTED")])] == ["contract_waits"]
    assert [one.key for one in waiting(stands, [asked], [standing("TERMINATED")])] == ["request_approved"]
    other = Asked("r-1", same | {"delivery_mode": "query"}, asked.status)
    assert "request_approved" in [one.key for one in waiting(stands, [other], [standing("REQUESTED")])]


def test_a_contract_s_way_tells_signed_times_and_first_sights_apart() -> None:
    one = replace(standing("FINALIZED", WHOLE, grant_id="g"), seen={"FINALIZED": "2026-11-21T21:10:00.000Z"})
    assert [(step.key, step.time[11:16], step.source) for step in steps(one)] == [
        ("REQUESTED", "20:00", "signed"),
        ("AGREED", "21:00", "signed"),
        ("VERIFIED", "21:10", "seen"),
        ("FINALIZED", "21:10", "seen"),
        ("RECEIVED", "21:30", "signed"),
    ]
    assert [step.key for step in steps(standing("REQUESTED")) if step.is_reached] == ["REQUESTED"]
    ended = replace(standing("TERMINATED"), seen={"TERMINATED": "2026-11-21T21:10:00.000Z"})
    assert [step.key for step in steps(ended)] == ["REQUESTED", "TERMINATED"]
    revoked = [step.key for step in steps(standing("FINALIZED", revoked=True, grant_id="g"))]
    assert revoked == ["REQUESTED", "AGREED", "VERIFIED", "FINALIZED", "REVOKED"]


def test_what_is_left_of_each_clause() -> None:
    found = {one.key: (one.agreed, one.left) for one in limits(standing("FINALIZED", WHOLE), NOW)}
    assert found == {
        "until": ("2026-12-01", "10"),
        "deliveries": ("2", "1"),
        "quota_rows_month": ("5,000", ""),
    }
    assert limits(standing("REQUESTED"), NOW) == []
    after = {one.key: one.left for one in limits(standing("FINALIZED"), datetime(2027, 1, 1, tzinfo=UTC))}
    assert after["until"] == "0"


def lived(life: LifeState, **changed: Any) -> Standing:
    word = Word(
        life=life, since="", expires="2026-12-01T21:00:00.000Z", due="", overdue=False, transfer="", limits=(), steps=()
    )
    return replace(standing("FINALIZED"), word=replace(word, **changed))


@pytest.mark.parametrize(
    ("life", "task", "who", "offered"),
    [
        (LifeState.ACTIVE, "contract_fetch", US, ["renew", "attest"]),
        (LifeState.SUSPENDED, "contract_suspended", "hospital-a", ["attest"]),
        (LifeState.OBLIGATIONS_OPEN, "contract_attest", US, ["attest"]),
        (LifeState.EXPIRED, "", "", []),
        (LifeState.CLOSED, "", "", []),
    ],
)
def test_a_life_says_what_waits_and_what_may_be_done(life: LifeState, task: str, who: str, offered: list[str]) -> None:
    one = lived(life, due="2026-12-08T21:00:00.000Z", overdue=True)
    found = contract_task(one)
    assert (found.key, found.who) == (task, who) if found else not task
    assert acts(one) == offered
    assert state_of(one) == life.value
    owed = life is LifeState.OBLIGATIONS_OPEN
    assert not owed or (found is not None and found.is_late and found.due == "2026-12-08T21:00:00.000Z")


def test_only_what_is_negotiated_is_withdrawn_and_nothing_is_done_unheard() -> None:
    assert [acts(standing(state)) for state in ("REQUESTED", "AGREED", "VERIFIED")] == [["withdraw"]] * 3
    assert [acts(standing(state)) for state in ("FINALIZED", "TERMINATED", "OFFERED")] == [[], [], ["withdraw"]]


def test_an_offer_that_waits_shows_its_terms_whatever_is_in_them() -> None:
    said = {"order": {"plan": "one_off", "columns": ["age", "ldl"]}, "max_rounds": 4, "until": "2027-01-01T00:00:00Z"}
    one = standing("OFFERED", offer={"document": said, "signatures": []})
    offer = offer_of(one)
    assert offer is not None
    assert told_terms(offer) == {
        "price": None,
        "plan": "one_off",
        "columns": ["age", "ldl"],
        "rounds": 4,
        "until": "2027-01-01T00:00:00Z",
    }
    assert offer_of(standing("OFFERED", offer={"document": ["odd"], "signatures": []})) is None
    assert offer_of(standing("AGREED", offer={"document": said, "signatures": []})) is None


def test_a_life_s_steps_follow_in_the_order_of_time_with_who_and_why() -> None:
    ended = (LifeStep("revoke", "REVOKED", "privacy_officer", "ended", "2026-11-21T21:50:00.000Z"),)
    one = replace(lived(LifeState.CLOSED, steps=ended), arrived=WHOLE)
    assert [(step.key, step.by, step.reason) for step in steps(one)[-2:]] == [
        ("RECEIVED", "", ""),
        ("REVOKED", "privacy_officer", "ended"),
    ]


def test_a_provider_s_count_stands_before_what_is_known_here() -> None:
    counted = (Used("rounds", 0, 0), Used("deliveries", 2, 1), Used("epsilon", 1.5, 0.5), Used("rows", 0, 3))
    found = {
        one.key: (one.agreed, one.used, one.left, one.share)
        for one in limits(lived(LifeState.ACTIVE, limits=counted), NOW)
    }
    assert found["deliveries"] == ("2", "1", "1", 50)
    assert found["epsilon"] == ("1.5", "0.5", "1", 33)
    assert found["rows"] == ("0", "3", "0", 100)
    assert "rounds" not in found  # neither agreed nor used
    assert limits(lived(LifeState.CLOSED), NOW)[0].left == "0"


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_nothing_is_said_to_be_whole_before_it_is(here: int, total: int) -> None:
    assert 0 <= Arrived(here, total, is_whole=False).share < 1
    assert Arrived(here, total, is_whole=True).share == 1


def test_an_answer_is_drawn_where_it_can_be() -> None:
    rows: list[dict[str, Any]] = [{"sex": "female", "n": 40, "mean": 1.5}, {"sex": "male", "n": None, "mean": None}]
    chart = answer_chart(rows, ["sex"], "not told")
    assert chart is not None
    assert [(bar.label, bar.value) for bar in chart.bars] == [("female", "1.5"), ("male", "not told")]
    assert text_columns(rows) == {"sex"}
    assert answer_chart(rows[:1], ["sex"], "") is None
    assert answer_chart([{"sex": "female", "mean": -1.0}, {"sex": "male", "mean": 2.0}], ["sex"], "") is None


PARTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=12).map(
    lambda text: text.strip().replace(";", ",").replace("；", ",") or "x"
)


@given(st.lists(st.fixed_dictionaries({"name": PARTS, "role": PARTS}), max_size=5))
def test_a_list_is_read_as_it_is_shown(rows: list[dict[str, str]]) -> None:
    assert lines({"team": typed_lines(rows, ("name", "role"))}, "team", ("name", "role")) == rows


def test_a_list_with_another_number_of_parts_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="3 parts"):
        lines({"team": "Li Wei; statistician"}, "team", ("name", "role", "trained"))
    with pytest.raises(RequestInvalid, match="100 lines"):
        lines({"team": "a;b\n" * 101}, "team", ("name", "role"))


def test_what_a_kind_of_question_does_not_know_is_left_out() -> None:
    shown = {"column": "age", "by": "sex", "probabilities": "0.5", "edges": "0, 1", "epsilon": "0"}
    assert question({**shown, "kind": "count", "where": "age >= 60\r\nsex = male"}).columns == ("sex", "age")
    assert question({**shown, "kind": "quantile"}).probabilities == (0.5,)
    assert question({**shown, "kind": "histogram"}).by == ()
    for wrong in ({"kind": "drop"}, {"kind": "count", "epsilon": "much"}, {"kind": "count", "where": "age"}):
        with pytest.raises(RequestInvalid):
            question(wrong)


def test_a_declaration_names_who_is_here_whatever_the_form_says() -> None:
    said = declaration({"participant": "buyer-other", "name_en": "X", "breaches": "2026-01-01; lost; 是"}, "buyer-us")
    assert said["participant"] == "buyer-us"
    assert said["breaches"] == [{"date": "2026-01-01", "what": "lost", "notified": True}]


def test_a_shelf_reads_only_what_is_a_contract_s(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (tmp_path / "c-1.request.json").write_text('{"document": {"access": {"at": "2"}}}')
    (tmp_path / "c-2.request.json").write_text("no JSON")
    (tmp_path / "c-3.request.json").write_text("[]")
    assert [name for name, _ in shelf.contracts()] == ["c-1"]
    (tmp_path / "c-1.hdx.part").write_bytes(b"x" * 40)
    assert (shelf.arrived("c-1").bytes, shelf.arrived("c-1").is_whole) == (40, False)
    assert shelf.seen("c-1", "AGREED", NOW) == shelf.seen("c-1", "AGREED", datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(NotFound):
        shelf.arrived("../c-1")


def test_a_delivery_runs_once_and_its_end_is_kept() -> None:
    begun = list[str]()

    def receive(contract: str) -> None:
        begun.append(contract)
        raise PeerUnavailable("away")

    fetches = Fetches(receive)
    assert fetches.of("c-1") is None
    fetches.begin("c-1")
    fetches.join("c-1", 20)
    found = fetches.of("c-1")
    assert found is not None
    assert (found.is_running, found.problem and found.problem.message) == (False, "away")
    fetches.begin("c-1")
    fetches.join("c-1", 20)
    assert begun == ["c-1", "c-1"]
