"""Events in the forms of others: valid, whole, and naming nobody."""

import json
from datetime import datetime
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.ledger.event import RELEASES, Action, Decision, Event
from hdex.ledger.export_fhir import DCM, audit_event, bundle
from hdex.ledger.export_prov import prov_document

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text("abc-./:é字 ", min_size=1, max_size=20).map(str.strip).filter(bool)
EVENTS = st.builds(
    Event,
    event_id=st.uuids().map(str) | TEXTS,
    time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda t: f"{t:%Y-%m-%dT%H:%M:%S}.000Z"),
    node=TEXTS,
    organisation=st.none() | TEXTS,
    role=st.none() | TEXTS,
    actor=st.none() | DIGESTS,
    action=st.sampled_from(Action),
    product=st.none() | TEXTS,
    version=st.none() | TEXTS,
    purpose=st.none() | st.just("DUO:0000007"),
    contract=st.none() | TEXTS,
    grant=st.none() | TEXTS,
    policy_digest=st.none() | DIGESTS,
    decision=st.none() | st.sampled_from(Decision),
    reason=st.none() | TEXTS,
    rows=st.none() | st.integers(0, 10**9),
    epsilon=st.none() | st.floats(0, 10),
    request_digest=st.none() | DIGESTS,
    result_digest=st.none() | DIGESTS,
)
EXPORT = Event(
    event_id="5f3e4a52-8a55-4a3a-9a8e-1d8f3b6f7a10",
    time="2026-11-21T22:00:00.000Z",
    node="hospital-a",
    organisation="Hospital A",
    role="buyer",
    actor="ab" * 32,
    action=Action.EXPORT,
    product="hospital-a.stents",
    version="2026.1",
    purpose="DUO:0000007",
    contract="c-1",
    grant="g-1",
    decision=Decision.ALLOW,
    rows=100,
    result_digest="cd" * 32,
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_every_event_is_a_valid_audit_event(event: Event) -> None:
    found = json.loads(json.dumps(audit_event(event)))
    valid = AuditEvent.model_validate(found)
    assert valid.type.code == found["type"]["code"]
    assert found["source"]["observer"]["identifier"]["value"] == event.node
    assert (valid.outcome == "8") == (event.decision is Decision.DENY)


@settings(max_examples=15, deadline=None)
@given(st.lists(EVENTS, max_size=4))
def test_events_are_a_valid_bundle_in_their_order(events: list[Event]) -> None:
    found = bundle(events)
    Bundle.model_validate(found)
    assert [one["resource"]["recorded"] for one in found["entry"]] == [event.time for event in events]


def test_an_export_is_a_disclosure_in_the_words_of_balp() -> None:
    found = audit_event(EXPORT)
    assert (found["type"]["system"], found["type"]["code"], found["action"]) == (DCM, "110106", "R")
    assert found["subtype"][0]["code"] == "disclose"
    source, recipient = found["agent"]
    assert source["type"]["coding"][0]["code"] == "110153"
    assert source["who"] == found["source"]["observer"]  # BALP, val-audit-source
    assert recipient["type"]["coding"][0]["code"] == "110152"
    assert recipient["who"]["identifier"]["value"] == EXPORT.actor
    assert recipient["requestor"] is True
    assert found["purposeOfEvent"][0]["coding"][0]["code"] == "DUO:0000007"
    assert [one["what"]["identifier"]["value"] for one in found["entity"]] == ["hospital-a.stents", "c-1", "g-1"]
    details = {one["type"]: one["valueString"] for one in found["entity"][0]["detail"]}
    assert details == {"version": "2026.1", "rows": "100", "result_digest": "cd" * 32}
    assert "profile" not in json.dumps(found)  # a profile of BALP asks for a patient, whom this log does not know


@pytest.mark.parametrize("action", Action)
def test_what_leaves_is_an_export_and_nothing_else_is(action: Action) -> None:
    event = Event(event_id="e", time=EXPORT.time, node="n", action=action)
    assert (audit_event(event)["type"]["code"] == "110106") == (action in RELEASES)


def references(found: dict[str, Any], relation: str, end: str) -> set[str]:
    return {one[end] for one in found.get(relation, {}).values() if end in one}


@settings(max_examples=20, deadline=None)
@given(st.lists(EVENTS, max_size=5))
def test_every_end_of_a_provenance_relation_is_described(events: list[Event]) -> None:
    found = json.loads(json.dumps(prov_document(events)))
    assert len(found["activity"]) == len({event.event_id for event in events})
    for relation in ("used", "wasGeneratedBy", "wasAssociatedWith", "wasDerivedFrom"):
        assert references(found, relation, "prov:activity") <= set(found["activity"])
        assert references(found, relation, "prov:agent") <= set(found["agent"])
        for end in ("prov:entity", "prov:generatedEntity", "prov:usedEntity"):
            assert references(found, relation, end) <= set(found["entity"])


def test_an_export_used_the_product_and_made_what_left() -> None:
    made = Event(
        event_id="p", time=EXPORT.time, node="hospital-a", action=Action.CATALOGUE_PUBLISH, product=EXPORT.product,
        version=EXPORT.version, decision=Decision.ALLOW,
    )  # fmt: skip
    found = prov_document([made, EXPORT])
    product, left = "hdex:product/hospital-a.stents/2026.1", f"hdex:sha256/{EXPORT.result_digest}"
    assert references(found, "used", "prov:entity") == {product}
    assert references(found, "wasGeneratedBy", "prov:entity") == {product, left}
    (derived,) = found["wasDerivedFrom"].values()
    assert (derived["prov:generatedEntity"], derived["prov:usedEntity"]) == (left, product)


def test_what_was_refused_touched_nothing() -> None:
    refused = Event(event_id="d", time=EXPORT.time, node="n", action=Action.EXPORT, product="p", decision=Decision.DENY)
    found = prov_document([refused])
    assert found["entity"] == {}
    assert found["activity"]["hdex:event/d"]["hdex:decision"] == "deny"
