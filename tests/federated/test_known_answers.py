"""Masks, openings and shared keys come out as the specifications say, number by number."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from phe.paillier import PaillierPrivateKey, PaillierPublicKey
from tests.vectors import paillier_joint

from hdex.federated.errors import CiphertextInvalid, TooFewContributors
from hdex.federated.paillier import (
    CipherVector,
    Opening,
    PackSpec,
    Partial,
    Share,
    ThresholdKey,
    combine_partials,
    deal,
    mask_integers,
    open_vector,
    partial_decrypt,
    shared_secret,
    verify_opening,
    verify_partial,
)
from hdex.federated.paillier.keys import RandBits
from hdex.federated.paillier.threshold import _interpolated

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "paillier_joint.json").read_text())
P, Q = int(KNOWN["p"], 16), int(KNOWN["q"], 16)
PUBLIC = PaillierPublicKey(P * Q)
VECTOR = CipherVector(PUBLIC, PackSpec(8, 0, 1, 256), 40, 1, tuple(int(c, 16) for c in KNOWN["opening"]["ciphertexts"]))
PLAIN = [int(one, 16) for one in KNOWN["opening"]["plaintexts"]]


def test_the_file_is_what_its_own_script_computes_without_hdex() -> None:
    assert paillier_joint.document() == KNOWN


def test_masks_are_the_known_ones_and_add_to_zero() -> None:
    known = KNOWN["masks"]
    secrets = {site: bytes.fromhex(secret) for site, secret in known["secrets"].items()}
    nine = (9).to_bytes(32, "little")
    roster = {site: shared_secret(secret, nine) for site, secret in secrets.items()}
    found = {
        site: mask_integers(
            site,
            roster,
            lambda peer, own=secret: shared_secret(own, peer),  # type: ignore[misc]  # bound now
            context=bytes.fromhex(known["context"]),
            n=P * Q,
            count=known["count"],
        )
        for site, secret in secrets.items()
    }
    assert found == {site: [int(one, 16) for one in masks] for site, masks in known["masks"].items()}
    assert [sum(column) % (P * Q) for column in zip(*found.values(), strict=True)] == [0] * known["count"]


def test_an_opening_shows_the_known_plaintexts_and_randomness() -> None:
    opening = open_vector(PaillierPrivateKey(PUBLIC, P, Q), VECTOR)
    assert list(opening.plaintexts) == PLAIN
    assert list(opening.randomness) == [int(one, 16) for one in KNOWN["opening"]["randomness"]]
    proof = bytes.fromhex(KNOWN["opening"]["proof"])
    assert opening.to_bytes(PUBLIC) == proof
    verify_opening(VECTOR, Opening.from_bytes(proof, PUBLIC))
    other = Opening((PLAIN[0] + 1, PLAIN[1]), opening.randomness)
    with pytest.raises(CiphertextInvalid):
        verify_opening(VECTOR, other)


def scripted(*numbers: int) -> RandBits:
    """Return randomness that says these numbers, one a call, whatever is asked."""
    said: Iterator[int] = iter(numbers)
    return lambda bits: next(said)


def dealt() -> tuple[ThresholdKey, tuple[Share, ...]]:
    draws = {name: int(value, 16) for name, value in KNOWN["threshold"]["draws"].items()}
    return deal(256, parties=3, threshold=2, randbits=scripted(P, Q, draws["slope"], draws["root"]))


def test_a_dealt_key_has_the_known_shares_and_checks() -> None:
    known = KNOWN["threshold"]
    key, shares = dealt()
    assert int(key.public_key.n) == P * Q
    assert [share.exponent for share in shares] == [int(one, 16) for one in known["shares"]]
    assert (key.base, list(key.checks)) == (int(known["base"], 16), [int(one, 16) for one in known["checks"]])


def test_each_part_is_the_known_one_with_its_proof_and_any_two_open() -> None:
    key, shares = dealt()
    parts = []
    for share, known in zip(shares, KNOWN["threshold"]["parts"], strict=True):
        part = partial_decrypt(key, share, VECTOR, randbits=scripted(int(known["hiding"], 16)))
        assert part.to_bytes(key).hex() == known["bytes"]
        verify_partial(key, VECTOR, Partial.from_bytes(bytes.fromhex(known["bytes"]), key))
        parts.append(part)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        chosen = {part.party: part.powers for part in (parts[one], parts[other])}
        assert _interpolated(key, chosen, len(PLAIN)) == PLAIN


def test_the_known_parts_open_no_sum_of_other_contributors() -> None:
    key, _ = dealt()
    parts = [Partial.from_bytes(bytes.fromhex(one["bytes"]), key) for one in KNOWN["threshold"]["parts"]]
    with pytest.raises(TooFewContributors):
        combine_partials(key, VECTOR, parts, contributors=3)
