"""Masks: they cancel over the whole roster and over nothing less."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.errors import CiphertextInvalid, KeyInvalid, TooFewContributors
from hdex.federated.paillier import (
    PackSpec,
    aggregate,
    decrypt,
    encrypt,
    generate_keypair,
    mask_integers,
    shared_secret,
)
from hdex.federated.paillier.masks import MOST_PEERS, mask_peers

PUBLIC, PRIVATE = generate_keypair(512)
SPEC = PackSpec(32, 8, 8, 512)


class Masker:
    """A roster of sites with their secrets."""

    def __init__(self, sites: int) -> None:
        self._secrets = {f"site-{i}": X25519PrivateKey.generate() for i in range(sites)}
        self.roster = {site: key.public_key().public_bytes_raw() for site, key in self._secrets.items()}

    def masks(self, site: str, context: bytes, count: int = 1) -> list[int]:
        own = self._secrets[site].private_bytes_raw()
        return mask_integers(
            site, self.roster, lambda peer: shared_secret(own, peer), context=context, n=PUBLIC.n, count=count
        )

    def encrypt(self, site: str, value: float, context: bytes):  # type: ignore[no-untyped-def]
        return encrypt(PUBLIC, np.array([value]), SPEC, masks=self.masks(site, context))


@settings(max_examples=20, deadline=None)
@given(sites=st.integers(1, 6), count=st.integers(1, 4), context=st.binary(max_size=40))
def test_masks_of_a_whole_roster_cancel(sites: int, count: int, context: bytes) -> None:
    masker = Masker(sites)
    columns = zip(*(masker.masks(site, context, count) for site in masker.roster), strict=True)
    assert [sum(column) % PUBLIC.n for column in columns] == [0] * count


def test_the_whole_roster_opens_and_every_smaller_set_is_noise() -> None:
    masker = Masker(3)
    vectors = [masker.encrypt(site, 1.0, b"round 1") for site in masker.roster]
    assert decrypt(PRIVATE, aggregate(vectors), contributors=3).tolist() == [3.0]
    for some in (vectors[:1], vectors[1:2], vectors[:2], vectors[1:]):
        for contributors in (1, 2, 3):
            with pytest.raises((TooFewContributors, CiphertextInvalid)):
                decrypt(PRIVATE, aggregate(some), contributors=contributors)


def test_one_sites_ciphertext_alone_is_uniform_noise() -> None:
    masker = Masker(3)
    plain = [PRIVATE.raw_decrypt(masker.encrypt("site-0", 0.0, bytes([i])).ciphertexts[0]) for i in range(64)]
    assert len(set(plain)) == 64
    above = sum(value > PUBLIC.n // 2 for value in plain)
    assert 12 <= above <= 52  # 5 standard deviations: the value 0 gives no hint of itself


def test_a_replay_from_another_round_or_a_doubled_site_is_noise() -> None:
    masker = Masker(3)
    vectors = [masker.encrypt(site, 1.0, b"round 1") for site in masker.roster]
    replayed = [*vectors[:2], masker.encrypt("site-2", 1.0, b"round 2")]
    doubled = [*vectors[:2], vectors[1]]
    for forged in (replayed, doubled):
        with pytest.raises((TooFewContributors, CiphertextInvalid)):
            decrypt(PRIVATE, aggregate(forged), contributors=3)


def test_a_mask_key_that_makes_the_secret_zero_is_refused() -> None:
    own = X25519PrivateKey.generate().private_bytes_raw()
    for public in (bytes(32), b"short"):
        with pytest.raises(KeyInvalid):
            shared_secret(own, public)


def names(count: int) -> list[str]:
    return [f"site-{number:04}" for number in range(count)]


@given(count=st.integers(1, 200))
def test_whom_a_site_draws_with_draws_with_it(count: int) -> None:
    peers = {site: set(mask_peers(site, names(count))) for site in names(count)}
    assert all(site in peers[peer] and peer != site for site in peers for peer in peers[site])
    assert {len(found) for found in peers.values()} == {min(count - 1, MOST_PEERS)}


@pytest.mark.parametrize("count", [66, 67, 131, 300])
def test_no_set_of_63_sites_cuts_the_ring_and_one_of_64_does(count: int) -> None:
    """The worst sets are runs on either side of a few sites; Harary's graph needs 32 in each of two runs."""
    ring = names(count)
    peers = {site: set(mask_peers(site, ring)) for site in ring}

    def parts(taken: set[str]) -> int:
        left, found = set(ring) - taken, 0
        while left:
            found, edge = found + 1, {left.pop()}
            while edge:
                edge = set.union(*(peers[site] for site in edge)) & left
                left -= edge
        return found

    half = MOST_PEERS // 2
    for island in (1, 2, (count - MOST_PEERS) // 2):
        wall = set(ring[:half]) | {ring[(half + island + step) % count] for step in range(half)}
        if len(wall) < MOST_PEERS or count - len(wall) <= island:
            continue
        assert parts(wall) == 2
        assert all(parts(wall - {site}) == 1 for site in wall)


def test_masks_of_a_large_roster_cancel_and_a_subset_is_noise() -> None:
    masker = Masker(70)
    drawn = {site: masker.masks(site, b"round 1")[0] for site in masker.roster}
    assert sum(drawn.values()) % PUBLIC.n == 0
    some = sum(mask for site, mask in drawn.items() if site != "site-7") % PUBLIC.n
    assert min(some, PUBLIC.n - some).bit_length() > 400
