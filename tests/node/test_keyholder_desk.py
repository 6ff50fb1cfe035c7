"""The key holder answers the coordinator of the directory, for rosters of the directory, and remembers each answer."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import DEADLINE, SITES, keypair, safe_primes
from tests.node.market_stage import EXCHANGE, NOW, Market

from hdex.federated.dealing import dealt_bytes, open_share, shared
from hdex.federated.errors import DecryptRefused, FederatedError
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes, public_key_hex, shared_secret
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Party, RosterEntry, Study, Threshold
from hdex.ledger.errors import LogFailed
from hdex.node.errors import NodeError, SignatureInvalid
from hdex.node.keyholder import SumDesk, admit_by
from hdex.node.signed import Envelope, sign


class Desk:
    """A key holder with one key, and a study an honest coordinator would send."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder)
        self.ground = self.market.grounds["keyholder"]
        self.store = MemoryStore()
        self.store.put("key/study-1", private_key_to_bytes(keypair()[1]))
        self.signer = Ed25519PrivateKey.from_private_bytes(self.market.keys["keyholder"].secret("sign"))
        admit = admit_by(self.market.directory, "exchange")
        holder = KeyHolder(
            self.store, admit=admit, bits=2048, clock=lambda: NOW, sign=self.signer.sign, randbits=safe_primes()
        )
        self.desk = SumDesk(holder, self.ground.recorder, self.market.directory)

    def study(self) -> Study:
        from hdex.federated.draft import Member, Question, draft_study

        member = self.market.directory.member
        entries = [
            RosterEntry(name, member(name).organisation, member(name).sign_key.hex(), member(name).mask_key.hex())
            for name in SITES
        ]
        return draft_study(
            "study-1",
            Question("y", ("x",), "DUO:0000007"),
            [Member(entry, "c-1", ("p", "1.0.0", "00" * 32)) for entry in entries],
            coordinator=Party("exchange", "exchange org"),
            keyholder=Party("keyholder", "keyholder org"),
            public_key=public_key_hex(keypair()[0]),
            deadline=DEADLINE,
            nonce="00" * 16,
        )

    def signed(self, study: Study, signer: str = "exchange") -> Envelope:
        return sign("study", study.document(), signer, self.market.keys[signer].secret("sign"))

    def refused(self, envelope: Envelope) -> str:
        with pytest.raises(FederatedError) as refusal:
            self.desk.open_sum(envelope, 1, [b"one", b"two", b"three"], EXCHANGE)
        assert [event.decision for event in self.ground.events()] == ["deny"]
        return refusal.value.rule if isinstance(refusal.value, DecryptRefused) else type(refusal.value).__name__


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


Change = Callable[[Study], Study]
CHANGES: dict[str, tuple[Change, str]] = {
    "another coordinator": (lambda s: replace(s, coordinator=Party("exchange-2", "x")), "study_coordinator"),
    "another mask key": (
        lambda s: replace(s, roster=(replace(s.roster[0], mask_key="07" * 32), *s.roster[1:])),
        "roster_keys",
    ),
    "another sign key": (
        lambda s: replace(s, roster=(replace(s.roster[0], sign_key="07" * 32), *s.roster[1:])),
        "roster_keys",
    ),
    "another organisation": (
        lambda s: replace(s, roster=(replace(s.roster[0], organisation="invented"), *s.roster[1:])),
        "roster_keys",
    ),
    "a key made elsewhere": (lambda s: replace(s, id="study-2"), "unknown_key"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_study_that_is_not_the_directorys_is_refused_and_remembered(desk: Desk, case: str) -> None:
    change, rule = CHANGES[case]
    assert desk.refused(desk.signed(change(desk.study()))) == rule


@pytest.mark.parametrize("signer", ["buyer-heartline", "hospital-a", "keyholder"])
def test_only_the_coordinator_asks(desk: Desk, signer: str) -> None:
    assert desk.refused(desk.signed(desk.study(), signer)) == "study_signature"


def test_contributions_that_are_none_are_refused_and_remembered(desk: Desk) -> None:
    assert desk.refused(desk.signed(desk.study())) == "digest"


@pytest.mark.parametrize("document", [{}, {"id": 7}, {"id": "study-1", "kind": ["logistic"]}, {"x": float("nan")}])
def test_what_is_no_study_is_refused_and_remembered(desk: Desk, document: dict[str, Any]) -> None:
    envelope = {"document": document, "signatures": []}
    with pytest.raises((FederatedError, SignatureInvalid)):
        desk.desk.open_sum(envelope, 1, [], EXCHANGE)
    assert [event.decision for event in desk.ground.events()] == ["deny"]


@pytest.mark.parametrize("study_id", ["", "../x", "a b", "x" * 500, "\x00"])
def test_a_key_is_made_only_for_what_can_be_a_study(desk: Desk, study_id: str) -> None:
    with pytest.raises(DecryptRefused):
        desk.desk.create_key(study_id, EXCHANGE)
    assert desk.ground.refusals() == [("key.create", "study.id")]


def test_a_key_is_remembered_before_it_is_told(desk: Desk) -> None:
    assert desk.desk.create_key("study-1", EXCHANGE) == public_key_hex(keypair()[0])
    desk.ground.store.fails = True
    with pytest.raises(LogFailed):
        desk.desk.create_key("study-3", EXCHANGE)
    assert desk.store.get("key/study-3") is None


def test_no_event_of_the_key_holder_holds_a_key(desk: Desk) -> None:
    desk.desk.create_key("study-1", EXCHANGE)
    leaf = desk.ground.log.entries(0, 1)[0]
    assert public_key_hex(keypair()[0])[:32].encode() not in leaf
    assert json.loads(leaf)["action"] == "key.create"


def test_a_shared_key_is_sealed_to_the_directorys_keys_and_signed(desk: Desk) -> None:
    key = desk.desk.deal_key("study-1", SITES, 2, EXCHANGE)
    study = shared(desk.study(), Threshold(SITES, 2), key)
    desk.signer.public_key().verify(bytes.fromhex(key.dealt.signature), dealt_bytes(study))
    for site in SITES:
        own = desk.market.keys[site].secret("mask")
        assert open_share(study, site, partial(shared_secret, own)).party == SITES.index(site) + 1
    assert [event.action.value for event in desk.ground.events()] == ["key.create"]
    with pytest.raises(DecryptRefused) as caught:
        desk.desk.open_sum(desk.signed(study), 1, [], EXCHANGE)
    assert caught.value.rule == "unknown_key"  # who dealt it cannot open


@pytest.mark.parametrize("parties", [("hospital-a", "hospital-x"), ("buyer-heartline", "hospital-a")])
def test_a_share_is_dealt_to_hospitals_of_the_directory_alone(desk: Desk, parties: tuple[str, ...]) -> None:
    with pytest.raises(NodeError):
        desk.desk.deal_key("study-1", parties, 2, EXCHANGE)
    assert [event.decision for event in desk.ground.events()] == ["deny"]
    assert desk.store.get("dealt/study-1") is None
