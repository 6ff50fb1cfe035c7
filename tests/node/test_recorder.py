"""An event names nobody in the log, and everybody to who holds the salt."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.node.market_stage import BUYER, Ground, Market, person

from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.errors import ChainUnavailable, EventInvalid, LogFailed
from hdex.ledger.event import commit, parse
from hdex.node.errors import AccessDenied, DiskFull, NotFound, PeerUnavailable
from hdex.node.recorder import DETAIL, Facts, move_details, readable

ME = person(BUYER)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Market(tmp_path).grounds["hospital-a"]


def test_the_commitment_opens_with_the_salt_that_is_kept_here(ground: Ground) -> None:
    ground.recorder.allow("export", ME, product="stents", rows=5)
    (event,) = ground.events()
    kept = ground.details.open(event.event_id)
    assert kept.actor == ME.spiffe_id
    assert commit(kept.actor, kept.salt) == event.actor
    assert ground.details.commitments(ME.spiffe_id) == (event.actor,)


def test_details_of_an_earlier_version_move_under_keys_of_their_own(ground: Ground) -> None:
    ground.recorder.allow("export", ME)
    (event,) = ground.events()
    other = Details(MemoryDetailStore(), bytes(32))
    detail = ground.details.open(event.event_id)
    for key in (event.event_id, "never reached the log"):
        ground.documents.put(DETAIL, key, {"actor": detail.actor, "salt": detail.salt.hex()})
    assert move_details(ground.documents, other, ground.log) == 2
    assert other.open(event.event_id) == detail
    assert ground.documents.keys(DETAIL) == []
    assert move_details(ground.documents, other, ground.log) == 0


def test_no_leaf_says_who_acted_and_two_acts_of_one_are_not_linked(ground: Ground) -> None:
    for _ in range(2):
        ground.recorder.allow("export", ME)
    leaves = ground.log.entries(0, 2)
    assert all(BUYER.encode() not in leaf and b"spiffe" not in leaf for leaf in leaves)
    first, second = ground.events()
    assert first.actor != second.actor


def test_a_role_is_said_and_a_process_by_its_kind(ground: Ground) -> None:
    ground.recorder.allow("ingest.run", person("hospital-a", "data_steward"))
    ground.recorder.allow("export", ME)
    assert [event.role for event in ground.events()] == ["data_steward", "buyer"]


def test_nothing_happens_when_the_event_is_not_durable(ground: Ground) -> None:
    ground.store.fails = True
    happened = []
    with pytest.raises(LogFailed), ground.recorder.release("export", ME):
        happened.append(1)
    assert not happened
    with pytest.raises(LogFailed):
        ground.recorder.deny("export", ME, "rule")


def test_a_refusal_is_an_event_and_goes_on(ground: Ground) -> None:
    with pytest.raises(AccessDenied), ground.recorder.refusals("export", ME, contract="c-1"):
        raise AccessDenied("contract.revoked", "ask")
    (event,) = ground.events()
    assert (event.decision, event.reason, event.contract) == ("deny", "contract.revoked", "c-1")


@pytest.mark.parametrize(
    "error", [PeerUnavailable("away"), DiskFull("full"), LogFailed("failed"), ChainUnavailable("down"), KeyError("bug")]
)
def test_what_breaks_is_not_a_refusal(ground: Ground, error: Exception) -> None:
    with pytest.raises(type(error)), ground.recorder.refusals("export", ME):
        raise error
    assert ground.events() == []


def test_a_refusal_that_cannot_be_remembered_answers_so(ground: Ground) -> None:
    ground.store.fails = True
    with pytest.raises(LogFailed), ground.recorder.refusals("export", ME):
        raise NotFound("nothing here")


@given(text=st.text(st.characters(), max_size=600), digest=st.one_of(st.text(max_size=70), st.just("ab" * 32)))
@example(text="\ud800", digest="\udfff")  # JSON can say it, UTF-8 cannot
def test_whatever_a_refused_request_holds_can_be_remembered(text: str, digest: str) -> None:
    from hdex.ledger.event import Action, Decision, Event, canonical

    facts = readable(Facts(contract=text, purpose=text, request_digest=digest))
    event = Event(
        event_id="e",
        time="2026-11-21T22:00:00.000Z",
        node="n",
        action=Action.EXPORT,
        decision=Decision.DENY,
        **facts,
    )
    assert parse(canonical(event)) == event


def test_an_allowed_event_is_not_bent_into_shape(ground: Ground) -> None:
    with pytest.raises(EventInvalid):
        ground.recorder.allow("export", ME, contract="")
    with pytest.raises(EventInvalid):
        ground.recorder.allow("export", ME, result_digest="not a digest")
