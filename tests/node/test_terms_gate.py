"""The page, the contract and each access ask one decision service: the same question gets the same answer."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.contract import Agreement, ConsumerKeys
from hdex.catalog.documents import to_document
from hdex.catalog.errors import TermsInvalid
from hdex.catalog.licence import Access, decide_access
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import AccessRequest, Terms, check_terms, modifiers, purposes
from hdex.catalog.web.plain import check_purpose
from hdex.node.authz import CedarAuthorizer
from hdex.node.errors import AccessDenied
from hdex.node.hospital.terms_gate import TermsGate
from hdex.node.identity import Identity

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT = "2026-11-22T12:00:00Z"
BUYER = "buyer-heartline"
GATE = TermsGate("hospital-a", CedarAuthorizer(), lambda: NOW)
PRODUCT = sample_product()
DS, HMB = "DUO:0000007", "DUO:0000006"

TERMS = st.builds(
    Terms,
    permitted=st.sets(st.sampled_from(list(purposes())), min_size=1, max_size=3).map(tuple),
    prohibited=st.sets(st.sampled_from(list(purposes())), max_size=2).map(tuple),
    needs_approval=st.sampled_from([(), ("*",), (HMB,)]),
    modifiers=st.sets(st.sampled_from(list(modifiers())), max_size=2).map(tuple),
    diseases=st.sampled_from([("I63",), ("I63", "I65")]),
    countries=st.sampled_from([(), ("CN",)]),
    expires=st.sampled_from([None, "2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
)
QUESTIONS = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from([*purposes(), "DUO:7"]),
        "disease": st.sampled_from(["", "I63.5", "E11"]),
        "commercial": st.sampled_from(["yes", "no"]),
    }
)


def offered(terms: Terms) -> DataProduct:
    """Return a product under terms that may be offered at all."""
    try:
        check_terms(terms)
        return replace(PRODUCT, terms=terms)
    except TermsInvalid:
        assume(False)
        raise


def asked_as_on_the_page(terms: Terms, question: Mapping[str, str]) -> dict[str, Any]:
    """Return the request of an applicant that says of itself what the page takes for granted."""
    commercial = question["commercial"] == "yes"
    access = AccessRequest(
        purpose=question["purpose"],
        recipient=BUYER,
        at="1999-01-01T00:00:00Z",  # an applicant's own clock
        disease=question["disease"] or None,
        commercial=commercial,
        for_profit=commercial,
        country=terms.countries[0] if terms.countries else None,
        accepts=terms.modifiers,
    )
    return {"access": to_document(access)}


def agreement(product: DataProduct, purpose: str, **given: Any) -> Agreement:
    plain = Agreement(
        id="agreement-c-1",
        request_id="c-1",
        product=product.id,
        version=product.version,
        manifest_digest="0" * 64,
        provider="hospital-a",
        consumer=BUYER,
        consumer_keys=ConsumerKeys("00", "11"),
        purpose=purpose,
        delivery_modes=(DeliveryMode.SEALED_FILE,),
        expires="2027-11-22T12:00:00Z",
        issued="2026-11-01T12:00:00Z",
        price=product.price,
    )
    return replace(plain, **given)


@settings(max_examples=120, deadline=None)
@given(terms=TERMS, question=QUESTIONS)
def test_page_contract_and_access_give_one_answer(terms: Terms, question: dict[str, str]) -> None:
    product = offered(terms)
    asked = asked_as_on_the_page(terms, question)
    page = check_purpose(terms, question, at=AT).decision
    contract = GATE.consider(product, asked)
    assert page == contract
    paper = agreement(product, question["purpose"])
    if contract.outcome == "prohibited":
        with pytest.raises(AccessDenied) as refused:
            GATE.require(product, paper, asked, Access("sealed_file"))
        assert refused.value.rule == contract.rule
        return
    GATE.require(product, paper, asked, Access("sealed_file"))  # both signed: what people had to settle is settled


REQUEST = AccessRequest(purpose=DS, disease="I65.2", recipient=BUYER, at=AT, ethics_approval="2026-114")
BY_FILE = Access("sealed_file")
LICENCE: dict[str, tuple[dict[str, Any], Access, str]] = {
    "as agreed": ({}, Access("sealed_file"), "purpose.permitted"),
    "another mode": ({}, Access("federated"), "agreement.mode"),
    "after its end": ({"expires": "2026-11-22T12:00:00Z"}, Access("sealed_file"), "agreement.expired"),
    "another purpose": ({"purpose": HMB}, Access("sealed_file"), "agreement.purpose"),
    "the last round": ({"max_rounds": 3}, Access("sealed_file", {"rounds": 1}, {"rounds": 2}), "purpose.permitted"),
    "a round too many": ({"max_rounds": 3}, Access("sealed_file", {"rounds": 1}, {"rounds": 3}), "agreement.rounds"),
    "a round where none is agreed": ({}, Access("sealed_file", {"rounds": 1}), "agreement.rounds"),
    "the last query": (
        {"clauses": {"max_queries": 5}},
        Access("sealed_file", {"queries": 1}, {"queries": 4}),
        "purpose.permitted",
    ),
    "a query too many": (
        {"clauses": {"max_queries": 5}},
        Access("sealed_file", {"queries": 1}, {"queries": 5}),
        "agreement.queries",
    ),
    "queries that nobody counted": (
        {"clauses": {"max_queries": 5}},
        Access("sealed_file", {"queries": 1}),
        "agreement.queries",
    ),
    "a byte too many": (
        {"clauses": {"max_bytes": 100}},
        Access("sealed_file", {"bytes": 11}, {"bytes": 90}),
        "agreement.bytes",
    ),
    "before it begins": (
        {"clauses": {"not_before": "2026-12-01T00:00:00Z"}},
        Access("sealed_file"),
        "agreement.begins",
    ),
    "after it began": ({"clauses": {"not_before": "2026-11-01T00:00:00Z"}}, Access("sealed_file"), "purpose.permitted"),
    "after the event": (
        {"clauses": {"after_event": "urn:x:published"}},
        Access("sealed_file", events={"urn:x:published": datetime(2026, 11, 1, tzinfo=UTC)}),
        "purpose.permitted",
    ),
    "before the event": (
        {"clauses": {"after_event": "urn:x:published"}},
        Access("sealed_file", events={"urn:x:published": None}),
        "agreement.event",
    ),
    "an event nobody knows of": (
        {"clauses": {"after_event": "urn:x:published"}},
        Access("sealed_file"),
        "agreement.event",
    ),
    "a delivery too many": ({}, Access("sealed_file", {"deliveries": 1}, {"deliveries": 1}), "agreement.deliveries"),
}


@pytest.mark.parametrize("name", list(LICENCE))
def test_an_access_keeps_within_the_agreement(name: str) -> None:
    given_, access, rule = LICENCE[name]
    paper = replace(agreement(PRODUCT, DS), **given_)
    found = decide_access(PRODUCT.terms, paper, REQUEST, access)
    assert found.rule == rule
    assert found.why.zh


@given(used=st.integers(0, 20), takes=st.integers(0, 20), most=st.integers(0, 20))
def test_what_is_used_with_this_access_is_at_most_what_was_agreed(used: int, takes: int, most: int) -> None:
    paper = agreement(PRODUCT, DS, max_rounds=most)
    found = decide_access(PRODUCT.terms, paper, REQUEST, Access("sealed_file", {"rounds": takes}, {"rounds": used}))
    assert (found.outcome == "permitted") == (used + takes <= most)


def test_a_person_settles_what_the_rules_left_and_nothing_else() -> None:
    terms = Terms(
        permitted=(HMB,), modifiers=("DUO:0000046", "DUO:0000027"), projects=("stroke",), needs_approval=("*",)
    )
    product = replace(PRODUCT, terms=terms)
    said = {"purpose": HMB, "recipient": BUYER, "at": AT, "commercial": True}
    unsaid = {**said, "commercial": None}
    assert GATE.consider(product, {"access": unsaid}).outcome == "undecided"
    GATE.require(product, agreement(product, HMB), {"access": unsaid}, Access("sealed_file"))
    with pytest.raises(AccessDenied) as refused:
        GATE.require(product, agreement(product, HMB), {"access": said}, Access("sealed_file"))
    assert refused.value.rule == "use.commercial"


@pytest.mark.parametrize(("terms", "allowed"), [("permitted", True), ("undecided", False), ("prohibited", False)])
def test_the_policies_refuse_what_the_terms_do_not_permit(terms: str, allowed: bool) -> None:
    buyer = Identity("spiffe://hdex.test/buyer/b", "buyer", "b")
    asked: dict[str, str | int] = {"kind": "hospital", "participant": "hospital-a", "level": 2, "terms": terms}
    found = CedarAuthorizer().decide(buyer, "HospitalService.Deliver", asked)
    assert (found.allow, found.rule) == (allowed, "buyer-receives" if allowed else "terms-do-not-permit")


def test_a_gate_whose_policies_refuse_refuses() -> None:
    """The terms permit; the policies have the last word."""

    class Nobody(CedarAuthorizer):
        def __init__(self) -> None:
            super().__init__(policies='@id("none") forbid (principal, action, resource);')

    with pytest.raises(AccessDenied):
        TermsGate("hospital-a", Nobody(), lambda: NOW).require(
            PRODUCT, agreement(PRODUCT, DS), {"access": to_document(REQUEST)}, Access("sealed_file")
        )
