"""A shared key is dealt once, signed, sealed to each party, and no number of it can change unnoticed."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federated.samples import SITES, Consortium, consortium, safe_primes, with_shared_key

from hdex.federated.dealing import deal_key, dealt_bytes, open_share, shared, threshold_key
from hdex.federated.draft import Question
from hdex.federated.errors import DecryptRefused, KeyInvalid, StudyInvalid
from hdex.federated.keyholder import KeyHolder
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Dealt, Study, Threshold

SIGNER = Ed25519PrivateKey.generate()


def dealer(store: MemoryStore | None = None) -> KeyHolder:
    kept = MemoryStore() if store is None else store
    return KeyHolder(
        kept, admit=lambda s, e: None, bits=2048, sign=SIGNER.sign, randbits=safe_primes()
    )  # the same primes at every restart: a second deal would still be told by its shares


@cache
def party() -> Consortium:
    return with_shared_key(consortium(question=Question("", ("age",), "DUO:0000006", kind="count")))


def mask_keys(study: Study) -> dict[str, bytes]:
    return {one.site: bytes.fromhex(one.mask_key) for one in study.roster}


def signed_study() -> Study:
    study = party().study
    key = dealer().deal_key(study.id, mask_keys(study), 2)
    return shared(study, Threshold(SITES, 2), key)


def test_a_key_is_dealt_once_and_the_dealer_keeps_nothing_that_opens() -> None:
    store, keys = MemoryStore(), mask_keys(party().study)
    key = dealer(store).deal_key("study-1", keys, 2)
    assert dealer(store).deal_key("study-1", keys, 2) == key
    assert dealer().deal_key("study-1", keys, 2) != key
    for others, needed in ((keys | {"hospital-x": bytes(31) + b"\x09"}, 3), (keys, 3)):
        with pytest.raises(DecryptRefused) as caught:
            dealer(store).deal_key("study-1", others, needed)
        assert caught.value.rule == "key_dealt"
    assert set(store._values) == {"dealt/study-1"}
    study = shared(party().study, Threshold(SITES, 2), key)
    for site in SITES:
        share = open_share(study, site, party().sites[site].shared_secret)
        assert f"{share.exponent:x}".encode() not in (store.get("dealt/study-1") or b"")


@pytest.mark.parametrize("needed", [0, 1, 4])
def test_a_key_is_not_dealt_so_that_one_opens_or_nobody(needed: int) -> None:
    with pytest.raises(StudyInvalid):
        dealer().deal_key("study-1", mask_keys(party().study), needed)


def test_each_share_opens_for_its_party_alone() -> None:
    study = party().study
    exponents = {open_share(study, site, party().sites[site].shared_secret).exponent for site in SITES}
    assert len(exponents) == len(SITES)
    for other in SITES[1:]:
        with pytest.raises(KeyInvalid):
            open_share(study, SITES[0], party().sites[other].shared_secret)
    with pytest.raises(StudyInvalid):
        open_share(study, "hospital-x", party().sites[SITES[0]].shared_secret)


def flip(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


Change = Callable[[Study, Dealt], Study]
CHANGES: dict[str, Change] = {
    "base": lambda s, d: replace(s, dealt=replace(d, base=flip(d.base))),
    "a check": lambda s, d: replace(s, dealt=replace(d, checks=(flip(d.checks[0]), *d.checks[1:]))),
    "a share": lambda s, d: replace(s, dealt=replace(d, shares=(flip(d.shares[0]), *d.shares[1:]))),
    "shares exchanged": lambda s, d: replace(s, dealt=replace(d, shares=d.shares[::-1])),
    "how many": lambda s, d: replace(s, threshold=Threshold(SITES, 3)),
    "the study": lambda s, d: replace(s, id="study-2"),
    "the signature": lambda s, d: replace(s, dealt=replace(d, signature=flip(d.signature))),
    "no signature": lambda s, d: replace(s, dealt=replace(d, signature="")),
}


@pytest.mark.parametrize("case", CHANGES)
def test_the_dealers_signature_covers_every_field(case: str) -> None:
    study = signed_study()
    assert study.dealt is not None
    SIGNER.public_key().verify(bytes.fromhex(study.dealt.signature), dealt_bytes(study))
    changed = CHANGES[case](study, study.dealt)
    assert changed.dealt is not None
    with pytest.raises(InvalidSignature):
        SIGNER.public_key().verify(bytes.fromhex(changed.dealt.signature), dealt_bytes(changed))


def test_another_modulus_than_the_signed_one_is_told() -> None:
    study, other = signed_study(), deal_key(mask_keys(party().study), 2, bits=2048, randbits=safe_primes())
    changed = replace(shared(study, Threshold(SITES, 2), other), id=study.id)
    assert dealt_bytes(changed) != dealt_bytes(study)


@pytest.mark.parametrize("base", ["0", "1", "f" * 2000])
def test_numbers_out_of_range_make_no_key(base: str) -> None:
    study = party().study
    assert study.dealt is not None
    with pytest.raises(KeyInvalid):
        threshold_key(replace(study, dealt=replace(study.dealt, base=base)))


def test_what_is_no_shared_key_has_none() -> None:
    plain: Any = consortium().study
    for action in (threshold_key, dealt_bytes):
        with pytest.raises(StudyInvalid):
            action(plain)
    with pytest.raises(StudyInvalid):
        open_share(plain, SITES[0], lambda peer: bytes(32))
