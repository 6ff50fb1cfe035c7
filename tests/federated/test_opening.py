"""Verifiable decryption: what the key holder says of a sum can be checked by whoever has no key."""

from dataclasses import replace

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phe.paillier import PaillierPublicKey
from tests.federated.samples import keypair

from hdex.federated.errors import CiphertextInvalid, TooFewContributors
from hdex.federated.paillier import (
    CipherVector,
    Opening,
    PackSpec,
    aggregate,
    decrypt,
    encrypt,
    generate_keypair,
    open_vector,
    opened_sums,
    verify_opening,
)

PUBLIC, PRIVATE = generate_keypair(512)
OTHER_PUBLIC, OTHER_PRIVATE = generate_keypair(512)
SPEC = PackSpec(value_bits=24, fraction_bits=8, max_weight=4, modulus_bits=512)
N = int(PUBLIC.n)
numbers = st.lists(st.floats(-8000, 8000), min_size=1, max_size=60)


def summed(*values: list[float]) -> CipherVector:
    return aggregate([encrypt(PUBLIC, np.array(one), SPEC) for one in values])


@given(numbers, st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_an_opened_sum_is_the_decrypted_one(values: list[float], contributors: int) -> None:
    vector = summed(*[values] * contributors)
    opening = Opening.from_bytes(open_vector(PRIVATE, vector).to_bytes(PUBLIC), PUBLIC)
    found = opened_sums(vector, opening, contributors=contributors)
    assert found.tolist() == decrypt(PRIVATE, vector, contributors=contributors).tolist()
    for c, m, r in zip(vector.ciphertexts, opening.plaintexts, opening.randomness, strict=True):
        assert c == (1 + m * N) * gmpy2.powmod(r, N, N * N) % (N * N)


def test_the_opened_randomness_is_the_product_of_the_parties_own() -> None:
    """Independent of our encryption: phe encrypts with a given r, the sum's randomness is the product."""
    first, second = 0x1234567890ABCDEF, 0xFEDCBA987654321F
    raw = [PUBLIC.raw_encrypt(5, r_value=first), PUBLIC.raw_encrypt(7, r_value=second)]
    vector = CipherVector(PUBLIC, SPEC, 1, 2, (raw[0] * raw[1] % (N * N),))
    assert open_vector(PRIVATE, vector) == Opening((12,), (first * second % N,))


def test_a_real_key_opens_and_verifies() -> None:
    public, private = keypair()
    vector = encrypt(public, np.arange(200.0), PackSpec(32, 8, 1, 2048))
    found = opened_sums(vector, open_vector(private, vector), contributors=1)
    assert found.tolist() == list(range(200))


@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("field", ["plaintexts", "randomness"])
@pytest.mark.parametrize("change", [1, -1, 1 << 24])
def test_any_other_plaintext_or_randomness_is_refused(at: int, field: str, change: int) -> None:
    vector = summed([float(n) for n in range(60)])
    opening = open_vector(PRIVATE, vector)
    changed = list(getattr(opening, field))
    changed[at] = (changed[at] + change) % N
    with pytest.raises(CiphertextInvalid):
        verify_opening(vector, replace(opening, **{field: tuple(changed)}))


def test_two_plaintexts_cannot_be_exchanged_or_balanced() -> None:
    """A batch with fixed weights would let the errors of two slots cancel."""
    vector = summed([float(n) for n in range(60)])
    opening = open_vector(PRIVATE, vector)
    swapped = (opening.plaintexts[1], opening.plaintexts[0], *opening.plaintexts[2:])
    moved = (opening.plaintexts[0] + 1, opening.plaintexts[1] - 1, *opening.plaintexts[2:])
    for plaintexts in (swapped, moved):
        with pytest.raises(CiphertextInvalid, match="not that of its ciphertext"):
            verify_opening(vector, replace(opening, plaintexts=plaintexts))


@pytest.mark.parametrize(
    "forged",
    [
        Opening((), ()),
        Opening((1,), (1, 1)),
        Opening((N,), (1,)),
        Opening((-1,), (1,)),
        Opening((1,), (0,)),
        Opening((1,), (N + 1,)),
        Opening((1,), (int(PRIVATE.p),)),
    ],
)
def test_an_opening_of_the_wrong_shape_or_range_is_refused(forged: Opening) -> None:
    with pytest.raises(CiphertextInvalid):
        verify_opening(summed([1.0]), forged)


def test_another_key_opens_nothing() -> None:
    vector = summed([1.0])
    with pytest.raises(CiphertextInvalid, match="another key"):
        open_vector(OTHER_PRIVATE, vector)
    foreign = encrypt(OTHER_PUBLIC, np.array([1.0]), SPEC)
    with pytest.raises(CiphertextInvalid):
        verify_opening(vector, open_vector(OTHER_PRIVATE, foreign))


def test_the_count_slot_still_decides() -> None:
    vector = summed([1.0], [2.0])
    with pytest.raises(TooFewContributors):
        opened_sums(vector, open_vector(PRIVATE, vector), contributors=3)


@pytest.mark.parametrize("cut", [0, 3, 8, 70, -1])
def test_bytes_that_are_no_opening_are_refused(cut: int) -> None:
    data = open_vector(PRIVATE, summed([1.0])).to_bytes(PUBLIC)
    for broken in (data[:cut], b"HPO2" + data[4:], data + b"\0"):
        with pytest.raises(CiphertextInvalid):
            Opening.from_bytes(broken, PUBLIC)


def test_an_opening_says_no_number_in_its_repr() -> None:
    public: PaillierPublicKey = PUBLIC
    opening = open_vector(PRIVATE, encrypt(public, np.array([3.0]), SPEC))
    assert repr(opening) == "Opening()"
