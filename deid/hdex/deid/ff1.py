"""FF1 (NIST SP 800-38G): encryption of a number to a number of the same length over the same characters.

For columns whose format a receiving system insists on. It is deterministic and reversible with the key, and it is the
last choice: a pseudonym of `pseudonym` says less. The tweak binds a value to its column. FF3 is not here: its tweak
schedule is broken (Durak and Vaudenay 2017) and NIST withdrew FF3-1 in the 2025 draft of Revision 1.

All values of one length are worked on at once: the ten Feistel rounds are arithmetic on columns of numbers, and every
round's AES blocks go through AES-ECB in one call. Feistel halves up to 16 decimal digits are machine words, longer ones
Python integers in numpy columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import polars as pl
from Crypto.Cipher import AES
from numpy.typing import NDArray

from hdex.deid.errors import ArgumentInvalid, DomainTooSmall, InputInvalid

Numbers = NDArray[np.uint64] | NDArray[np.object_]  # one Feistel half of every value
Blocks = NDArray[np.uint8]  # (values, bytes)

DIGITS = "0123456789"
ROUNDS = 10
BLOCK = 16
SMALLEST_DOMAIN = 10**6  # SP 800-38G Revision 1 (draft), section 5.1: below, all values can be tried
LARGEST_RADIX = 2**16
WIDEST = 2**56  # halves below it are worked on in machine words, longer ones as Python integers


@dataclass(frozen=True, slots=True)
class FF1:
    """FF1 under one key. key: 16, 24 or 32 bytes; alphabet: the characters, the first counts 0."""

    key: bytes = field(repr=False)
    alphabet: str = DIGITS

    def __post_init__(self) -> None:
        if len(self.key) not in AES.key_size:
            raise InputInvalid(f"an AES key has 16, 24 or 32 bytes, found {len(self.key)}")
        if not 2 <= len(set(self.alphabet)) == len(self.alphabet) <= LARGEST_RADIX:
            raise ArgumentInvalid("an alphabet has 2 to 65536 characters, none twice")

    def encrypt(self, values: pl.Series, *, tweak: bytes = b"") -> pl.Series:
        """Values of the same lengths over the same alphabet; NULL stays NULL. tweak: public, such as the column's name.

        Raises DomainTooSmall where a value has fewer than 10^6 neighbours of its length, InputInvalid where a
        character is not of the alphabet.
        """
        return self._by_length(values, tweak, is_encrypting=True)

    def decrypt(self, values: pl.Series, *, tweak: bytes = b"") -> pl.Series:
        """The values that `encrypt` was given. A wrong key or tweak gives other values, not an error."""
        return self._by_length(values, tweak, is_encrypting=False)

    def _by_length(self, values: pl.Series, tweak: bytes, *, is_encrypting: bool) -> pl.Series:
        if values.dtype != pl.String:
            raise InputInvalid(f"column {values.name} is {values.dtype}, asked is text: a number loses leading zeros")
        rows = pl.DataFrame({"value": values}).with_row_index("row").cast({"row": pl.UInt32}).drop_nulls("value")
        lengths = rows["value"].str.len_chars()
        for length in lengths.unique():
            require_domain(len(self.alphabet), int(length))
        parts = []
        for length in lengths.unique():
            part = rows.filter(lengths == length)
            numerals = self._read(part["value"].alias(values.name), int(length))
            turned = feistel(numerals, len(self.alphabet), self.key, tweak=tweak, is_encrypting=is_encrypting)
            parts.append(part.with_columns(self._written(turned).alias("value")))
        everything = pl.DataFrame({"row": pl.int_range(len(values), dtype=pl.UInt32, eager=True)})
        turned_rows = pl.concat(parts) if parts else rows
        joined = everything.join(turned_rows, on="row", how="left", maintain_order="left")
        return joined["value"].alias(values.name)

    def _read(self, values: pl.Series, length: int) -> NDArray[np.int64]:
        """Characters as numbers of the alphabet, shape (values, length)."""
        text = "".join(values.to_list())
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).reshape(-1, length)
        known, order = self._characters()
        places = np.minimum(np.searchsorted(known, points), len(known) - 1)
        strange = int((known[places] != points).any(axis=1).sum())
        if strange:
            raise InputInvalid(f"{strange} values of column {values.name} have characters outside the alphabet")
        numerals: NDArray[np.int64] = order[places]
        return numerals

    def _written(self, numerals: NDArray[np.int64]) -> pl.Series:
        letters = np.frombuffer(self.alphabet.encode("utf-32-le"), dtype=np.uint32)
        text = np.ascontiguousarray(letters[numerals]).view(f"<U{numerals.shape[1]}").reshape(-1)
        return pl.Series(text.tolist(), dtype=pl.String)

    def _characters(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Code points in rising order and what each counts."""
        points = np.frombuffer(self.alphabet.encode("utf-32-le"), dtype=np.uint32)
        order = np.argsort(points).astype(np.int64)
        return points[order], order


def require_domain(radix: int, length: int) -> None:
    """Raise DomainTooSmall unless there are at least 10^6 values of this length."""
    if length < 2 or radix**length < SMALLEST_DOMAIN:
        raise DomainTooSmall(
            f"{length} characters of {radix} kinds have {radix**length} values, asked are 10^6 or more: "
            "use a pseudonym instead"
        )


def feistel(
    numerals: NDArray[np.int64], radix: int, key: bytes, *, tweak: bytes = b"", is_encrypting: bool = True
) -> NDArray[np.int64]:
    """FF1.Encrypt or FF1.Decrypt of SP 800-38G (algorithms 7 and 8) on every row; shape (values, length), length >= 2.

    Names of the standard: u, v are the lengths of the halves A, B; b, d the bytes of a half and of a round's output.
    """
    n = numerals.shape[1]
    u, v = n // 2, n - n // 2
    b = -(-(radix**v - 1).bit_length() // 8)
    d = 4 * -(-b // 4) + 4
    cipher = RoundFunction(key, radix=radix, u=u, v=v, tweak=tweak, b=b, d=d)
    wide = radix**v > WIDEST
    left, right = to_numbers(numerals[:, :u], radix, wide=wide), to_numbers(numerals[:, u:], radix, wide=wide)
    if is_encrypting:
        for number in range(ROUNDS):
            modulus = radix ** (u if number % 2 == 0 else v)
            left, right = right, (left + cipher.output(number, right, modulus)) % modulus
    else:
        for number in reversed(range(ROUNDS)):
            modulus = radix ** (u if number % 2 == 0 else v)
            left, right = (right + (modulus - cipher.output(number, left, modulus))) % modulus, left
    return np.hstack([to_numerals(left, radix, u), to_numerals(right, radix, v)])


class RoundFunction:
    """The keyed function of every Feistel round; holds no value."""

    def __init__(self, key: bytes, *, radix: int, u: int, v: int, tweak: bytes, b: int, d: int) -> None:
        self._aes = AES.new(key, AES.MODE_ECB)
        self._b, self._d, self._tweak = b, d, tweak
        head = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([ROUNDS, u % 256])
        self._start = self._aes.encrypt(head + (u + v).to_bytes(4, "big") + len(tweak).to_bytes(4, "big"))

    def output(self, number: int, half: Numbers, modulus: int) -> Numbers:
        """y = NUM(S) modulo `modulus` for every half."""
        blocks = self._message(number, half)
        state = np.broadcast_to(np.frombuffer(self._start, np.uint8), (len(half), BLOCK))
        for at in range(0, blocks.shape[1], BLOCK):  # CBC-MAC of P || Q, P is in the start
            state = self._encrypt(state ^ blocks[:, at : at + BLOCK])
        stream = [state]
        for count in range(1, -(-self._d // BLOCK)):
            mask = np.frombuffer(count.to_bytes(BLOCK, "big"), np.uint8)
            stream.append(self._encrypt(state ^ mask))
        return from_bytes(np.hstack(stream)[:, : self._d], modulus)

    def _message(self, number: int, half: Numbers) -> Blocks:
        """Q = T || 0 ... || round || NUM(B) in b bytes; shape (values, a multiple of 16)."""
        padding = -(len(self._tweak) + self._b + 1) % BLOCK
        head = self._tweak + bytes(padding) + bytes([number])
        front = np.broadcast_to(np.frombuffer(head, np.uint8), (len(half), len(head)))
        return np.hstack([front, to_bytes(half, self._b)])

    def _encrypt(self, blocks: Blocks) -> Blocks:
        return np.frombuffer(self._aes.encrypt(blocks.tobytes()), np.uint8).reshape(-1, BLOCK)


def to_numbers(numerals: NDArray[np.int64], radix: int, *, wide: bool) -> Numbers:
    """The number each row of numerals writes, most significant first."""
    columns: Any = numerals.astype(np.object_ if wide else np.uint64)
    numbers = columns[:, 0]
    for place in range(1, columns.shape[1]):
        numbers = numbers * radix + columns[:, place]
    return cast("Numbers", numbers)


def to_numerals(numbers: Numbers, radix: int, length: int) -> NDArray[np.int64]:
    """Every number as `length` numerals, most significant first."""
    numerals = np.empty((len(numbers), length), dtype=np.int64)
    for place in reversed(range(length)):
        numerals[:, place] = (numbers % radix).astype(np.int64)
        numbers = numbers // radix
    return numerals


def to_bytes(numbers: Numbers, width: int) -> Blocks:
    """Every number as `width` big-endian bytes."""
    if numbers.dtype != np.object_:
        return numbers.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - width :]
    whole = b"".join(int(number).to_bytes(width, "big") for number in numbers)
    return np.frombuffer(whole, np.uint8).reshape(-1, width)


def from_bytes(blocks: Blocks, modulus: int) -> Numbers:
    """Every row of big-endian bytes, a multiple of 4, as a number modulo `modulus`: Horner, nothing runs over."""
    if modulus > WIDEST:
        numbers = [int.from_bytes(row.tobytes(), "big") % modulus for row in blocks]
        return np.array(numbers, dtype=np.object_)
    size = next(size for size in (4, 2, 1) if modulus <= 2 ** (64 - 8 * size))
    words = np.ascontiguousarray(blocks).view(f">u{size}").astype(np.uint64)
    rest = words[:, 0] % modulus
    for word in words.T[1:]:
        rest = (rest * 2 ** (8 * size) + word) % modulus
    return rest
