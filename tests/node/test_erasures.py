"""Orders of a hospital's people: two names to erase, the officer's to hold, an event for each, and no trace of whom."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.node.market_stage import BUYER, NOW, OFFICER, STEWARD, Ground, Market, person

from hdex.ledger.erasure import Eraser
from hdex.ledger.errors import DetailErased, ErasureRefused
from hdex.ledger.retention import shipped
from hdex.node.errors import AccessDenied, RequestInvalid, SignatureInvalid, describe
from hdex.node.hospital.erasures import PENDING, Erasures
from hdex.node.hospital.staff import Staff
from hdex.node.identity import Identity
from hdex.node.keys import KeyKind, MemoryKeys
from hdex.node.signed import sign

ME = person(BUYER)
LATER = NOW + timedelta(days=6 * 366)
PEOPLE = {role: MemoryKeys({"sign": KeyKind.ED25519}) for role in ("data_steward", "privacy_officer")}
ERASE_ME = {"name": "request 17", "scope": {"actor": ME.spiffe_id}}


class Desk:
    """One hospital whose people sign."""

    def __init__(self, ground: Ground, now: datetime) -> None:
        self.ground = ground
        staff = Staff("hospital-a", {role: keys.public("sign") for role, keys in PEOPLE.items()})
        self.erasures = Erasures(
            staff, ground.documents, Eraser(ground.details, shipped(), lambda: now), ground.recorder
        )

    def order(self, kind: str, document: dict[str, Any], actor: Identity, signer: str = "") -> dict[str, Any]:
        key = PEOPLE[signer or actor.role].secret("sign")
        envelope = sign(kind, document, f"hospital-a/{signer or actor.role}", key)
        return self.erasures.order(kind, envelope, actor=actor)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ground = Market(tmp_path).grounds["hospital-a"]
    ground.recorder.allow("export", ME, product="stents")
    return ground


def test_two_names_erase_and_the_event_says_so_without_saying_whom(ground: Ground) -> None:
    desk = Desk(ground, LATER)
    (event,) = ground.events()
    pending = desk.order("erasure", ERASE_ME, STEWARD)
    assert (pending["state"], pending["details"]) == ("erasure.pending", 1)
    assert ground.details.open(event.event_id).actor == ME.spiffe_id
    done = desk.order("erasure", ERASE_ME, OFFICER)
    assert (done["state"], done["order"]) == ("erased", pending["order"])
    with pytest.raises(DetailErased):
        ground.details.open(event.event_id)
    last = ground.events()[-1]
    assert (last.action, last.rows, last.request_digest) == ("erasure.apply", 1, done["order"])
    assert ground.documents.all(PENDING) == []
    assert ME.spiffe_id.encode() not in b"".join(ground.log.entries(0, ground.log.size))
    assert ground.log.check() == ground.log.size


def test_one_name_is_not_enough(ground: Ground) -> None:
    desk = Desk(ground, LATER)
    with pytest.raises(AccessDenied) as refused:
        desk.order("erasure", ERASE_ME, OFFICER)
    assert refused.value.rule == "erasure.second"
    desk.order("erasure", ERASE_ME | {"name": "other words"}, STEWARD)
    with pytest.raises(AccessDenied):
        desk.order("erasure", ERASE_ME, OFFICER)
    desk.order("erasure", ERASE_ME, STEWARD)
    with pytest.raises(SignatureInvalid):
        desk.order("erasure", ERASE_ME, OFFICER, signer="data_steward")
    assert len(ground.details.of_actor(ME.spiffe_id)) == 1
    assert ("erasure.apply", "erasure.second") in ground.refusals()


@pytest.mark.parametrize(
    ("kind", "actor"),
    [
        ("erasure", person("hospital-a", "ethics_committee")),
        ("hold.place", STEWARD),
        ("hold.lift", STEWARD),
        ("erasure", person("hospital-a")),
    ],
)
def test_only_who_may_orders(ground: Ground, kind: str, actor: Identity) -> None:
    with pytest.raises(AccessDenied) as refused:
        Desk(ground, LATER).order(kind, ERASE_ME, actor, signer="privacy_officer")
    assert refused.value.rule == f"{kind}.role"


def test_before_the_term_and_under_a_hold_the_refusal_says_rule_and_next_step(ground: Ground) -> None:
    with pytest.raises(ErasureRefused) as early:
        Desk(ground, NOW).order("erasure", ERASE_ME, STEWARD)
    told = describe(early.value)
    assert (told.status, told.rule) == ("FAILED_PRECONDITION", "retention.provision.us")
    assert "2032-11-21" in told.next_step
    desk = Desk(ground, LATER)
    case = {"name": "case 4", "scope": {"product": "stents"}}
    assert desk.order("hold.place", case, OFFICER)["holds"] == ["case 4"]
    with pytest.raises(ErasureRefused) as held:
        desk.order("erasure", ERASE_ME, STEWARD)
    assert describe(held.value).rule == "retention.hold"
    assert desk.order("hold.lift", case, OFFICER)["holds"] == []
    desk.order("erasure", ERASE_ME, STEWARD)
    actions = [event.action for event in ground.events() if event.decision == "allow"]
    assert actions == ["export", "hold.place", "hold.lift"]


def test_a_hold_that_comes_between_the_two_names_keeps(ground: Ground) -> None:
    desk = Desk(ground, LATER)
    desk.order("erasure", ERASE_ME, STEWARD)
    desk.order("hold.place", {"name": "case 4", "scope": {}}, OFFICER)
    with pytest.raises(ErasureRefused):
        desk.order("erasure", ERASE_ME, OFFICER)
    assert len(ground.details.of_actor(ME.spiffe_id)) == 1


@pytest.mark.parametrize("document", [{}, {"name": ""}, {"name": 1}, {"name": "x" * 201}])
def test_an_order_without_a_name_is_refused(ground: Ground, document: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        Desk(ground, LATER).order("erasure", document, STEWARD)
