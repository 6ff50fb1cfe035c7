"""No shortcut leads to a listing: the table against the page's arrows, and random walks against a reference.

Source of the arrows: the design page's line "DRAFT -> CLASSIFIED -> ... -> LISTED -> SUSPENDED <-> LISTED -> EXPIRED |
REVOKED | SUPERSEDED", written out here once more by hand.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hdex.catalog.errors import GuardUnmet, TransitionForbidden
from hdex.catalog.lifecycle import PRODUCT, Arrow, Evidence, ProductState
from hdex.catalog.metadata import Ethics

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ARROWS = """
DRAFT classify CLASSIFIED
CLASSIFIED deidentify DEIDENTIFIED
DEIDENTIFIED assess ASSESSED
ASSESSED announce NOTICE
ASSESSED list LISTED
NOTICE list LISTED
NOTICE expire EXPIRED
NOTICE revoke REVOKED
NOTICE supersede SUPERSEDED
LISTED suspend SUSPENDED
LISTED expire EXPIRED
LISTED revoke REVOKED
LISTED supersede SUPERSEDED
SUSPENDED resume LISTED
SUSPENDED expire EXPIRED
SUSPENDED revoke REVOKED
SUSPENDED supersede SUPERSEDED
SUPERSEDED revoke REVOKED
"""
EXPECTED = {(a, b): c for a, b, c in (line.split() for line in ARROWS.split("\n") if line)}
FULL = Evidence(
    at=NOW,
    signers=frozenset({"data_steward", "privacy_officer"}),
    columns=3,
    columns_with_level=3,
    recipe_digest="11" * 32,
    output_digest="22" * 32,
    risk_met=True,
    quality_digest="33" * 32,
    ethics=Ethics(approval="EC-1"),
    listed_from=NOW,
    reason="asked by the committee",
    newer_listed=True,
)
ENDED = replace(FULL, expires=NOW)  # its terms have ended
NOTICED = replace(FULL, notice_days=7)


def evidence_for(arrow: str) -> Evidence:
    return {"expire": ENDED, "announce": NOTICED}.get(arrow, FULL)


@pytest.mark.parametrize(("state", "arrow"), list(product(ProductState, Arrow)))
def test_every_pair_of_state_and_arrow_is_as_the_page_says(state: ProductState, arrow: Arrow) -> None:
    expected = EXPECTED.get((state.value, arrow.value))
    if expected is None:
        with pytest.raises(TransitionForbidden) as refused:
            PRODUCT.advance(state, arrow, evidence_for(arrow))
        assert (refused.value.found, refused.value.allowed) == (state.value, PRODUCT.allowed_from(state))
    else:
        assert PRODUCT.advance(state, arrow, evidence_for(arrow)).value == expected


LACKING = [
    ("DRAFT", "classify", {"columns_with_level": 2}, "product.levels"),
    ("DRAFT", "classify", {"columns": 0, "columns_with_level": 0}, "product.levels"),
    ("DRAFT", "classify", {"signers": frozenset({"privacy_officer"})}, "product.steward"),
    ("CLASSIFIED", "deidentify", {"recipe_digest": ""}, "product.recipe"),
    ("CLASSIFIED", "deidentify", {"output_digest": ""}, "product.output"),
    ("DEIDENTIFIED", "assess", {"risk_met": False}, "product.risk"),
    ("DEIDENTIFIED", "assess", {"quality_digest": ""}, "product.quality"),
    ("DEIDENTIFIED", "assess", {"ethics": None}, "product.ethics"),
    ("DEIDENTIFIED", "assess", {"ethics": Ethics(approval=" ")}, "product.ethics"),
    ("DEIDENTIFIED", "assess", {"signers": frozenset({"data_steward"})}, "product.four_eyes"),
    ("DEIDENTIFIED", "assess", {"signers": frozenset({"privacy_officer"})}, "product.four_eyes"),
    ("DEIDENTIFIED", "assess", {"signers": frozenset({"privacy_officer", "ethics_committee"})}, "product.four_eyes"),
    ("ASSESSED", "announce", {"notice_days": 0}, "product.notice"),
    ("ASSESSED", "list", {"notice_days": 7}, "product.notice"),
    ("ASSESSED", "list", {"expires": NOW}, "product.expired"),
    ("NOTICE", "list", {"listed_from": NOW + timedelta(seconds=1)}, "product.notice"),
    ("NOTICE", "list", {"listed_from": None}, "product.notice"),
    ("LISTED", "suspend", {"signers": frozenset({"data_steward"})}, "product.officer"),
    ("LISTED", "suspend", {"reason": " "}, "product.reason"),
    ("SUSPENDED", "resume", {"expires": NOW - timedelta(days=1)}, "product.expired"),
    ("LISTED", "revoke", {"signers": frozenset()}, "product.officer"),
    ("SUPERSEDED", "revoke", {"reason": ""}, "product.reason"),
    ("LISTED", "expire", {"expires": NOW + timedelta(days=1)}, "product.term"),
    ("LISTED", "expire", {"expires": None}, "product.term"),
    ("LISTED", "supersede", {"newer_listed": False}, "product.newer"),
]


@pytest.mark.parametrize(("state", "arrow", "changed", "name"), LACKING)
def test_each_guard_stops_its_arrow_and_says_what_to_do(
    state: str, arrow: str, changed: dict[str, object], name: str
) -> None:
    evidence = replace(evidence_for(arrow), **changed)  # type: ignore[arg-type]  # by field name
    with pytest.raises(GuardUnmet) as refused:
        PRODUCT.advance(ProductState(state), Arrow(arrow), evidence)
    assert refused.value.rule == name
    assert refused.value.next_step


def test_every_guard_of_the_table_is_tried_above() -> None:
    named = {
        (state, arrow, rule)
        for state, arrow in EXPECTED
        for rule in PRODUCT.rules_of(ProductState(state), Arrow(arrow))
    }
    assert {rule for _, _, rule in named} == {name for *_, name in LACKING}


def test_nothing_known_speaks_for_no_step() -> None:
    for state, arrow in EXPECTED:
        if arrow != "list":  # without notice and end of terms nothing more is asked of an assessed version
            with pytest.raises(GuardUnmet):
                PRODUCT.advance(ProductState(state), Arrow(arrow), Evidence(at=NOW))


class Walk(RuleBasedStateMachine):
    """Arrows at random under evidence at random; a reference of plain facts says what must have happened before."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ProductState.DRAFT
        self.way: list[ProductState] = [self.state]
        self.signed: set[str] = set()

    @rule(
        arrow=st.sampled_from(Arrow),
        signers=st.sets(st.sampled_from(["data_steward", "privacy_officer", "ethics_committee"])),
        notice=st.sampled_from([0, 7]),
        ended=st.booleans(),
        whole=st.booleans(),
    )
    def ask(self, arrow: Arrow, signers: set[str], notice: int, ended: bool, whole: bool) -> None:
        evidence = replace(FULL, signers=frozenset(signers), notice_days=notice, expires=NOW if ended else None)
        if not whole:
            evidence = replace(evidence, risk_met=False, reason="", recipe_digest="", columns_with_level=0)
        try:
            reached = PRODUCT.advance(self.state, arrow, evidence)
        except (GuardUnmet, TransitionForbidden):
            return
        if reached == ProductState.ASSESSED:
            self.signed = signers
        assert (self.state.value, arrow.value, reached.value) in {(a, b, c) for (a, b), c in EXPECTED.items()}
        self.state = reached
        self.way.append(reached)

    @invariant()
    def nothing_is_listed_that_was_not_assessed_by_two(self) -> None:
        if ProductState.LISTED in self.way:
            first = self.way.index(ProductState.LISTED)
            before = [state.value for state in self.way[:first] if state != ProductState.NOTICE]
            assert before == ["DRAFT", "CLASSIFIED", "DEIDENTIFIED", "ASSESSED"]
            assert {"data_steward", "privacy_officer"} <= self.signed

    @invariant()
    def what_has_ended_never_comes_back(self) -> None:
        ends = [at for at, state in enumerate(self.way) if state.value in {"EXPIRED", "REVOKED"}]
        assert not ends or ends == [len(self.way) - 1]
        superseded = ProductState.SUPERSEDED
        if superseded in self.way:
            assert {state.value for state in self.way[self.way.index(superseded) :]} <= {"SUPERSEDED", "REVOKED"}


Walk.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_no_walk_takes_a_shortcut = Walk.TestCase
