"""FF1 gives the published values of SP 800-38G, comes back, and refuses domains that can be tried through."""

import json
from math import ceil, log2
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from Crypto.Cipher import AES
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import ArgumentInvalid, DomainTooSmall, InputInvalid
from hdex.deid.ff1 import DIGITS, FF1

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/ff1.json").read_text())["cases"]
BASE36 = DIGITS + "abcdefghijklmnopqrstuvwxyz"
KEY = bytes(range(32))


def one_by_one(text: str, alphabet: str, key: bytes, tweak: bytes) -> str:
    """Return FF1.Encrypt written down from algorithm 7 of the standard, in Python integers, one value at a time."""
    radix, n, t = len(alphabet), len(text), len(tweak)
    numerals = [alphabet.index(character) for character in text]
    u, v = n // 2, n - n // 2
    b = ceil(ceil(v * log2(radix)) / 8)
    d = 4 * ceil(b / 4) + 4
    aes = AES.new(key, AES.MODE_ECB)
    head = b"\1\2\1" + radix.to_bytes(3, "big") + bytes([10, u % 256]) + n.to_bytes(4, "big") + t.to_bytes(4, "big")

    def number(digits: list[int]) -> int:
        total = 0
        for digit in digits:
            total = total * radix + digit
        return total

    left, right = numerals[:u], numerals[u:]
    for i in range(10):
        q = tweak + bytes((-t - b - 1) % 16) + bytes([i]) + number(right).to_bytes(b, "big")
        r = AES.new(key, AES.MODE_CBC, iv=bytes(16)).encrypt(head + q)[-16:]
        s = r
        for j in range(1, ceil(d / 16)):
            s += aes.encrypt((int.from_bytes(r, "big") ^ j).to_bytes(16, "big"))
        m = u if i % 2 == 0 else v
        c = (number(left) + int.from_bytes(s[:d], "big")) % radix**m
        digits = []
        for _ in range(m):
            c, digit = divmod(c, radix)
            digits.append(digit)
        left, right = right, digits[::-1]
    return "".join(alphabet[numeral] for numeral in left + right)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"sample {case['sample']}")
def test_ff1_gives_the_samples_of_nist(case: dict[str, Any]) -> None:
    cipher = FF1(bytes.fromhex(case["key"]), BASE36[: case["radix"]])
    tweak = bytes.fromhex(case["tweak"])
    plain, turned = pl.Series([case["plaintext"]]), pl.Series([case["ciphertext"]])
    assert cipher.encrypt(plain, tweak=tweak).to_list() == turned.to_list()
    assert cipher.decrypt(turned, tweak=tweak).to_list() == plain.to_list()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_many_at_once_are_what_the_standard_says_of_each(data: st.DataObject) -> None:
    alphabet = data.draw(st.sampled_from([DIGITS, BASE36, "01", "甲乙丙丁戊己庚辛壬癸"]))
    shortest = ceil(6 / log2(len(alphabet)) * log2(10))
    values = data.draw(st.lists(st.text(alphabet, min_size=shortest, max_size=60), min_size=1, max_size=8))
    tweak = data.draw(st.binary(max_size=40))
    turned = FF1(KEY, alphabet).encrypt(pl.Series("id", values), tweak=tweak)
    assert turned.to_list() == [one_by_one(value, alphabet, KEY, tweak) for value in values]
    assert FF1(KEY, alphabet).decrypt(turned, tweak=tweak).to_list() == values


def test_nulls_and_lengths_keep_their_places() -> None:
    values = pl.Series("phone", ["13800138000", None, "010123456", "13800138000"])
    turned = FF1(KEY).encrypt(values, tweak=b"phone")
    assert turned.name == "phone"
    assert turned[1] is None
    assert [len(text) for text in turned.drop_nulls()] == [11, 9, 11]
    assert turned[0] == turned[3] != values[0]


def test_encryption_is_a_permutation_and_the_tweak_makes_another() -> None:
    values = pl.Series([f"{number:06d}" for number in range(0, 10**6, 50)])
    one, other = (FF1(KEY).encrypt(values, tweak=tweak) for tweak in (b"a", b"b"))
    assert one.n_unique() == other.n_unique() == len(values)
    assert (one == other).sum() < 5


def test_what_can_be_tried_through_is_refused() -> None:
    for alphabet, value in ((DIGITS, "12345"), ("01", "0101010101010101010"), (DIGITS, "")):
        with pytest.raises(DomainTooSmall, match="10\\^6"):
            FF1(KEY, alphabet).encrypt(pl.Series([value]))
    assert FF1(KEY).encrypt(pl.Series(["123456"]))[0] != "123456"


def test_errors_hold_no_value_and_a_repr_no_key() -> None:
    with pytest.raises(InputInvalid, match="1 values of column id have characters") as raised:
        FF1(KEY).encrypt(pl.Series("id", ["1234567", "12345x7"]))
    assert "12345" not in str(raised.value)
    with pytest.raises(InputInvalid, match="asked is text"):
        FF1(KEY).encrypt(pl.Series("id", [1234567]))
    with pytest.raises(InputInvalid, match="16, 24 or 32"):
        FF1(b"short")
    for alphabet in ("", "0", "00"):
        with pytest.raises(ArgumentInvalid, match="none twice"):
            FF1(KEY, alphabet)
    assert repr(FF1(KEY)) == "FF1(alphabet='0123456789')"
