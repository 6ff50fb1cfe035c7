"""The C kernel gives the very numbers that Python gives, and its absence changes nothing but the time."""

import platform
import random
import secrets
import shutil

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federated.samples import keypair

from hdex.federated.paillier import PackSpec, decrypt, encrypt, generate_keypair
from hdex.federated.paillier import kernel as kernels
from hdex.federated.paillier.kernel import LANES, KernelTable, from_limbs, library, limbs_of, montgomery_one, to_limbs
from hdex.federated.paillier.obfuscation import WORTH, FixedBase

BOTH = [None, library()] if library() else [None]  # a CPU without AVX512-IFMA has Python only
FAST = [one for one in BOTH if one]


@given(st.lists(st.integers(0, (1 << 1000) - 1), min_size=1, max_size=5), st.integers(20, 40))
def test_limbs_are_another_way_to_write_a_number(values: list[int], limbs: int) -> None:
    found = to_limbs(values, limbs)
    assert found.shape == (len(values), limbs)
    assert int(found.max()) < 1 << 52
    for row, value in zip(found.tolist(), values, strict=True):
        assert sum(limb << (52 * at) for at, limb in enumerate(row)) == value
    assert from_limbs(found) == values


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel is for x86-64")
def test_the_kernel_is_built_where_a_compiler_is() -> None:
    compilers = [name for name in ("cc", "gcc", "clang") if shutil.which(name)]
    assert kernels.LIBRARY.exists() or not compilers


@pytest.mark.parametrize("kernel", FAST)
@pytest.mark.parametrize("bits", [64, 254, 512, 1030])
@pytest.mark.parametrize("window", [1, 3, 8])
def test_both_give_the_same_powers_of_the_same_base(kernel: object, bits: int, window: int) -> None:
    public, _ = generate_keypair(bits)
    seed = secrets.randbits(64)
    slow = FixedBase(public, window=window, randbits=random.Random(seed).getrandbits)
    fast = FixedBase(public, window=window, randbits=random.Random(seed).getrandbits, kernel=kernel)  # type: ignore[arg-type]
    top = (1 << (bits + 1) // 2) - 1
    alphas = [0, 1, 2, top, top - 1, 1 << (bits // 4), *(secrets.randbits(bits // 2) for _ in range(2 * LANES + 1))]
    few = fast.powers(alphas)
    assert fast._kernel is None  # so few powers are not worth its table
    assert few == slow.powers(alphas)
    for _ in range(WORTH // len(alphas)):
        many = fast.powers(alphas)
    assert fast._kernel is not None
    assert many == few
    assert all(0 < one < int(public.n) ** 2 for one in many)


@pytest.mark.parametrize("kernel", FAST)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_products_hold_at_the_edges_of_the_reduction(kernel: object, data: st.DataObject) -> None:
    """Entries next to the modulus and next to zero, where a carry would be lost first."""
    modulus = gmpy2.mpz(data.draw(st.integers(3, (1 << 300) - 1)) | 1 | 1 << 60)
    one = montgomery_one(modulus)
    near = st.one_of(
        st.integers(0, 3), st.integers(1, 3).map(lambda k: int(modulus) - k), st.integers(0, int(modulus) - 1)
    )
    plain = [[gmpy2.mpz(data.draw(near)) for _ in range(4)] for _ in range(5)]
    table = KernelTable(kernel, [[entry * one % modulus for entry in row] for row in plain], modulus)  # type: ignore[arg-type]
    digits = np.array(data.draw(st.lists(st.lists(st.integers(0, 3), min_size=9, max_size=9), min_size=5, max_size=5)))
    expected = [1] * 9
    for row, chosen in zip(plain, digits.tolist(), strict=True):
        expected = [int(total * row[digit] % modulus) for total, digit in zip(expected, chosen, strict=True)]
    assert table.products(digits.astype(np.uint8)) == expected
    assert 52 * limbs_of(modulus) >= int(modulus).bit_length() + 2


@given(
    st.lists(st.integers(0, 1 << 400), min_size=1, max_size=11),
    st.integers(0, 1 << 300),
    st.integers(1, 1 << 350).map(lambda half: 2 * half + 1),
)
@settings(max_examples=40, deadline=None)
def test_secret_powers_are_powers(bases: list[int], exponent: int, modulus: int) -> None:
    """With one base gmpy2 answers, with more the kernel where there is one."""
    expected = [pow(base, exponent, modulus) for base in bases]
    if exponent == 0:
        exponent, expected = modulus, [pow(base, modulus, modulus) for base in bases]
    assert kernels.secret_powers(bases, exponent, gmpy2.mpz(modulus)) == expected
    edges = [0, 1, modulus - 1, modulus, modulus + 1]
    assert kernels.secret_powers(edges, exponent, gmpy2.mpz(modulus)) == [pow(e, exponent, modulus) for e in edges]


@pytest.mark.parametrize("kernel", FAST)
def test_a_digit_beyond_the_table_is_caught(kernel: object) -> None:
    modulus = gmpy2.mpz((1 << 127) - 1)
    table = KernelTable(kernel, [[montgomery_one(modulus)] * 4], modulus)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        table.products(np.array([[4]], dtype=np.uint8))


@pytest.mark.parametrize("kernel", BOTH)
def test_a_real_key_encrypts_with_either(kernel: object) -> None:
    public, private = keypair()
    source = FixedBase(public, window=4, kernel=kernel)  # type: ignore[arg-type]
    values = np.arange(12_000.0)
    vector = encrypt(public, values, PackSpec(32, 8, 1, 2048), obfuscator=source)
    assert len(vector.ciphertexts) == len(set(vector.ciphertexts)) < 200
    assert decrypt(private, vector, contributors=1).tolist() == values.tolist()


def test_without_a_library_there_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    library.cache_clear()
    monkeypatch.setattr(kernels, "LIBRARY", kernels.LIBRARY.with_name("absent.so"))
    assert library() is None
    library.cache_clear()
