"""Negotiation and transfer in Dataspace Protocol words: what is not in the table is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product as every
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.catalog.samples import sample_product

from hdex.catalog.contract import (
    Agreement,
    ConsumerKeys,
    Message,
    Negotiation,
    Party,
    State,
    TransferMessage,
    TransferState,
    agreement_digest,
    step,
    step_transfer,
)
from hdex.catalog.errors import AgreementInvalid, DocumentInvalid, OutsideAgreement, TransitionForbidden
from hdex.catalog.product import DeliveryMode

CONSUMER, PROVIDER = Party.CONSUMER, Party.PROVIDER
VECTORS = json.loads((Path(__file__).parents[1] / "vectors/dataspace_states.json").read_text(encoding="utf-8"))
MOVES = st.lists(st.tuples(st.sampled_from(Party), st.sampled_from(Message)), max_size=30)


def published(machine: str) -> dict[tuple[str | None, str, str], str]:
    return {(row[0], row[1], row[2]): row[3] for row in VECTORS[machine]}


def test_negotiation_is_exactly_the_published_table() -> None:
    table = published("negotiation")
    for state, party, message in every([None, *State], Party, Message):
        key = (state.value if state else None, party.value, message.value)
        if key in table:
            assert step(state, party, message).value == table[key]
        else:
            with pytest.raises(TransitionForbidden):
                step(state, party, message)


def test_transfer_is_exactly_the_published_table() -> None:
    table = published("transfer")
    for state, party, message in every([None, *TransferState], Party, TransferMessage):
        key = (state.value if state else None, party.value, message.value)
        if key in table:
            assert step_transfer(state, party, message).value == table[key]
        else:
            with pytest.raises(TransitionForbidden):
                step_transfer(state, party, message)


def run(moves: list[tuple[Party, Message]]) -> Negotiation:
    """Return the negotiation after every move that is allowed; the others are refused and change nothing."""
    negotiation = Negotiation("c", "p")
    for party, message in moves:
        try:
            negotiation = negotiation.step(party, message)
        except TransitionForbidden:
            continue
    return negotiation


def test_the_short_way_is_finalized() -> None:
    moves = [(CONSUMER, Message.REQUEST), (PROVIDER, Message.AGREEMENT), (CONSUMER, Message.VERIFICATION)]
    assert run([*moves, (PROVIDER, Message.FINALIZE)]).state == State.FINALIZED


def test_the_long_way_is_finalized() -> None:
    moves = [
        (CONSUMER, Message.REQUEST),
        (PROVIDER, Message.OFFER),
        (CONSUMER, Message.REQUEST),
        (PROVIDER, Message.OFFER),
        (CONSUMER, Message.ACCEPT),
        (PROVIDER, Message.AGREEMENT),
        (CONSUMER, Message.VERIFICATION),
        (PROVIDER, Message.FINALIZE),
    ]
    assert [state.value for state in run(moves).history] == [
        "REQUESTED", "OFFERED", "REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED",
    ]  # fmt: skip


@given(MOVES)
def test_nothing_is_finalized_that_both_did_not_agree_to(moves: list[tuple[Party, Message]]) -> None:
    history = run(moves).history
    if State.FINALIZED in history:
        assert history[-3:] == (State.AGREED, State.VERIFIED, State.FINALIZED)
        assert history[-4] in (State.REQUESTED, State.ACCEPTED)


@given(MOVES)
def test_what_is_over_stays_over(moves: list[tuple[Party, Message]]) -> None:
    history = run(moves).history
    for over in (State.FINALIZED, State.TERMINATED):
        assert history.count(over) <= 1
        assert over not in history[:-1]


@given(MOVES)
def test_the_provider_alone_never_gets_beyond_agreed(moves: list[tuple[Party, Message]]) -> None:
    alone = run([(CONSUMER, Message.REQUEST), *((PROVIDER, message) for _, message in moves)])
    assert State.VERIFIED not in alone.history


@given(MOVES)
def test_the_consumer_alone_never_gets_an_agreement(moves: list[tuple[Party, Message]]) -> None:
    alone = run([(CONSUMER, message) for _, message in moves])
    assert State.AGREED not in alone.history


def test_a_refusal_names_the_state_found_and_what_is_allowed() -> None:
    with pytest.raises(TransitionForbidden, match="does not fit REQUESTED") as refused:
        step(State.REQUESTED, CONSUMER, Message.ACCEPT)
    assert refused.value.found == "REQUESTED"
    assert "provider: ContractAgreementMessage" in refused.value.allowed
    with pytest.raises(TransitionForbidden, match="allowed now: nothing"):
        step(State.FINALIZED, PROVIDER, Message.TERMINATION)


def sample_agreement() -> Agreement:
    product = sample_product()
    return Agreement(
        id="urn:uuid:e8dc8655-44c2-46ef-b701-4cffdc2faa44",
        request_id="urn:uuid:32541fe6-c580-409e-85a8-8a9a32fbe833",
        product=product.id,
        version=product.version,
        manifest_digest=product.digest(),
        provider="hospital-a",
        consumer="buyer-heartline",
        consumer_keys=ConsumerKeys("ab" * 32, "cd" * 32),
        purpose="DUO:0000007",
        delivery_modes=(DeliveryMode.SEALED_FILE, DeliveryMode.FEDERATED),
        columns=("age_band", "sex"),
        max_rounds=12,
        issued="2026-11-21T22:00:00.000Z",
        expires="2027-11-21T22:00:00.000Z",
        price=product.price,
        clauses={"retention_months": 24, "place_of_storage": "CN"},
    )


NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_an_agreement_read_back_has_the_same_digest() -> None:
    document = json.loads(json.dumps(sample_agreement().document()))
    assert Agreement.from_document(document) == sample_agreement()
    assert agreement_digest(document) == agreement_digest(sample_agreement().document())
    assert agreement_digest(document | {"max_rounds": 13}) != agreement_digest(document)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expires": "2020-01-01T00:00:00.000Z"}, "ends before it begins"),
        ({"manifest_digest": "short"}, "SHA-256"),
        ({"delivery_modes": []}, "no delivery mode"),
        ({"max_rounds": 0}, "without rounds"),
        ({"max_deliveries": -1}, "below 0"),
        ({"issued": "yesterday"}, "RFC 3339"),
        ({"extra": 1}, "unknown field"),
    ],
)
def test_an_incomplete_agreement_is_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(DocumentInvalid, match=problem):
        Agreement.from_document(sample_agreement().document() | change)


def test_clauses_are_executed() -> None:
    agreement = sample_agreement()
    agreement.require(DeliveryMode.SEALED_FILE, purpose="DUO:0000007", at=NOW)
    agreement.require_columns(("sex",))
    refusals: dict[str, Callable[[], None]] = {
        "agreement.mode": lambda: agreement.require(DeliveryMode.QUERY, purpose="DUO:0000007", at=NOW),
        "agreement.purpose": lambda: agreement.require(DeliveryMode.FEDERATED, purpose="DUO:0000042", at=NOW),
        "agreement.expired": lambda: agreement.require(
            DeliveryMode.FEDERATED, purpose="DUO:0000007", at=datetime(2027, 11, 21, 22, tzinfo=UTC)
        ),
        "agreement.columns": lambda: agreement.require_columns(("ldl",)),
    }
    for rule, ask in refusals.items():
        with pytest.raises(OutsideAgreement) as refused:
            ask()
        assert refused.value.rule == rule


def test_an_agreement_of_all_columns_names_none() -> None:
    replace(sample_agreement(), columns=()).require_columns(("anything",))


def test_agreement_errors_are_of_this_room() -> None:
    assert issubclass(AgreementInvalid, ValueError)
