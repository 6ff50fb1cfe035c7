"""No shortcut leads to an approval: the table against the page's arrows, random walks, deadlines in working days."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.catalog.samples import sample_product
from tests.node.access_stage import form_document

from hdex.catalog.access_form import AccessForm, columns_agreed, require_acceptable
from hdex.catalog.access_review import (
    ACCESS,
    NEXT,
    AccessArrow,
    AccessEvidence,
    AccessState,
    default_policy,
    read_review_policy,
)
from hdex.catalog.documents import from_document, to_document
from hdex.catalog.errors import AccessFormInvalid, DocumentInvalid, GuardUnmet, TermsInvalid, TransitionForbidden
from hdex.catalog.working_days import WorkCalendar

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # a Friday
ARROWS = """
DRAFT submit SUBMITTED applicant
DRAFT withdraw WITHDRAWN applicant
RETURNED submit SUBMITTED applicant
RETURNED withdraw WITHDRAWN applicant
RETURNED lapse LAPSED -
SUBMITTED take STEWARD_REVIEW data_steward
SUBMITTED withdraw WITHDRAWN applicant
SUBMITTED lapse LAPSED -
STEWARD_REVIEW endorse PRIVACY_REVIEW data_steward
STEWARD_REVIEW refuse REFUSED data_steward
STEWARD_REVIEW return RETURNED data_steward
STEWARD_REVIEW withdraw WITHDRAWN applicant
STEWARD_REVIEW lapse LAPSED -
PRIVACY_REVIEW endorse COMMITTEE privacy_officer
PRIVACY_REVIEW refuse REFUSED privacy_officer
PRIVACY_REVIEW return RETURNED privacy_officer
PRIVACY_REVIEW withdraw WITHDRAWN applicant
PRIVACY_REVIEW lapse LAPSED -
COMMITTEE approve APPROVED ethics_committee
COMMITTEE refuse REFUSED ethics_committee
COMMITTEE return RETURNED ethics_committee
COMMITTEE withdraw WITHDRAWN applicant
COMMITTEE lapse LAPSED -
APPROVED lapse LAPSED -
"""
EXPECTED = {(a, b): (c, d) for a, b, c, d in (line.split() for line in ARROWS.split("\n") if line)}
WHOLE = AccessEvidence(
    at=NOW, people=3, reason="as asked", acceptable=True, vetted=True, document_kept=True, prohibited=False,
    moves_on=True, lapse_due=True,
)  # fmt: skip
ENDS = {"APPROVED", "REFUSED", "WITHDRAWN", "LAPSED"}
ROLES = ("data_steward", "privacy_officer", "ethics_committee")


@pytest.mark.parametrize(("state", "arrow"), list(product(AccessState, AccessArrow)))
def test_every_pair_of_state_and_arrow_is_as_the_page_says(state: AccessState, arrow: AccessArrow) -> None:
    target, signer = EXPECTED.get((state.value, arrow.value), ("", ""))
    if not target:
        with pytest.raises(TransitionForbidden) as refused:
            ACCESS.advance(state, arrow, WHOLE)
        assert refused.value.allowed == ACCESS.allowed_from(state)
        return
    assert ACCESS.advance(state, arrow, replace(WHOLE, signer=signer)).value == target
    for other in {*ROLES, "applicant", "node_admin", ""} - {signer}:
        if signer != "-":
            with pytest.raises(GuardUnmet) as unsigned:
                ACCESS.advance(state, arrow, replace(WHOLE, signer=other))
            assert unsigned.value.rule == f"access.{signer}"


LACKING: list[tuple[str, str, dict[str, Any], str]] = [
    *[(state, "submit", {name: value}, rule) for state in ("DRAFT", "RETURNED") for name, value, rule in (
        ("vetted", False, "access.vetted"),
        ("acceptable", False, "access.form"),
        ("document_kept", False, "access.document"),
        ("prohibited", True, "access.terms"),
        ("moves_on", False, "access.revision"),
    )],
    ("STEWARD_REVIEW", "endorse", {"reason": " "}, "access.reason"),
    ("STEWARD_REVIEW", "endorse", {"acceptable": False}, "access.form"),
    ("PRIVACY_REVIEW", "endorse", {"people": 1}, "access.people"),
    ("COMMITTEE", "approve", {"people": 2}, "access.people"),
    ("COMMITTEE", "approve", {"vetted": False}, "access.vetted"),
    ("COMMITTEE", "approve", {"acceptable": False}, "access.form"),
    ("COMMITTEE", "approve", {"document_kept": False}, "access.document"),
    ("COMMITTEE", "approve", {"prohibited": True}, "access.terms"),
    *[(state, arrow, {"reason": ""}, "access.reason") for state in ("STEWARD_REVIEW", "PRIVACY_REVIEW", "COMMITTEE")
      for arrow in ("refuse", "return")],
    *[(state, "lapse", {"lapse_due": False}, "access.due") for state, arrow in EXPECTED if arrow == "lapse"],
]  # fmt: skip


@pytest.mark.parametrize(("state", "arrow", "changed", "name"), LACKING)
def test_each_guard_stops_its_arrow_and_says_what_to_do(
    state: str, arrow: str, changed: dict[str, Any], name: str
) -> None:
    evidence = replace(WHOLE, signer=EXPECTED[state, arrow][1], **changed)
    with pytest.raises(GuardUnmet) as refused:
        ACCESS.advance(AccessState(state), AccessArrow(arrow), evidence)
    assert refused.value.rule == name
    assert refused.value.next_step


class Walk(RuleBasedStateMachine):
    """Arrows at random under evidence at random, people with one or several roles; the past is kept beside."""

    def __init__(self) -> None:
        super().__init__()
        self.state = AccessState.DRAFT
        self.way: list[tuple[AccessState, AccessArrow, AccessEvidence]] = []
        self.endorsed: set[str] = set()  # persons, of this revision

    @rule(
        arrow=st.sampled_from(AccessArrow),
        signer=st.sampled_from([*ROLES, "applicant", ""]),
        person=st.sampled_from(["ann", "bo", "cy"]),
        reason=st.sampled_from(["", "because"]),
        whole=st.booleans(),
        due=st.booleans(),
    )
    def ask(self, arrow: AccessArrow, signer: str, person: str, reason: str, whole: bool, due: bool) -> None:
        people = len(self.endorsed | {person})
        evidence = replace(WHOLE, signer=signer, people=people, reason=reason, acceptable=whole, lapse_due=due)
        try:
            reached = ACCESS.advance(self.state, arrow, evidence)
        except (GuardUnmet, TransitionForbidden):
            return
        self.way.append((self.state, arrow, evidence))
        if arrow is AccessArrow.SUBMIT:
            self.endorsed = set()
        if arrow in (AccessArrow.ENDORSE, AccessArrow.APPROVE):
            self.endorsed.add(person)
        self.state = reached

    @invariant()
    def what_is_approved_was_read_by_three_people_in_their_order_in_one_revision(self) -> None:
        if self.state is AccessState.APPROVED:
            last = max(at for at, (_, arrow, _) in enumerate(self.way) if arrow is AccessArrow.SUBMIT)
            signers = [evidence.signer for _, _, evidence in self.way[last:]]
            assert signers == ["applicant", "data_steward", *ROLES]
            assert len(self.endorsed) == 3
            assert all(evidence.acceptable and evidence.vetted for _, arrow, evidence in self.way[last:]
                       if arrow in (AccessArrow.SUBMIT, AccessArrow.APPROVE))  # fmt: skip

    @invariant()
    def what_a_person_ended_has_a_reason_and_nothing_follows_an_end(self) -> None:
        for state, arrow, evidence in self.way:
            assert state.value not in ENDS or (state.value, arrow.value) == ("APPROVED", "lapse")
            assert arrow not in (AccessArrow.REFUSE, AccessArrow.RETURN, AccessArrow.ENDORSE) or evidence.reason


Walk.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
test_no_walk_takes_a_shortcut = Walk.TestCase


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.integers(1, 60),
    st.sets(st.dates(date(2026, 1, 1), date(2028, 6, 1)), max_size=20),
)
def test_a_deadline_leaves_exactly_so_many_working_days(since: datetime, days: int, holidays: set[date]) -> None:
    calendar = WorkCalendar(utc_offset_hours=8, holidays=frozenset(holidays))
    due, local = calendar.due(since, days), timedelta(hours=8)
    first, last = (since + local).date(), (due + local - timedelta(days=1)).date()
    between = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    assert sum(map(calendar.is_working, between)) == days
    assert calendar.is_working(last)


@pytest.mark.parametrize(
    ("holidays", "worked", "days", "due"),
    [
        ((), (), 1, "2026-11-23T16:00:00+00:00"),  # Friday, then Monday, which ends at 16:00 UTC in Beijing
        ((), (), 5, "2026-11-27T16:00:00+00:00"),
        (("2026-11-23",), (), 1, "2026-11-24T16:00:00+00:00"),
        (("2026-11-23",), ("2026-11-21",), 1, "2026-11-21T16:00:00+00:00"),  # a Saturday worked instead
    ],
)
def test_weekends_holidays_and_days_worked_instead(holidays: Any, worked: Any, days: int, due: str) -> None:
    given_days: dict[str, Any] = {"holidays": frozenset(map(date.fromisoformat, holidays)),
                  "worked": frozenset(map(date.fromisoformat, worked))}  # fmt: skip
    assert WorkCalendar(utc_offset_hours=8, **given_days).due(NOW, days).isoformat() == due


def test_the_shipped_holidays_are_those_of_the_notices() -> None:
    """Weeks of 2026 as the notice tells them; each day worked instead is one of a weekend, each holiday is none."""
    calendar = default_policy().calendar
    assert all(day.weekday() in calendar.weekend for day in calendar.worked)
    settled = [day for day in calendar.holidays if day.year in calendar.settled]
    assert not [day for day in settled if day.weekday() in calendar.weekend]
    assert not calendar.holidays & calendar.worked
    breaks = {"2026-01-01": 3, "2026-02-15": 9, "2026-04-04": 3, "2026-05-01": 5, "2026-06-19": 3, "2026-09-25": 3,
              "2026-10-01": 7, "2025-01-28": 8, "2025-04-04": 3, "2025-05-01": 5, "2025-05-31": 3,
              "2025-10-01": 8}  # fmt: skip
    for first, days in breaks.items():
        off = [date.fromisoformat(first) + timedelta(days=n) for n in range(days)]
        assert not any(map(calendar.is_working, off)), first
        assert calendar.is_working(off[-1] + timedelta(days=1)), first
    spring = datetime(2026, 2, 13, 1, tzinfo=UTC)  # Friday; Saturday the 14th is worked, then nine days off
    assert [f"{calendar.due(spring, days):%m-%d}" for days in (1, 2)] == ["02-14", "02-24"]


@pytest.mark.parametrize(
    ("settled", "days", "open_years"),
    [((2026, 2027), 30, ()), ((2026,), 30, (2027,)), ((2026,), 5, ()), ((), 30, (2026, 2027))],
)
def test_a_deadline_says_which_years_it_reaches_whose_holidays_are_not_known(
    settled: Any, days: int, open_years: Any
) -> None:
    calendar = WorkCalendar(utc_offset_hours=8, settled=frozenset(settled))
    assert calendar.unsettled(NOW, days) == open_years


def test_the_shipped_policy_names_who_is_next_and_what_an_overdue_state_does() -> None:
    policy = default_policy()
    assert set(NEXT) == {state for state in AccessState if state.value not in ENDS} | {AccessState.APPROVED}
    entered = NOW - timedelta(days=90)
    assert policy.is_overdue(AccessState.COMMITTEE, entered, NOW)
    assert not policy.lapses(AccessState.COMMITTEE, entered, NOW)
    assert policy.lapses(AccessState.RETURNED, entered, NOW)
    assert not policy.lapses(AccessState.APPROVED, entered, NOW)
    assert policy.lapses(AccessState.APPROVED, entered - timedelta(days=90), NOW)
    assert policy.due(AccessState.REFUSED, NOW) is None


SHIPPED = files("hdex.catalog").joinpath("data/access_review.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("[limits]", "[limit]"),
        ("[state.COMMITTEE]", "[state.COMITTEE]"),
        ("days = 30\noverdue = \"lapse\"", "days = 0\noverdue = \"lapse\""),
        ("days = 30\noverdue = \"lapse\"", "days = 4000\noverdue = \"lapse\""),
        ('overdue = "lapse"', 'overdue = "forget"'),
        ('to = "node_admin"', ""),
        ("weekend = [5, 6]", "weekend = [0, 1, 2, 3, 4, 5, 6]"),
        ("utc_offset_hours = 8", "utc_offset_hours = 80"),
        ('"2026-01-01",', '"soon",'),
        ("settled = [2025, 2026]", "settled = [0]"),
        ("messages = 200", "messages = true"),
        ("messages = 200", "messages = 200\nmore = 1"),
    ],
)  # fmt: skip
def test_a_policy_with_an_unknown_word_is_not_read(was: str, becomes: str) -> None:
    assert was in SHIPPED
    with pytest.raises(TermsInvalid):
        read_review_policy(SHIPPED.replace(was, becomes, 1))


def form(**given: Any) -> AccessForm:
    return from_document(AccessForm, form_document(sample_product(), NOW, **given), "form")


def test_a_form_comes_back_from_its_document_unchanged() -> None:
    assert from_document(AccessForm, to_document(form())) == form()
    require_acceptable(form(), sample_product(), default_policy().limits, NOW)


ETHICS = form_document(sample_product(), NOW)["ethics"]
MEMBER = {"name": "Li Wei", "role": "statistician", "trained": "2026-01-01"}


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "../../etc"},
        {"id": "x" * 101},
        {"revision": 0},
        {"applicant": "buyer-other"},  # the terms are asked for another
        {"manifest_digest": "x"},
        {"title": ""},
        {"title": "x" * 301},
        {"summary": "x" * 8001},
        {"summary": "a\x1b[2Jb"},
        {"protection": "\u202eabc"},
        {"team": []},
        {"team": [MEMBER] * 101},
        {"team": [MEMBER | {"trained": "soon"}]},
        {"contractors": [{"name": "x", "code": "123", "country": "CN"}]},
        {"columns": ["age_band", "age_band"]},
        {"delivery_mode": "postcard"},
        {"starts": "2027-01-02", "ends": "2027-01-01"},
        {"ethics": ETHICS | {"document_digest": "00"}},
        {"ethics": ETHICS | {"document_bytes": 0}},
        {"ethics": ETHICS | {"number": " "}},
        {"unknown": 1},
    ],
)
def test_a_form_that_cannot_be_right_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        form(**changed)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"version": "9.9.9"}, "form.product"),
        ({"manifest_digest": "00" * 32}, "form.manifest_digest"),
        ({"columns": ["address"]}, "form.columns"),
        ({"columns": ["age_band"]}, "form.columns"),  # of a sealed file
        ({"delivery_mode": "federated", "columns": ["address"]}, "form.columns"),
        ({"revision": 21}, "form.revision"),
        ({"ethics": ETHICS | {"document_bytes": 3_000_000}}, "form.ethics.document_bytes"),
        ({"ethics": ETHICS | {"expires": "2026-11-19"}, "ends": "2026-11-19", "starts": "2026-11-19"},
         "form.ethics.expires"),
        ({"ends": "2026-11-19", "starts": "2026-11-19"}, "form.ends"),
        ({"ends": "2036-01-01"}, "form.ends"),
        ({"ends": "2027-12-31"}, "form.ends"),  # after the ethics approval
        ({"team": [MEMBER | {"trained": "2026-11-22"}]}, "form.team.trained"),
        ({"team": [MEMBER, MEMBER | {"trained": "2023-11-01"}]}, "form.team.trained"),
    ],
)  # fmt: skip
def test_what_a_hospital_does_not_review_is_said_with_the_field(changed: dict[str, Any], rule: str) -> None:
    with pytest.raises(AccessFormInvalid) as refused:
        require_acceptable(form(**changed), sample_product(), default_policy().limits, NOW)
    assert refused.value.rule == rule
    assert refused.value.next_step


def test_a_form_that_names_every_column_asks_for_all() -> None:
    names = [column.name for column in sample_product().columns]
    assert columns_agreed(form(columns=names), sample_product()) == ()
    some = form(columns=names[:2], delivery_mode="federated")
    assert columns_agreed(some, sample_product()) == tuple(names[:2])
