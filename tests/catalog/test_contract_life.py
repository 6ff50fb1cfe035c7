"""A final contract ends in one of three ways and is closed only when nothing is owed: table, guards, random walks.

Source of the arrows: the design page's line "ACTIVE -> (SUSPENDED) -> EXPIRED | REVOKED | COMPLETED -> OBLIGATIONS_OPEN
(deletion attestation due) -> CLOSED", written out here once more by hand.
"""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.catalog.attestation import Attestation
from hdex.catalog.contract_life import LIFE, LifeArrow, LifeEvidence, LifeState
from hdex.catalog.errors import AttestationInvalid, DocumentInvalid, GuardUnmet, TransitionForbidden

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LATER = datetime(2027, 11, 21, tzinfo=UTC)
ARROWS = """
ACTIVE suspend SUSPENDED
SUSPENDED resume ACTIVE
ACTIVE expire EXPIRED
SUSPENDED expire EXPIRED
ACTIVE revoke REVOKED
SUSPENDED revoke REVOKED
ACTIVE complete COMPLETED
SUSPENDED complete COMPLETED
EXPIRED oblige OBLIGATIONS_OPEN
REVOKED oblige OBLIGATIONS_OPEN
COMPLETED oblige OBLIGATIONS_OPEN
EXPIRED close CLOSED
REVOKED close CLOSED
COMPLETED close CLOSED
OBLIGATIONS_OPEN close CLOSED
"""
EXPECTED = {(a, b): c for a, b, c in (line.split() for line in ARROWS.split("\n") if line)}
ORDERED = LifeEvidence(at=NOW, expires=LATER, by="privacy_officer", reason="the committee asks")
FULL = {
    "expire": replace(ORDERED, expires=NOW),
    "complete": replace(ORDERED, by="consumer"),
    "oblige": replace(ORDERED, owed=True),
}


def evidence_for(state: str, arrow: str) -> LifeEvidence:
    return replace(FULL.get(arrow, ORDERED), attested=state == "OBLIGATIONS_OPEN")


@pytest.mark.parametrize(("state", "arrow"), list(product(LifeState, LifeArrow)))
def test_every_pair_of_state_and_arrow_is_as_the_page_says(state: LifeState, arrow: LifeArrow) -> None:
    expected, said = EXPECTED.get((state.value, arrow.value)), evidence_for(state.value, arrow.value)
    if expected is None:
        with pytest.raises(TransitionForbidden) as refused:
            LIFE.advance(state, arrow, said)
        assert (refused.value.found, refused.value.allowed) == (state.value, LIFE.allowed_from(state))
    else:
        assert LIFE.advance(state, arrow, said).value == expected


LACKING = [
    ("ACTIVE", "suspend", {"by": "data_steward"}, "contract.officer"),
    ("ACTIVE", "suspend", {"by": "consumer"}, "contract.officer"),
    ("ACTIVE", "suspend", {"reason": " "}, "contract.reason"),
    ("SUSPENDED", "resume", {"by": ""}, "contract.officer"),
    ("SUSPENDED", "resume", {"at": LATER}, "contract.term"),
    ("ACTIVE", "expire", {"expires": LATER}, "contract.not_ended"),
    ("ACTIVE", "revoke", {"by": "consumer"}, "contract.staff"),
    ("ACTIVE", "revoke", {"by": "ethics_committee"}, "contract.staff"),
    ("ACTIVE", "revoke", {"reason": ""}, "contract.reason"),
    ("ACTIVE", "complete", {"by": "privacy_officer"}, "contract.completion"),
    ("ACTIVE", "complete", {"by": ""}, "contract.completion"),
    ("EXPIRED", "oblige", {"owed": False}, "contract.owed"),
    ("EXPIRED", "close", {"owed": True}, "contract.obligation"),
    ("COMPLETED", "close", {"owed": True, "attested": True}, "contract.obligation"),
    ("OBLIGATIONS_OPEN", "close", {"attested": False}, "contract.attestation"),
]


@pytest.mark.parametrize(("state", "arrow", "lacking", "rule"), LACKING)
def test_a_step_without_its_evidence_is_refused_by_name(
    state: str, arrow: str, lacking: dict[str, object], rule: str
) -> None:
    said = replace(evidence_for(state, arrow), **lacking)  # type: ignore[arg-type]  # fields by name
    with pytest.raises(GuardUnmet) as refused:
        LIFE.advance(LifeState(state), LifeArrow(arrow), said)
    assert (refused.value.rule, bool(refused.value.next_step)) == (rule, True)


EVIDENCE = st.builds(
    LifeEvidence,
    at=st.sampled_from([NOW, LATER]),
    expires=st.just(LATER),
    by=st.sampled_from(["", "consumer", "data_steward", "privacy_officer"]),
    reason=st.sampled_from(["", "said"]),
    renewed_by=st.sampled_from(["", "c-2"]),
    owed=st.booleans(),
    attested=st.booleans(),
)


@settings(max_examples=100)
@given(walk=st.lists(st.tuples(st.sampled_from(list(LifeArrow)), EVIDENCE), max_size=12), owed=st.booleans())
def test_whatever_is_tried_nothing_owed_is_closed_without_an_attestation(
    walk: list[tuple[LifeArrow, LifeEvidence]], owed: bool
) -> None:
    state, attested, dead = LifeState.ACTIVE, False, False
    for arrow, said in walk:
        said = replace(said, owed=owed)
        try:
            target = LIFE.advance(state, arrow, said)
        except (TransitionForbidden, GuardUnmet):
            continue
        attested |= said.attested and target is LifeState.CLOSED
        state, dead = target, dead or target not in (LifeState.ACTIVE, LifeState.SUSPENDED)
        assert not (dead and state in (LifeState.ACTIVE, LifeState.SUSPENDED))
    if state is LifeState.CLOSED and owed:
        assert attested


SAID = {
    "contract_id": "c-1", "agreement_digest": "00" * 32, "consumer": "b", "copies": 2, "at": "2026-11-21T22:00:00.000Z",
    "deleted": ["two copies on the analysis server"], "kept": [{"what": "a model", "clause": "derived_products"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"deleted": []}, {"deleted": [""]}, {"deleted": ["x" * 501]}, {"deleted": ["x"] * 101}, {"copies": -1},
        {"copies": True}, {"deleted": ["a\u202eb"]}, {"kept": [{"what": " ", "clause": "c"}]}, {"unknown": 1},
        {"deleted": "all"},
    ],
)  # fmt: skip
def test_an_attestation_says_what_was_deleted_in_plain_bounded_words(changed: dict[str, object]) -> None:
    assert Attestation.from_document(SAID).document() == SAID
    with pytest.raises((AttestationInvalid, DocumentInvalid)):
        Attestation.from_document(SAID | changed)
