"""Threshold decryption: any t parties open, fewer cannot, and who answers with another share is named."""

import itertools
import secrets
from dataclasses import replace
from functools import cache

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.errors import CiphertextInvalid, KeyInvalid, TooFewContributors
from hdex.federated.paillier import (
    CipherVector,
    PackSpec,
    Partial,
    Share,
    ThresholdKey,
    aggregate,
    combine_partials,
    deal,
    encrypt,
    partial_decrypt,
    verify_partial,
)
from hdex.federated.paillier.threshold import _interpolated, _lagrange

BITS, PARTIES, THRESHOLD = 512, 5, 3
SPEC = PackSpec(value_bits=24, fraction_bits=8, max_weight=4, modulus_bits=BITS)


@cache
def dealt() -> tuple[ThresholdKey, tuple[Share, ...]]:
    return deal(BITS, parties=PARTIES, threshold=THRESHOLD)


def vector(*values: list[float]) -> CipherVector:
    key, _ = dealt()
    return aggregate([encrypt(key.public_key, np.array(one), SPEC) for one in values])


def answers(of: CipherVector) -> list[Partial]:
    key, shares = dealt()
    return [partial_decrypt(key, share, of) for share in shares]


@given(st.lists(st.floats(-8000, 8000), min_size=1, max_size=40), st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_the_parties_open_what_was_summed(values: list[float], contributors: int) -> None:
    key, _ = dealt()
    summed = vector(*[values] * contributors)
    found = combine_partials(key, summed, answers(summed), contributors=contributors)
    assert found.tolist() == [contributors * round(value * 256) / 256 for value in values]


def test_every_choice_of_enough_parties_opens_the_same() -> None:
    key, _ = dealt()
    summed = vector([1.5, -2.25], [3.0, 4.0])
    parts = answers(summed)
    for chosen in itertools.combinations(parts, THRESHOLD):
        assert combine_partials(key, summed, chosen, contributors=2).tolist() == [4.5, 1.75]
    with pytest.raises(TooFewContributors, match="2 parties answered; 3 of 5"):
        combine_partials(key, summed, parts[: THRESHOLD - 1], contributors=2)
    with pytest.raises(TooFewContributors):
        combine_partials(key, summed, [parts[0]] * THRESHOLD, contributors=2)


def test_too_few_parties_interpolate_to_noise() -> None:
    """The mathematics refuses, not only the check above it."""
    key, _ = dealt()
    summed = vector([1.0])
    powers = {part.party: part.powers for part in answers(summed)[: THRESHOLD - 1]}
    with pytest.raises(CiphertextInvalid, match="do not combine"):
        _interpolated(key, powers, 1)


@pytest.mark.parametrize(("parties", "threshold"), [(1, 1), (2, 1), (2, 2), (4, 4)])
def test_other_numbers_of_parties(parties: int, threshold: int) -> None:
    key, shares = deal(256, parties=parties, threshold=threshold)
    spec = PackSpec(16, 2, 2, 256)
    one = encrypt(key.public_key, np.array([7.25, -1.0]), spec)
    parts = [partial_decrypt(key, share, one) for share in shares[-threshold:]]
    assert combine_partials(key, one, parts, contributors=1).tolist() == [7.25, -1.0]


@pytest.mark.parametrize(
    ("parties", "threshold", "bits"), [(0, 0, 512), (3, 4, 512), (3, 0, 512), (65, 2, 512), (3, 2, 128), (3, 2, 513)]
)
def test_numbers_that_make_no_scheme_are_refused(parties: int, threshold: int, bits: int) -> None:
    with pytest.raises(KeyInvalid):
        deal(bits, parties=parties, threshold=threshold)


def test_the_primes_are_safe_and_the_lagrange_coefficients_whole() -> None:
    key, _ = dealt()
    assert int(key.public_key.n).bit_length() == BITS
    for parties in itertools.combinations(range(1, PARTIES + 1), THRESHOLD):
        total = sum(_lagrange(party, parties, key.delta) for party in parties)
        assert total == key.delta  # they interpolate a constant to itself


FORGED = {
    "another share": lambda part: replace(part, powers=tuple(p + 1 for p in part.powers)),
    "one power inverted": lambda part: replace(
        part, powers=(int(gmpy2.invert(part.powers[0], n2())), *part.powers[1:])
    ),
    "two powers exchanged": lambda part: replace(part, powers=(part.powers[1], part.powers[0], *part.powers[2:])),
    "another party": lambda part: replace(part, party=part.party % PARTIES + 1),
    "no party": lambda part: replace(part, party=0),
    "a power too few": lambda part: replace(part, powers=part.powers[:-1]),
    "another response": lambda part: replace(part, response=part.response + 1),
    "a negative response": lambda part: replace(part, response=-1),
    "another challenge": lambda part: replace(part, challenge=part.challenge ^ 1),
    "a huge challenge": lambda part: replace(part, challenge=1 << 300),
}


def n2() -> int:
    return int(dealt()[0].public_key.n) ** 2


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_part_is_refused(kind: str) -> None:
    key, _ = dealt()
    summed = vector([float(n) for n in range(50)])
    parts = answers(summed)
    for part in parts:
        verify_partial(key, summed, part)
    forged = FORGED[kind](parts[0])
    with pytest.raises(CiphertextInvalid):
        verify_partial(key, summed, forged)
    others = [part for part in parts if part.party != forged.party]
    with pytest.raises(CiphertextInvalid):
        combine_partials(key, summed, [forged, *others], contributors=1)


def test_a_part_of_another_vector_or_share_is_refused() -> None:
    key, shares = dealt()
    first, second = vector([1.0]), vector([1.0])
    with pytest.raises(CiphertextInvalid, match="proof of party 1 does not hold"):
        verify_partial(key, second, partial_decrypt(key, shares[0], first))
    stolen = Share(1, shares[1].exponent)
    with pytest.raises(CiphertextInvalid, match="proof of party 1 does not hold"):
        verify_partial(key, first, partial_decrypt(key, stolen, first))
    other, _ = deal(256, parties=2, threshold=2)
    with pytest.raises(CiphertextInvalid, match="another key"):
        verify_partial(other, first, partial_decrypt(key, shares[0], first))


def test_a_share_is_kept_as_bytes_and_says_nothing_of_itself() -> None:
    share = Share(2, secrets.randbits(400))
    assert Share.from_bytes(share.to_bytes()) == share
    assert repr(share) == "Share(party=2)"
    for broken in (b"", b"{}", b'{"party": 1, "exponent": "xyz"}', b"[]"):
        with pytest.raises(KeyInvalid):
            Share.from_bytes(broken)
