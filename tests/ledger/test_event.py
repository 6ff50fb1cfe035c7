"""An event's bytes are one and only one, and never hold an identity in clear."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import Action, Decision, Event, canonical, commit, document, format_time, parse

BASE: dict[str, object] = {
    "event_id": "e-1",
    "time": "2026-11-21T22:00:00.000Z",
    "node": "hospital-a",
    "action": "product.read",
    "decision": "allow",
    "rows": 3,
    "schema": 1,
}


def leaf(**changes: object) -> bytes:
    found = {**BASE, **changes}
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_canonical_bytes_are_these() -> None:
    event = Event(
        event_id="e-1",
        time="2026-11-21T22:00:00.000Z",
        node="hospital-a",
        action=Action.PRODUCT_READ,
        decision=Decision.ALLOW,
        rows=3,
        epsilon=0.5,
    )
    assert canonical(event) == (
        b'{"action":"product.read","decision":"allow","epsilon":0.5,"event_id":"e-1","node":"hospital-a",'
        b'"rows":3,"schema":1,"time":"2026-11-21T22:00:00.000Z"}'
    )
    assert parse(canonical(event)) == event


@given(st.text(st.characters(), min_size=1, max_size=40), st.integers(0, 2**53 - 1), st.none() | st.floats(0, 1e300))
@example("\ud800", 0, None)
@example('"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\u20ac\U0001f600', 0, None)
def test_the_quick_bytes_are_those_of_the_reference(text: str, rows: int, epsilon: float | None) -> None:
    event = Event(
        event_id=text, time="2026-11-21T22:00:00.000Z", node="n", action=Action.EXPORT, rows=rows, epsilon=epsilon
    )
    try:
        expected = rfc8785.dumps(document(event))
    except rfc8785.CanonicalizationError:
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical(event)
        return
    assert canonical(event) == expected
    assert list(document(event)) == sorted(document(event))


@given(
    st.sampled_from(Action),
    st.sampled_from([None, *Decision]),
    st.none() | st.text(min_size=1, max_size=256).filter(lambda text: text.isprintable()),
    st.none() | st.integers(0, 2**53 - 1),
    st.none() | st.floats(0, 100),
    st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
)
def test_every_event_survives_its_own_bytes(
    action: Action,
    decision: Decision | None,
    text: str | None,
    rows: int | None,
    epsilon: float | None,
    digest: str | None,
) -> None:
    event = Event(
        event_id="e",
        time="2026-11-21T22:00:00.000Z",
        node="n",
        action=action,
        decision=decision,
        product=text,
        rows=rows,
        epsilon=epsilon,
        result_digest=digest,
    )
    assert parse(canonical(event)) == event
    assert None not in document(event).values()


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "product.sniff"},
        {"decision": "perhaps"},
        {"schema": 2},
        {"time": "2026-11-21T22:00:00Z"},
        {"time": "2026-11-21T22:00:00.000+08:00"},
        {"time": "2026-13-21T22:00:00.000Z"},
        {"rows": -1},
        {"rows": 1.5},
        {"rows": True},
        {"rows": 2**53},
        {"epsilon": -0.1},
        {"epsilon": "1"},
        {"actor": "Zhang San"},
        {"result_digest": "AB" * 32},
        {"node": ""},
        {"node": 7},
        {"reason": "r" * 257},
        {"patient_name": "x"},
        {"product": None},
    ],
)
def test_a_wrong_field_is_refused_without_repeating_its_value(changes: dict[str, object]) -> None:
    with pytest.raises(EventInvalid) as caught:
        parse(leaf(**changes))
    assert "Zhang" not in str(caught.value)


@pytest.mark.parametrize("missing", ["event_id", "time", "node", "action"])
def test_a_missing_field_is_refused(missing: str) -> None:
    found = {name: value for name, value in BASE.items() if name != missing}
    with pytest.raises(EventInvalid):
        parse(json.dumps(found, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "other", [b"", b"[]", b"7", b"\xff", b"{", b'{"a":1}\n', leaf() + b" ", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_no_canonical_event_is_refused(other: bytes) -> None:
    with pytest.raises(EventInvalid):
        parse(other)


def test_another_spelling_of_the_same_event_is_refused() -> None:
    assert parse(leaf()).rows == 3
    for spelling in (json.dumps(BASE).encode(), leaf().replace(b'"rows":3', b'"rows":3.0')):
        with pytest.raises(EventInvalid):
            parse(spelling)


def test_a_commitment_hides_behind_its_salt() -> None:
    assert commit("buyer-heartline", bytes(16)) != commit("buyer-heartline", bytes(15) + b"\x01")
    assert commit("buyer-heartline", bytes(16)) == commit("buyer-heartline", bytes(16))
    with pytest.raises(EventInvalid, match="16 are needed"):
        commit("buyer-heartline", bytes(15))


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    local = datetime(2026, 11, 22, 6, 0, 0, 123456, timezone(timedelta(hours=8)))
    assert format_time(local) == "2026-11-21T22:00:00.123Z"
    assert format_time(datetime(2026, 11, 21, 22, tzinfo=UTC)) == "2026-11-21T22:00:00.000Z"
