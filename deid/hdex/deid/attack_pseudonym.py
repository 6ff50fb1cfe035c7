"""Attacks on pseudonyms: trying all numbers there are, and joining what two recipients hold."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import product

import polars as pl

from hdex.deid.errors import ArgumentInvalid
from hdex.deid.identifiers import resident_id_check_character

Digest = Callable[[str], bytes]
ALGORITHMS = ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")
LEAST_PREFIX = 8  # characters: a truncated digest this long is still no accident


def brute_force(pseudonyms: pl.Series, space: Iterable[str], *, digests: Sequence[Digest] = ()) -> dict[str, str]:
    """Return {pseudonym: id} for every pseudonym that is a digest without key of an id in `space`.

    Tried are the usual digests (hex, base32, base64, truncated or not) and `digests`, e.g. one with a key that leaked.
    """
    wanted = set(pseudonyms.drop_nulls().cast(pl.String).to_list())
    lengths = sorted({len(text) for text in wanted if len(text) >= LEAST_PREFIX})
    tried = [digest_of(name) for name in ALGORITHMS] + list(digests)
    found: dict[str, str] = {}
    for value in space:
        for digest in tried:
            for text in spelled(digest(value)):
                found.update({text[:length]: value for length in lengths if text[:length] in wanted})
    return found


def digest_of(name: str) -> Digest:
    """An unkeyed digest of a text."""
    return lambda value: hashlib.new(name, value.encode(), usedforsecurity=False).digest()


def spelled(digest: bytes) -> tuple[str, ...]:
    """The ways a digest is written."""
    thirty_two = base64.b32encode(digest).decode().rstrip("=")
    sixty_four = base64.b64encode(digest).decode().rstrip("=")
    safe = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    hexadecimal = digest.hex()
    return hexadecimal, hexadecimal.upper(), thirty_two.lower(), thirty_two, sixty_four, safe


def resident_ids(regions: Sequence[str], days: Sequence[str], sequences: Iterable[int]) -> Iterable[str]:
    """All 18-digit resident ids of these regions (6 digits), birth days (YYYYMMDD) and order numbers (0-999).

    Source: GB 11643-1999. A country has about 3,000 regions, a century 36,500 days and a day 1,000 numbers: 10^11 ids,
    minutes of one graphics card.
    """
    for region, day, number in product(regions, days, sequences):
        first = f"{region}{day}{number:03d}"
        yield first + resident_id_check_character(first)


def join_rate(first: pl.DataFrame, second: pl.DataFrame, *, on: str) -> float:
    """Share of the distinct values of column `on` in `first` that `second` holds too: what two recipients can join."""
    if on not in first.columns or on not in second.columns:
        raise ArgumentInvalid(f"column {on} is not in both releases")
    mine = first[on].cast(pl.String).drop_nulls().unique()
    if len(mine) == 0:
        return 0.0
    return int(mine.is_in(second[on].cast(pl.String).drop_nulls().unique().to_list()).sum()) / len(mine)
