"""The quick reading of a leaf says what the full parser says, of every leaf that either of them takes."""

import json
from dataclasses import fields
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import Action, Decision, Event, canonical, parse
from hdex.ledger.verify_leaf import _FORMS, _pattern, leaf_of, read_leaf

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
DIGEST = st.binary(max_size=4).map(lambda raw: sha256(raw).hexdigest())
TIME = st.datetimes().map(lambda t: f"{t.year:04}-{t:%m-%dT%H:%M:%S}.{t.microsecond // 1000:03}Z")
EVENTS = st.builds(
    Event,
    event_id=TEXT,
    time=TIME,
    node=TEXT,
    action=st.sampled_from(list(Action)),
    organisation=st.none() | TEXT,
    actor=st.none() | DIGEST,
    product=st.none() | TEXT,
    grant=st.none() | TEXT,
    decision=st.none() | st.sampled_from(list(Decision)),
    reason=st.none() | TEXT,
    rows=st.none() | st.integers(0, 2**53 - 1),
    epsilon=st.none() | st.floats(0, 10),
    result_digest=st.none() | DIGEST,
)
USUAL = {
    "event_id": "a",
    "time": "2026-11-21T22:00:00.000Z",
    "node": "第一医院",
    "action": "export",
    "decision": "allow",
    "grant": "g",
    "rows": 3,
    "schema": 1,
}


def leaf(**changes: object) -> bytes:
    found = {name: value for name, value in (USUAL | changes).items() if value is not None}
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@given(EVENTS)
def test_every_event_is_read_as_the_parser_reads_it(event: Event) -> None:
    assert read_leaf(canonical(event)) == leaf_of(event)


@given(EVENTS, st.data())
def test_a_changed_leaf_is_refused_wherever_the_parser_refuses_it(event: Event, data: st.DataObject) -> None:
    raw = bytearray(canonical(event))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        expected = leaf_of(parse(bytes(raw)))
    except EventInvalid:
        with pytest.raises(EventInvalid):
            read_leaf(bytes(raw))
    else:
        assert read_leaf(bytes(raw)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2026-02-30T22:00:00.000Z"},
        {"time": "0000-01-01T22:00:00.000Z"},
        {"time": "2026-11-21T24:00:00.000Z"},
        {"time": "2026-11-21T22:60:00.000Z"},
        {"rows": -1},
        {"rows": 2**53},
        {"rows": True},
        {"decision": "maybe"},
        {"action": "export "},
        {"node": ""},
        {"node": "n" * 257},
        {"schema": 99},
        {"unknown": 1},
        {"event_id": None},
        {"result_digest": "A" * 64},
    ],
)
def test_what_is_no_event_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EventInvalid):
        read_leaf(leaf(**changes))


@pytest.mark.parametrize("raw", [leaf() + b" ", b" " + leaf(), leaf().replace(b":3", b":3.0"), leaf() + b"\n", b"\xff"])
def test_what_is_not_canonical_is_refused(raw: bytes) -> None:
    with pytest.raises(EventInvalid):
        read_leaf(raw)


def test_the_usual_leaf_takes_the_quick_way_and_every_field_is_known_to_it() -> None:
    assert _pattern().fullmatch(leaf().decode())
    assert {field.name for field in fields(Event)} - {"time", "epsilon", "checkpoint"} <= _FORMS.keys()
