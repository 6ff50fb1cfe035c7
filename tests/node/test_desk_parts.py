"""What the parts of a desk make of a node's answers, without a node: order, turns, shares, months."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.access_review import AccessState
from hdex.node.web.desk_contracts import acts_of, left_of
from hdex.node.web.desk_requests import WAY, arrows_of, parted, way
from hdex.node.web.desk_revenue import COUNTS, MONTH, month_from, summed
from hdex.node.web.desk_runs import MOST_LINES, cut
from hdex.node.web.desk_vetting import code_of, waiting_first
from hdex.node.web.desk_words import DeskWords

STEWARD, OFFICER, COMMITTEE = "data_steward", "privacy_officer", "ethics_committee"


def request(
    name: str, next_: str = STEWARD, due: str = "2026-12-01", *, late: bool = False, told: str = ""
) -> dict[str, Any]:
    return {"id": name, "next": next_, "due": due, "overdue": late, "escalated_to": told}


def test_requests_stand_by_whose_turn_it_is_then_by_their_deadline() -> None:
    found = [
        request("over-1", "", ""),
        request("later", due="2026-12-02"),
        request("officer", OFFICER),
        request("soon", due="2026-11-30"),
        request("escalated", OFFICER, "2026-11-01", late=True, told=STEWARD),
        request("over-2", "", ""),
    ]
    mine, others, over = ([one["id"] for one in part] for part in parted(found, STEWARD))
    assert (mine, others, over) == (["escalated", "soon", "later"], ["officer"], ["over-2", "over-1"])


@given(st.lists(st.sampled_from([STEWARD, OFFICER, COMMITTEE, "applicant", ""])), st.sampled_from([STEWARD, COMMITTEE]))
def test_every_request_stands_once(turns: list[str], role: str) -> None:
    found = [request(str(number), turn) for number, turn in enumerate(turns)]
    shown = [one["id"] for part in parted(found, role) for one in part]
    assert sorted(shown) == sorted(one["id"] for one in found)


@pytest.mark.parametrize("state", AccessState)
def test_a_way_is_reached_up_to_where_a_request_came(state: AccessState) -> None:
    left = {"from": "PRIVACY_REVIEW", "to": state.value}
    reached = [one for one, is_reached in way({"state": state.value, "history": [left]}) if is_reached]
    expected = WAY[: WAY.index(state) + 1] if state in WAY else WAY[:3]
    assert reached == list(expected)
    assert [name for name, _ in way({"state": "WITHDRAWN", "history": []})] == list(WAY)


def test_only_whose_turn_it_is_is_offered_a_decision() -> None:
    found = {"allowed": ["endorse", "refuse", "return", "withdraw", "lapse"], "next": OFFICER}
    assert arrows_of(found, OFFICER) == ["endorse", "refuse", "return"]
    assert arrows_of(found, STEWARD) == []


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_left_is_never_below_nothing(agreed: int, used: int) -> None:
    left, share = left_of({"agreed": agreed, "used": used})
    assert left == max(0, agreed - used)
    assert 0 <= share <= 100


def test_a_contract_is_ended_by_who_may_end_it_while_it_lives() -> None:
    assert acts_of({"state": "REQUESTED"}, COMMITTEE) == ["approve", "refuse"]
    assert acts_of({"state": "ACTIVE"}, COMMITTEE) == []
    assert acts_of({"state": "FINALIZED", "life": "ACTIVE"}, OFFICER) == ["suspend", "revoke"]
    assert acts_of({"state": "FINALIZED", "life": "SUSPENDED"}, OFFICER) == ["resume", "revoke"]
    assert acts_of({"state": "FINALIZED", "life": "SUSPENDED"}, STEWARD) == ["revoke"]
    assert acts_of({"state": "FINALIZED", "life": "OBLIGATIONS_OPEN"}, OFFICER) == []


@given(st.dates(date(2001, 1, 1), date(2998, 12, 31)))
def test_a_month_and_back_is_the_same_month(day: date) -> None:
    month = f"{day:%Y-%m}"
    assert month_from(month_from(month, 1), -1) == month
    assert MONTH.fullmatch(month_from(month, -1))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 99))))
def test_usage_by_product_and_buyer_adds_up_to_usage_by_contract(rows: list[tuple[str, str, int]]) -> None:
    usage: list[dict[str, Any]] = [{"product": p, "consumer": c, **dict.fromkeys(COUNTS, n)} for p, c, n in rows]
    found = summed(usage, ("product", "consumer"))
    assert len({(one["product"], one["consumer"]) for one in found}) == len(found)
    for count in COUNTS:
        assert sum(one[count] for one in found) == sum(one[count] for one in usage)


def test_an_output_is_cut_and_says_by_how_much() -> None:
    assert cut("a\nb") == ("a\nb", 0)
    assert cut("x\n" * (MOST_LINES + 3))[1] == 3


def test_applications_that_wait_stand_first_oldest_first() -> None:
    found = [{"participant": name, "state": state} for name, state in
             (("a", "VALID"), ("b", "APPLIED"), ("c", "REFUSED"), ("d", "ENDORSED"))]  # fmt: skip
    assert [one["participant"] for one in waiting_first(found)] == ["b", "d", "c", "a"]


@pytest.mark.parametrize(
    ("country", "code", "told"),
    [
        ("CN", "91350100M000100Y43", ("uscc", True)),
        ("CN", "91350100M000100Y44", ("uscc", False)),
        ("DE", "529900T8BM49AURSDO55", ("lei", True)),
        ("DE", "529900T8BM49AURSDO56", ("lei", False)),
    ],
)
def test_a_registered_code_is_checked_again_here(country: str, code: str, told: tuple[str, bool]) -> None:
    assert code_of({"country": country, "code": code}) == told


def test_a_use_is_named_beside_its_code() -> None:
    assert DeskWords("en").purpose("DUO:0000007") == "Disease-specific research (DUO:0000007)"
    assert DeskWords("zh").purpose("DUO:9") == "DUO:9"
