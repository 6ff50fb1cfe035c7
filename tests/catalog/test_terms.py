"""One request, one answer, one rule."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.terms_oracle import plainly

from hdex.catalog.documents import to_document
from hdex.catalog.errors import TermsInvalid
from hdex.catalog.odrl import ask, evaluate, read_graph, read_policies
from hdex.catalog.offer import compile_terms, policy_rules
from hdex.catalog.terms import (
    AccessRequest,
    Outcome,
    Settled,
    Terms,
    check_terms,
    covers,
    decide,
    decision,
    may_need_person,
    modifiers,
    purposes,
    question,
    standing,
)
from hdex.catalog.terms_record import TO_ACCEPT

GRU, HMB, DS, POA, NRES = "DUO:0000042", "DUO:0000006", "DUO:0000007", "DUO:0000011", "DUO:0000004"
METHODS, GENETIC = "DUO:0000031", "DUO:0000038"
DEVICE, UNDERWRITING = "HDEX:device-development", "HDEX:underwriting"
STENTS = Terms(
    permitted=(DS,),
    diseases=("I63", "I65"),
    prohibited=(UNDERWRITING,),
    needs_approval=(DEVICE,),
    expires="2028-01-01T00:00:00.000Z",
)
HEARTLINE = AccessRequest(purpose=DS, disease="I65.2", recipient="buyer-heartline", at="2026-11-21T22:00:00.000Z")


def answer(terms: Terms, request: AccessRequest) -> tuple[str, str]:
    decision = decide(terms, request)
    assert decision.next_step
    assert decision.why.zh
    return decision.outcome.value, decision.rule


CASES = {
    "the permitted disease": (STENTS, HEARTLINE, "permitted", "purpose.permitted"),
    "another disease": (STENTS, replace(HEARTLINE, disease="E11.9"), "prohibited", "purpose.disease"),
    "no disease": (STENTS, replace(HEARTLINE, disease=None), "prohibited", "purpose.disease"),
    "a wider disease": (STENTS, replace(HEARTLINE, disease="I6"), "prohibited", "purpose.disease"),
    "a wider purpose": (STENTS, replace(HEARTLINE, purpose=HMB), "prohibited", "purpose.not_permitted"),
    "underwriting": (STENTS, replace(HEARTLINE, purpose=UNDERWRITING), "prohibited", "purpose.prohibited"),
    "underwriting besides": (STENTS, replace(HEARTLINE, uses=(UNDERWRITING,)), "prohibited", "purpose.prohibited"),
    "a person decides on devices": (STENTS, replace(HEARTLINE, purpose=DEVICE), "undecided", "approval.person"),
    "devices for another disease": (
        STENTS,
        replace(HEARTLINE, purpose=DEVICE, disease="E11"),
        "prohibited",
        "purpose.disease",
    ),
    "after the end": (STENTS, replace(HEARTLINE, at="2028-01-01T00:00:00Z"), "prohibited", "terms.expired"),
    "an invented purpose": (STENTS, replace(HEARTLINE, purpose="DUO:7"), "prohibited", "purpose.unknown"),
    "general research covers medicine": (
        Terms(permitted=(GRU,)),
        replace(HEARTLINE, purpose=HMB),
        "permitted",
        "purpose.permitted",
    ),
    "medicine does not cover ancestry": (
        Terms(permitted=(HMB,)),
        replace(HEARTLINE, purpose=POA),
        "prohibited",
        "purpose.not_permitted",
    ),
    "general research does not cover marketing": (
        Terms(permitted=(GRU,)),
        replace(HEARTLINE, purpose="HDEX:marketing"),
        "prohibited",
        "purpose.not_permitted",
    ),
    "non-commercial only": (
        Terms(permitted=(HMB,), modifiers=("DUO:0000046",)),
        HEARTLINE,
        "prohibited",
        "use.commercial",
    ),
    "non-commercial use by a company": (
        Terms(permitted=(HMB,), modifiers=("DUO:0000046",)),
        replace(HEARTLINE, commercial=False),
        "permitted",
        "purpose.permitted",
    ),
    "non-commercial use by a company where only others may": (
        Terms(permitted=(HMB,), modifiers=("DUO:0000018",)),
        replace(HEARTLINE, commercial=False),
        "prohibited",
        "recipient.for_profit",
    ),
    "no methods": (
        Terms(permitted=(GRU,), modifiers=("DUO:0000015",)),
        replace(HEARTLINE, uses=(METHODS,)),
        "prohibited",
        "use.methods",
    ),
    "no ancestry": (
        Terms(permitted=(GRU,), modifiers=("DUO:0000044",)),
        replace(HEARTLINE, purpose=POA),
        "prohibited",
        "use.ancestry",
    ),
    "genetic only": (
        Terms(permitted=(HMB,), modifiers=("DUO:0000016",)),
        HEARTLINE,
        "prohibited",
        "use.genetic_only",
    ),
    "genetic": (
        Terms(permitted=(HMB,), modifiers=("DUO:0000016",)),
        replace(HEARTLINE, purpose=GENETIC),
        "permitted",
        "purpose.permitted",
    ),
    "a recipient that is not named": (
        replace(STENTS, recipients=("buyer-other",)),
        HEARTLINE,
        "prohibited",
        "recipient.not_named",
    ),
    "abroad": (replace(STENTS, countries=("CN",)), HEARTLINE, "prohibited", "recipient.country"),
    "without ethics": (replace(STENTS, modifiers=("DUO:0000021",)), HEARTLINE, "undecided", "approval.ethics"),
    "with ethics": (
        replace(STENTS, modifiers=("DUO:0000021",)),
        replace(HEARTLINE, ethics_approval="2026-114"),
        "permitted",
        "purpose.permitted",
    ),
    "a duty left open": (replace(STENTS, modifiers=("DUO:0000029",)), HEARTLINE, "undecided", "duty.not_accepted"),
    "a person decides everything": (replace(STENTS, needs_approval=("*",)), HEARTLINE, "undecided", "approval.person"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_rule_that_decides_is_named(name: str) -> None:
    terms, request, outcome, rule = CASES[name]
    assert answer(terms, request) == (outcome, rule)


def test_nobody_can_permit_re_identification() -> None:
    everything = Terms(permitted=(NRES, "HDEX:re-identification"))
    request = replace(HEARTLINE, purpose="HDEX:re-identification")
    assert answer(everything, request) == ("prohibited", "purpose.prohibited")


@given(
    permitted=st.sets(st.sampled_from(list(purposes())), min_size=1),
    extra=st.sets(st.sampled_from(list(purposes()))),
    purpose=st.sampled_from(list(purposes())),
)
def test_a_prohibition_never_permits_what_was_not(permitted: set[str], extra: set[str], purpose: str) -> None:
    wide = Terms(permitted=tuple(permitted), diseases=("I65",))
    narrow = replace(wide, prohibited=tuple(extra))
    request = replace(HEARTLINE, purpose=purpose)
    if decide(wide, request).outcome != Outcome.PERMITTED:
        assert decide(narrow, request).outcome != Outcome.PERMITTED
    if purpose in extra:
        assert decide(narrow, request).outcome == Outcome.PROHIBITED


TERMS = st.builds(
    Terms,
    permitted=st.sets(st.sampled_from(list(purposes())), min_size=1, max_size=3).map(tuple),
    prohibited=st.sets(st.sampled_from(list(purposes())), max_size=2).map(tuple),
    needs_approval=st.sampled_from([(), ("*",), (HMB,), (DEVICE,)]),
    modifiers=st.sets(st.sampled_from(list(modifiers())), max_size=3).map(tuple),
    diseases=st.sampled_from([(), ("I63",), ("I63", "MONDO:0005098")]),
    recipients=st.sampled_from([(), ("buyer-heartline",), ("buyer-other",)]),
    countries=st.sampled_from([(), ("CN",), ("CN", "FR")]),
    expires=st.sampled_from([None, "2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    months=st.sampled_from([None, 12]),
    projects=st.sampled_from([None, ("stroke",)]),
    users=st.sampled_from([None, ("dr-lin",)]),
    research_types=st.sampled_from([None, (GENETIC,)]),
)
REQUESTS = st.builds(
    AccessRequest,
    purpose=st.sampled_from([*purposes(), "DUO:7"]),
    recipient=st.sampled_from(["buyer-heartline", "buyer-other"]),
    at=st.just("2026-11-21T22:00:00.000Z"),
    disease=st.sampled_from([None, "I63.5", "E11", "DOID:1"]),
    commercial=st.sampled_from([True, False, None]),
    for_profit=st.sampled_from([True, False, None]),
    country=st.sampled_from([None, "CN", "US"]),
    uses=st.sets(st.sampled_from(list(purposes())), max_size=2).map(tuple),
    ethics_approval=st.sampled_from([None, "2026-114"]),
    accepts=st.sampled_from([(), TO_ACCEPT]),
    diseases=st.sampled_from([None, ("I63",), ("E11",)]),
    project=st.sampled_from([None, "stroke", "sleep"]),
    user=st.sampled_from([None, "dr-lin", "dr-wu"]),
    months=st.sampled_from([None, 6, 18]),
)


@settings(max_examples=250, deadline=None)
@given(terms=TERMS, request=REQUESTS)
def test_the_compiled_policy_answers_as_the_words_of_the_rules(terms: Terms, request: AccessRequest) -> None:
    assert answer(terms, request) == plainly(terms, request)


@settings(max_examples=200, deadline=None)
@given(terms=TERMS, request=REQUESTS)
def test_no_person_is_asked_where_the_terms_owe_no_approval(terms: Terms, request: AccessRequest) -> None:
    """The gate does not evaluate such terms three times a contract."""
    if decide(terms, request).rule == "approval.person":
        assert may_need_person(terms, request)


@settings(max_examples=60, deadline=None)
@given(terms=TERMS, request=REQUESTS)
def test_the_published_offer_page_and_contract_give_one_answer(terms: Terms, request: AccessRequest) -> None:
    """What is published is read back as a stranger would, and asked the same question."""
    published = {"@type": "Offer", "@id": "urn:ex:offer", **policy_rules(compile_terms(terms))}
    stranger = read_policies(read_graph(json.loads(json.dumps(published))))
    found = decision(evaluate(stranger, question(terms, request), standing(terms, request)))
    assert found == decide(terms, request)


@pytest.mark.parametrize(
    ("purpose", "disease", "outcome", "rule"),
    [
        (DS, "I65.2", "permitted", "urn:hdex:rule:purpose.permitted"),
        ("DUO:0000039", "I65.2", "permitted", "urn:hdex:rule:purpose.permitted"),
        (DS, "E11", "prohibited", "urn:hdex:rule:purpose.disease"),
        (DS, None, "undecided", "urn:hdex:rule:purpose.disease"),
        (UNDERWRITING, "I65.2", "prohibited", "urn:hdex:rule:purpose.prohibited"),
        ("urn:ex:mystery", "I65.2", "prohibited", "urn:hdex:rule:purpose.unknown"),
        (GRU, "I65.2", "prohibited", "urn:hdex:rule:purpose.not_permitted"),
    ],
)
def test_a_stranger_asks_the_published_offer_in_plain_json(
    purpose: str, disease: str | None, outcome: str, rule: str
) -> None:
    offer = {"@type": "Offer", "@id": "urn:ex:offer", **policy_rules(compile_terms(STENTS))}
    request: dict[str, object] = {"action": "use", "purpose": purpose}
    if disease:
        request["context"] = {"urn:hdex:operand:disease": disease}
    duties = dict.fromkeys(("urn:hdex:duty:approval.person", "urn:hdex:duty:approval.sensitive"), "fulfilled")
    found = ask(offer, request, {"time": "2026-11-22T00:00:00Z", "duties": duties})
    assert (found["outcome"], found["rule"]) == (outcome, rule)


def test_what_people_settled_opens_the_permission() -> None:
    request = replace(HEARTLINE, purpose=DEVICE)
    assert decide(STENTS, request).rule == "approval.person"
    settled = decide(STENTS, request, Settled(frozenset({"approval.person"})))
    assert (settled.outcome, settled.rule) == (Outcome.PERMITTED, "purpose.permitted")
    elsewhere = decide(STENTS, replace(request, disease="E11"), Settled(frozenset({"approval.person"})))
    assert elsewhere.outcome == Outcome.PROHIBITED


def test_fields_that_came_later_leave_older_documents_as_they_were() -> None:
    """A manifest that was signed before keeps its digest."""
    assert to_document(Terms(permitted=(HMB,))) == {
        "permitted": [HMB],
        **{name: [] for name in ("prohibited", "needs_approval", "modifiers", "diseases", "recipients", "countries")},
        "duties": [],
    }
    assert set(cast(dict[str, object], to_document(HEARTLINE))) <= {
        "purpose", "recipient", "at", "disease", "commercial", "for_profit", "uses", "accepts"
    }  # fmt: skip


def test_every_wider_purpose_exists_and_no_circle() -> None:
    for code, purpose in purposes().items():
        assert all(wider in purposes() for wider in purpose.within)
        assert not any(covers(code, wider) for wider in purpose.within)


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        (Terms(permitted=(DS,)), "diseases is empty"),
        (Terms(permitted=(GRU,), prohibited=(GRU,)), "both permitted and prohibited"),
        (Terms(permitted=(GRU,), modifiers=("DUO:0000022",)), "countries is empty"),
        (Terms(permitted=(GRU,), modifiers=(GRU,)), "modifiers"),
        (Terms(permitted=(GRU,), expires="tomorrow"), "RFC 3339"),
        (Terms(permitted=(GRU,), expires="2027-01-01T00:00:00"), "no zone"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(terms: Terms, problem: str) -> None:
    with pytest.raises(TermsInvalid, match=problem):
        check_terms(terms)


def test_our_codes_and_short_names_are_those_of_the_ontology() -> None:
    path = Path(__file__).resolve().parents[2].parent / "shared/data/duo_ontology/duo.csv"
    if not path.exists():
        pytest.skip("../shared/data is absent")
    with path.open(encoding="utf-8") as lines:
        published = {row["id"]: row["shorthand"] for row in csv.DictReader(lines)}
    ours = {**purposes(), **modifiers()}
    assert {code: entry.short for code, entry in ours.items() if code in published} == {
        code: short for code, short in published.items() if code in ours
    }
    assert {NRES, GRU, HMB, DS, POA} <= published.keys()
