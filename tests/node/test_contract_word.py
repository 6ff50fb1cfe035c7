"""A provider's word about a contract as its consumer reads it: what has another shape is refused whole."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.contract_life import LifeState
from hdex.node.contract_word import NAMES, read_word
from hdex.node.errors import RequestInvalid

STEP = {"arrow": "revoke", "to": "REVOKED", "by": "privacy_officer", "reason": "ended", "at": "2026-11-21T22:00:00Z"}
SAID: dict[str, Any] = {
    "contract": "c-1",
    "life": "OBLIGATIONS_OPEN",
    "since": "2026-11-21T22:00:00Z",
    "expires": "2027-11-21T22:00:00Z",
    "due": "2026-12-21T22:00:00Z",
    "overdue": False,
    "transfer": "COMPLETED",
    "limits": {"rounds": 0, "deliveries": 2, "epsilon": 1.5, "unheard_of": 7},
    "used": {"deliveries": 1, "epsilon": 0.1, "rows": 400},
    "steps": [{**STEP, "rules": ["contract.staff"]}],
}


def test_a_word_is_read_as_it_was_said() -> None:
    word = read_word(SAID, "c-1")
    assert (word.life, word.due, word.overdue) == (LifeState.OBLIGATIONS_OPEN, SAID["due"], False)
    assert [(one.name, one.agreed, one.used, one.left, one.share) for one in word.limits] == [
        ("rounds", 0, 0, 0, 100),
        ("deliveries", 2, 1, 1, 50),
        ("epsilon", 1.5, 0.1, 1.4, 7),
    ]
    assert [(one.to, one.by, one.reason) for one in word.steps] == [("REVOKED", "privacy_officer", "ended")]


def test_a_quota_is_told_for_its_present_period() -> None:
    """What is left of a month is the provider's to count; one that tells none is read all the same."""
    told = {"period": "month", "agreed": {"rows": 100, "queries": 5}, "used": {"rows": 40}}
    word = read_word(SAID | {"quota": told}, "c-1")
    assert [(one.name, one.left, one.share) for one in word.quota] == [
        ("quota_queries_month", 5, 0), ("quota_rows_month", 60, 40),
    ]  # fmt: skip
    assert read_word(SAID, "c-1").quota == ()


@pytest.mark.parametrize("state", LifeState)
def test_every_state_of_a_life_is_known(state: LifeState) -> None:
    assert read_word(SAID | {"life": state.value}, "c-1").life is state


@pytest.mark.parametrize(
    "changed",
    [
        {"contract": "c-2"},
        {"life": "HAPPY"},
        {"life": ["ACTIVE"]},
        {"due": "soon"},
        {"expires": "2027-11-21"},  # of no zone
        {"since": 5},
        {"transfer": "x" * 4001},
        {"limits": []},
        {"quota": []},
        {"quota": {"period": "week", "agreed": {}, "used": {}}},
        {"quota": {"period": "month", "agreed": {"rows": -1}, "used": {}}},
        {"quota": {"period": "month", "agreed": []}},
        {"limits": {"rows": -1}},
        {"limits": {"rows": True}},
        {"limits": {"rows": float("nan")}},
        {"limits": {"rows": 10**400}},
        {"used": {"deliveries": "1"}},
        {"used": None},
        {"steps": [STEP] * 201},
        {"steps": ["revoked"]},
        {"steps": [{**STEP, "at": "then"}]},
        {"steps": [{**STEP, "reason": {"a": 1}}]},
    ],
)
def test_another_shape_is_refused_and_not_repeated(changed: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid) as refused:
        read_word(SAID | changed, "c-1")
    assert "HAPPY" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, *STEP]), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(SAID)), JSON, max_size=4))
def test_whatever_is_said_is_read_or_refused(changed: dict[str, Any]) -> None:
    try:
        word = read_word(SAID | changed, "c-1")
    except RequestInvalid:
        return
    assert all(one.left >= 0 and 0 <= one.share <= 100 for one in word.limits)
