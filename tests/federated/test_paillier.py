"""Paillier: known answers, bounds of the packing, what a forger may alter."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phe.paillier import PaillierPrivateKey, PaillierPublicKey
from tests.federated.samples import keypair

from hdex.federated.errors import CiphertextInvalid, KeyInvalid, TooFewContributors, ValueOutOfRange
from hdex.federated.paillier import (
    CipherVector,
    FixedBase,
    PackSpec,
    Textbook,
    aggregate,
    check_public_key,
    decrypt,
    encrypt,
    generate_keypair,
    key_id,
    obfuscator_for,
    private_key_from_bytes,
    private_key_to_bytes,
    public_key_from_hex,
    public_key_hex,
    window_for,
)
from hdex.federated.paillier.packing import pack, to_integers, unpack

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "paillier.json").read_text())
SMALL_PUBLIC, SMALL_PRIVATE = generate_keypair(512)
SMALL = PackSpec(value_bits=24, fraction_bits=8, max_weight=4, modulus_bits=512)


class GivenResidue:
    """The residue of a published r."""

    def __init__(self, r: int, n: int) -> None:
        self._residue = gmpy2.powmod(r, n, n * n)

    def residues(self, count: int) -> list[Any]:
        return [self._residue] * count


@pytest.mark.parametrize("case", VECTORS["raw"])
def test_a_published_plaintext_and_r_give_the_published_ciphertext(case: dict[str, int]) -> None:
    public = PaillierPublicKey(case["n"])
    spec = PackSpec(4, 0, 1, case["n"].bit_length())
    packed = int(pack([0], spec)[0])
    vector = encrypt(
        public,
        np.zeros(1),
        spec,
        obfuscator=GivenResidue(case["r"], case["n"]),
        masks=[case["m"] - packed],  # the mask turns our packed plaintext into the published one
    )
    assert vector.ciphertexts == (case["c"],)
    private = PaillierPrivateKey(public, case["p"], case["q"])
    assert private.raw_decrypt(case["c"]) == case["m"]


@pytest.mark.parametrize("case", VECTORS["packing"])
def test_packing_puts_signed_digits_where_the_page_says(case: dict[str, Any]) -> None:
    spec = PackSpec(case["value_bits"], case["fraction_bits"], case["max_weight"], case["modulus_bits"])
    plaintexts = pack(to_integers(np.array(case["values"]), spec), spec)
    assert [str(m) for m in plaintexts] == case["plaintexts"]


@pytest.mark.parametrize(("bits", "modulus", "slots"), [(24, 2048, 60), (24, 3072, 90), (32, 2048, 48), (32, 3072, 73)])
def test_slots_for_1024_parties_are_those_of_the_design(bits: int, modulus: int, slots: int) -> None:
    assert PackSpec(bits, 0, 1024, modulus).slots == slots


@st.composite
def contributions(draw: st.DrawFn) -> tuple[PackSpec, list[list[int]], list[int]]:
    """Draw an encoding with integers at and near its bounds, and weights that use it up."""
    bits, weights = draw(st.integers(2, 40)), draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    spec = PackSpec(bits, 0, sum(weights), 512)
    number = st.one_of(st.sampled_from([spec.limit, -spec.limit, 0]), st.integers(-spec.limit, spec.limit))
    length = draw(st.integers(1, 2 * spec.slots + 1))
    rows = [draw(st.lists(number, min_size=length, max_size=length)) for _ in weights]
    return spec, rows, weights


@settings(max_examples=60, deadline=None)
@given(contributions())
def test_packed_sums_are_the_integer_sums_up_to_every_bound(case: tuple[PackSpec, list[list[int]], list[int]]) -> None:
    spec, rows, weights = case
    n = (1 << 511) + 1  # the smallest modulus of that length leaves the least room
    packed = [pack(row, spec, weight=weight) for row, weight in zip(rows, weights, strict=True)]
    residues = [int(sum(column)) % n for column in zip(*packed, strict=True)]
    expected = [sum(w * row[i] for row, w in zip(rows, weights, strict=True)) for i in range(len(rows[0]))]
    total = unpack(residues, n, spec, length=len(rows[0]), contributors=len(rows))
    assert total.tolist() == expected


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.floats(-30000, 30000), min_size=3, max_size=3), min_size=1, max_size=4))
def test_an_encrypted_sum_is_off_by_at_most_half_a_step_per_contributor(rows: list[list[float]]) -> None:
    vectors = [encrypt(SMALL_PUBLIC, np.array(row), SMALL) for row in rows]
    total = decrypt(SMALL_PRIVATE, aggregate(vectors), contributors=len(rows))
    assert np.abs(total - np.sum(rows, axis=0)).max() <= len(rows) * 2.0**-9 + 1e-9


def test_phe_opens_what_we_encrypt_and_we_open_what_phe_encrypts() -> None:
    public, private = keypair()
    spec = PackSpec(40, 20, 3, 2048)
    packed = int(pack(to_integers(np.array([1.5, -2.25]), spec), spec)[0])
    ours = encrypt(public, np.array([1.5, -2.25]), spec)
    assert private.raw_decrypt(ours.ciphertexts[0]) == packed % public.n
    theirs = CipherVector(public, spec, 2, 1, (public.raw_encrypt(packed),))
    assert decrypt(private, aggregate([ours, theirs]), contributors=2).tolist() == [3.0, -4.5]


@pytest.mark.parametrize("value", [32768.0, -32768.0, float("inf"), float("-inf"), 1e300])
def test_a_value_out_of_range_raises_or_saturates(value: float) -> None:
    with pytest.raises(ValueOutOfRange, match="position 1") as caught:
        encrypt(SMALL_PUBLIC, np.array([0.0, value]), SMALL)
    assert "32768" not in str(caught.value)
    vector = encrypt(SMALL_PUBLIC, np.array([0.0, value]), SMALL, clip="saturate")
    largest = SMALL.limit / 256
    assert decrypt(SMALL_PRIVATE, vector, contributors=1)[1] == (largest if value > 0 else -largest)


def test_what_is_not_a_number_never_fits() -> None:
    with pytest.raises(ValueOutOfRange):
        encrypt(SMALL_PUBLIC, np.array([float("nan")]), SMALL, clip="saturate")


def test_weights_multiply_and_are_bounded() -> None:
    vector = encrypt(SMALL_PUBLIC, np.array([1.5]), SMALL, weight=3)
    total = aggregate([vector, encrypt(SMALL_PUBLIC, np.array([1.0]), SMALL)])
    assert decrypt(SMALL_PRIVATE, total, contributors=2).tolist() == [5.5]
    with pytest.raises(ValueOutOfRange, match="max_weight 4"):
        aggregate([vector, vector])
    with pytest.raises(ValueOutOfRange):
        encrypt(SMALL_PUBLIC, np.array([1.5]), SMALL, weight=5)


def test_the_count_slot_must_equal_the_roster() -> None:
    vector = encrypt(SMALL_PUBLIC, np.array([1.0]), SMALL)
    total = aggregate([vector, vector])
    for contributors in (1, 3):
        with pytest.raises(TooFewContributors):
            decrypt(SMALL_PRIVATE, total, contributors=contributors)


def test_vectors_of_other_keys_encodings_or_lengths_are_not_added() -> None:
    vector = encrypt(SMALL_PUBLIC, np.array([1.0]), SMALL)
    other = encrypt(generate_keypair(512)[0], np.array([1.0]), SMALL)
    coarse = encrypt(SMALL_PUBLIC, np.array([1.0]), PackSpec(24, 7, 4, 512))
    longer = encrypt(SMALL_PUBLIC, np.array([1.0, 2.0]), SMALL)
    for wrong in (other, coarse, longer):
        with pytest.raises(CiphertextInvalid):
            aggregate([vector, wrong])
    with pytest.raises(CiphertextInvalid):
        decrypt(SMALL_PRIVATE, other, contributors=1)


def test_bytes_come_back_and_every_altered_header_field_is_refused() -> None:
    vector = encrypt(SMALL_PUBLIC, np.arange(40.0), SMALL)
    data = vector.to_bytes()
    assert CipherVector.from_bytes(data, SMALL_PUBLIC) == vector
    for position in range(55):  # the header, byte by byte
        forged = data[:position] + bytes([data[position] ^ 0x80]) + data[position + 1 :]
        try:
            read = CipherVector.from_bytes(forged, SMALL_PUBLIC)
        except CiphertextInvalid:
            continue
        with pytest.raises((CiphertextInvalid, TooFewContributors, ValueOutOfRange)):
            decrypt(SMALL_PRIVATE, aggregate([read, vector]), contributors=2)
    for forged in (data[:-1], data + b"\0", data[:20], b""):
        with pytest.raises(CiphertextInvalid):
            CipherVector.from_bytes(forged, SMALL_PUBLIC)


def test_a_ciphertext_out_of_range_or_sharing_a_factor_is_refused() -> None:
    vector = encrypt(SMALL_PUBLIC, np.array([1.0]), SMALL)
    n = int(SMALL_PUBLIC.n)
    for c in (0, n * n, n * n + 1, int(SMALL_PRIVATE.p), n):
        forged = CipherVector(SMALL_PUBLIC, SMALL, 1, 1, (c,)).to_bytes()
        with pytest.raises(CiphertextInvalid):
            CipherVector.from_bytes(forged, SMALL_PUBLIC)
    assert vector.ciphertexts[0] < n * n


@given(st.lists(st.floats(-8e3, 8e3), min_size=1, max_size=8), st.integers(0, 40))
def test_many_numbers_are_rounded_as_each_is_alone(values: list[float], fraction_bits: int) -> None:
    """Half to even of the exact product, whichever way it is computed."""
    spec = PackSpec(value_bits=80, fraction_bits=fraction_bits, modulus_bits=512)
    expected = [round(Fraction(value) * 2**fraction_bits) for value in values]
    assert to_integers(np.array(values), spec) == expected
    beyond = [*values, 2.0**60]
    assert to_integers(np.array(beyond), spec, clip="saturate")[:-1] == expected


def test_a_flipped_ciphertext_bit_decrypts_to_noise() -> None:
    vector = encrypt(SMALL_PUBLIC, np.array([1.0]), SMALL)
    forged = CipherVector(SMALL_PUBLIC, SMALL, 1, 1, (vector.ciphertexts[0] ^ 2,))
    with pytest.raises((CiphertextInvalid, TooFewContributors)):
        decrypt(SMALL_PRIVATE, forged, contributors=1)


@pytest.mark.parametrize("window", [1, 5, 8])
def test_the_table_gives_powers_of_its_base(window: int) -> None:
    base = FixedBase(SMALL_PUBLIC, window=window)
    modulus, one = SMALL_PUBLIC.n**2, base.powers([1])[0]
    alphas = [0, 1, 2**window, 12345678901234567890, (1 << 256) - 1]
    assert base.powers(alphas) == [gmpy2.powmod(one, alpha, modulus) for alpha in alphas]


@pytest.mark.parametrize("obfuscator", ["fixed-base", "textbook"])
def test_both_obfuscators_hide_and_open(obfuscator: Any) -> None:
    first, second = (encrypt(SMALL_PUBLIC, np.array([7.0]), SMALL, obfuscator=obfuscator) for _ in range(2))
    assert first.ciphertexts != second.ciphertexts
    assert decrypt(SMALL_PRIVATE, aggregate([first, second]), contributors=2).tolist() == [14.0]
    assert SMALL_PRIVATE.raw_decrypt(int(Textbook(SMALL_PUBLIC).residues(1)[0])) == 0


def test_the_table_is_built_once_per_key() -> None:
    assert obfuscator_for(SMALL_PUBLIC) is obfuscator_for(SMALL_PUBLIC)
    assert obfuscator_for(SMALL_PUBLIC, window=4) is not obfuscator_for(SMALL_PUBLIC)


@pytest.mark.parametrize("powers", [1, 10, 24, 120, 1_000])
def test_a_window_is_chosen_for_the_work_of_a_whole_study(powers: int) -> None:
    """More powers never want a smaller table, and no other window takes fewer multiplications in all."""
    bits = (SMALL_PUBLIC.n.bit_length() + 1) // 2
    work = {window: math.ceil(bits / window) * (2**window + powers) for window in (3, 4, 5, 6)}
    assert work[window_for(SMALL_PUBLIC, powers)] == min(work.values())
    assert window_for(SMALL_PUBLIC, powers) <= window_for(SMALL_PUBLIC, 10 * powers)


def test_a_generated_key_is_of_blum_primes_and_exact_length() -> None:
    for bits in (64, 512):
        public, private = generate_keypair(bits)
        p, q = int(private.p), int(private.q)
        assert public.n == p * q
        assert public.n.bit_length() == bits
        assert p % 4 == q % 4 == 3
        assert gmpy2.gcd(p - 1, q - 1) == 2
    with pytest.raises(KeyInvalid):
        generate_keypair(63)


def test_keys_survive_their_text_and_bytes() -> None:
    public, private = keypair()
    assert public_key_from_hex(public_key_hex(public)).n == public.n
    assert private_key_from_bytes(private_key_to_bytes(private)) == private
    assert len(key_id(public)) == 64
    for data in (b"", b"{}", b'{"p": "x", "q": "3"}'):
        with pytest.raises(KeyInvalid):
            private_key_from_bytes(data)


def hostile_moduli() -> dict[str, int]:
    prime = int(gmpy2.next_prime(1 << 2047))
    root = int(gmpy2.next_prime(1 << 1023))
    n = int(keypair()[0].n)
    return {"short": n >> 1 | 1, "even": n - 1, "prime": prime, "square": root * root, "small factor": 0, "zero": 0}


@pytest.mark.parametrize("name", ["short", "even", "prime", "square", "small factor", "zero"])
def test_a_hostile_modulus_is_refused(name: str) -> None:
    modulus = hostile_moduli()[name]
    if name == "small factor":
        modulus = 4093 * int(gmpy2.next_prime(1 << 2036))
        assert modulus.bit_length() == 2048
    with pytest.raises(KeyInvalid):
        check_public_key(PaillierPublicKey(modulus))
    with pytest.raises(KeyInvalid):
        public_key_from_hex("not hex")
