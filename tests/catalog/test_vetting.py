"""The life of a vetting, and which organisation may hold which data."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from tests.node.access_stage import declaration

from hdex.catalog.documents import from_document
from hdex.catalog.errors import GuardUnmet, TermsInvalid, TransitionForbidden
from hdex.catalog.organisation import Organisation
from hdex.catalog.vetting import VETTING, VettingArrow, VettingEvidence, VettingState
from hdex.catalog.vetting_rules import Circumstances, default_rules, read_rules

NOW = datetime(2026, 11, 22, tzinfo=UTC)
# Written by hand from the page: applied, endorsed by the first role, approved by the second; ends by clock or person.
ARROWS = {
    ("NEW", "apply"): "APPLIED",
    ("APPLIED", "endorse"): "ENDORSED",
    ("APPLIED", "refuse"): "REFUSED",
    ("ENDORSED", "approve"): "VALID",
    ("ENDORSED", "refuse"): "REFUSED",
    ("VALID", "revoke"): "REVOKED",
    ("VALID", "expire"): "EXPIRED",
    ("VALID", "supersede"): "SUPERSEDED",
}
WHOLE = VettingEvidence(
    at=NOW, people=2, reason="as declared", refused_by="", storage_as_listed=True, longest_days=365, newer_valid=True,
    valid_until=NOW + timedelta(days=300),
)  # fmt: skip
SIGNERS = {"apply": "applicant", "endorse": "first", "approve": "second", "refuse": "first", "revoke": "second"}


def whole(arrow: str) -> VettingEvidence:
    ended = {"valid_until": NOW} if arrow == "expire" else {}
    return replace(WHOLE, signer=SIGNERS.get(arrow, ""), **ended)  # type: ignore[arg-type]  # by field name


@pytest.mark.parametrize(("state", "arrow"), list(product(VettingState, VettingArrow)))
def test_every_pair_of_state_and_arrow_is_as_written(state: VettingState, arrow: VettingArrow) -> None:
    expected = ARROWS.get((state.value, arrow.value))
    if expected is None:
        with pytest.raises(TransitionForbidden):
            VETTING.advance(state, arrow, whole(arrow.value))
    else:
        assert VETTING.advance(state, arrow, whole(arrow.value)).value == expected


LACKING: list[tuple[str, str, dict[str, Any], str]] = [
    ("NEW", "apply", {"signer": ""}, "vetting.applicant"),
    ("NEW", "apply", {"storage_as_listed": False}, "vetting.storage"),
    ("NEW", "apply", {"papers_until": NOW}, "vetting.papers"),
    ("NEW", "apply", {"in_force": True}, "vetting.early"),
    ("APPLIED", "endorse", {"signer": "second"}, "vetting.first"),
    ("APPLIED", "endorse", {"reason": " "}, "vetting.reason"),
    ("APPLIED", "endorse", {"refused_by": "vetting.affiliate_revoked"}, "vetting.rules"),
    ("ENDORSED", "approve", {"signer": "first"}, "vetting.second"),
    ("ENDORSED", "approve", {"people": 1}, "vetting.people"),
    ("ENDORSED", "approve", {"reason": ""}, "vetting.reason"),
    ("ENDORSED", "approve", {"refused_by": "x"}, "vetting.rules"),
    ("ENDORSED", "approve", {"storage_as_listed": False}, "vetting.storage"),
    ("ENDORSED", "approve", {"valid_until": None}, "vetting.term"),
    ("ENDORSED", "approve", {"valid_until": NOW}, "vetting.term"),
    ("ENDORSED", "approve", {"valid_until": NOW + timedelta(days=366)}, "vetting.term"),
    ("ENDORSED", "approve", {"papers_until": NOW}, "vetting.papers"),
    ("ENDORSED", "approve", {"papers_until": NOW + timedelta(days=9)}, "vetting.papers_term"),
    ("APPLIED", "refuse", {"signer": "applicant"}, "vetting.office"),
    ("ENDORSED", "refuse", {"reason": ""}, "vetting.reason"),
    ("VALID", "revoke", {"signer": ""}, "vetting.office"),
    ("VALID", "expire", {"valid_until": NOW + timedelta(seconds=1)}, "vetting.running"),
    ("VALID", "supersede", {"newer_valid": False}, "vetting.newer"),
]


@pytest.mark.parametrize(("state", "arrow", "changed", "rule"), LACKING)
def test_each_guard_stops_its_arrow_and_says_what_to_do(
    state: str, arrow: str, changed: dict[str, Any], rule: str
) -> None:
    with pytest.raises(GuardUnmet) as refused:
        VETTING.advance(VettingState(state), VettingArrow(arrow), replace(whole(arrow), **changed))
    assert refused.value.rule == rule
    assert refused.value.next_step


def test_every_guard_of_the_table_is_tried_and_nothing_known_speaks_for_no_step() -> None:
    named = {rule for state, arrow in ARROWS for rule in VETTING.rules_of(VettingState(state), VettingArrow(arrow))}
    assert named == {rule for *_, rule in LACKING}
    for state, arrow in ARROWS:
        with pytest.raises(GuardUnmet):
            VETTING.advance(VettingState(state), VettingArrow(arrow), VettingEvidence(at=NOW))


def told(national_grade: str = "", level: int = 0, revoked: bool = False, **given: Any) -> list[tuple[str, str]]:
    """Return (rule, answer) of what the shipped rules say of an organisation and data."""
    organisation = from_document(Organisation, declaration("buyer-heartline", **given), "organisation")
    around = Circumstances(
        home="CN", on=date(2026, 11, 22), affiliate_revoked=revoked, national_grade=national_grade, level=level
    )
    return [(rule.name, rule.answer.value) for rule in default_rules().of_contract(organisation, around)]


ABROAD = {"storage_countries": ["CN", "SG"]}
RECENT = [{"date": "2025-06-01", "what": "x", "notified": True}]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({}, []),
        ({"national_grade": "important", "level": 5}, []),
        ({"national_grade": "important", **ABROAD}, [("vetting.important_abroad", "refuse")]),
        ({"national_grade": "general", "level": 3, **ABROAD}, []),
        ({"level": 4, **ABROAD}, [("vetting.abroad_sensitive", "ask")]),
        ({"national_grade": "important", "foreign_share_percent": 25.0}, []),
        ({"national_grade": "important", "foreign_share_percent": 25.5}, [("vetting.important_foreign_share", "ask")]),
        (
            {"national_grade": "important", "foreign_share_percent": 51.0, "foreign_control": True},
            [("vetting.important_foreign_control", "refuse"), ("vetting.important_foreign_share", "ask")],
        ),
        ({"level": 4, "security_grade": 2}, [("vetting.security", "refuse")]),
        ({"level": 3, "security_grade": 1}, [("vetting.security_unknown", "ask")]),
        ({"level": 3, "breaches": RECENT}, [("vetting.breach_recent", "ask")]),
        ({"breaches": [RECENT[0] | {"notified": False}]}, [("vetting.breach_concealed", "refuse")]),
        ({"breaches": [RECENT[0] | {"notified": False, "date": "2021-06-01"}]}, []),
        ({"revoked": True}, [("vetting.affiliate_revoked", "refuse")]),
    ],
)
def test_the_shipped_rules_refuse_ask_or_are_silent(case: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert told(**case) == expected


TERMS = "[terms]\nlongest_days = 365\nrenew_within_days = 90\n"
RULE = """[[rule]]\nname = "n"\nanswer = "ask"\nwhen = { level_from = 1 }\nwhy = { en = "a", zh = "b" }
next = { en = "a", zh = "b" }\n"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        TERMS + "[other]\n",
        TERMS + "x = 1\n",
        TERMS.replace("365", "0"),
        TERMS.replace("365", '"365"'),
        TERMS + RULE + RULE,
        TERMS + RULE.replace("ask", "maybe"),
        TERMS + RULE.replace("level_from = 1", "phase_of_moon = 1"),
        TERMS + RULE.replace("level_from = 1", 'level_from = "1"'),
        TERMS + RULE.replace("level_from = 1", "foreign_control = 1"),
        TERMS + RULE.replace("level_from = 1", ""),
        TERMS + RULE.replace('zh = "b"', 'fr = "b"'),
        TERMS + RULE + "more = 1\n",
        "not toml",
    ],
)
def test_rules_with_an_unknown_word_are_not_read(text: str) -> None:
    with pytest.raises(TermsInvalid):
        read_rules(text)


def test_rules_of_ones_own_take_the_place_of_those_that_ship() -> None:
    assert [rule.name for rule in read_rules(TERMS + RULE).rules] == ["n"]
