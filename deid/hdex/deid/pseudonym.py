"""Keyed pseudonyms, per-patient date shift, capped ages.

Every key is derived for one recipient and one project: what two buyers hold does not join. An unkeyed digest of a
resident id is found by trying all of them within minutes: there is none here.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import polars as pl

from hdex.deid.errors import InputInvalid

KEY_BYTES = 32
PSEUDONYM_BYTES = 15  # 120 bits: 24 characters of base32, no padding, no collision to speak of
AGE_CAP = 90  # 45 CFR 164.514(b)(2)(i)(C): all ages over 89 are one category


@dataclass(frozen=True, slots=True)
class Keys:
    """The three keys of one recipient and project. Never shown."""

    pseudonym: bytes = field(repr=False)
    shift: bytes = field(repr=False)
    surrogate: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for key in (self.pseudonym, self.shift, self.surrogate):
            require_key(key)


def require_key(key: bytes) -> None:
    """Raise InputInvalid for a key too short to resist trial."""
    if len(key) < KEY_BYTES:
        raise InputInvalid(f"a key has {len(key)} bytes, asked are {KEY_BYTES}")


def derive(master: bytes, *context: str | bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of `master` for `context`, 32 bytes; parts cannot run into each other."""
    require_key(master)
    parts = [part.encode() if isinstance(part, str) else part for part in context]
    info = b"hdex/deid/v1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hkdf(master, salt=b"", info=info, length=KEY_BYTES)


def hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256."""
    pseudorandom = hmac.digest(salt or bytes(sha256().digest_size), secret, "sha256")
    block, output = b"", b""
    for number in range(1, -(-length // sha256().digest_size) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([number]), "sha256")
        output += block
    return output[:length]


def derive_keys(master: bytes, *, recipient: str, project: str) -> Keys:
    """The keys of one recipient's project."""
    return Keys(*(derive(master, purpose, recipient, project) for purpose in ("pseudonym", "shift", "surrogate")))


def pseudonyms(ids: pl.Series, key: bytes) -> pl.Series:
    """One pseudonym per distinct id, equal ids alike; NULL stays NULL. Not reversible without the key."""
    require_key(key)

    def name(value: str) -> str:
        return base64.b32encode(hmac.digest(key, value.encode(), "sha256")[:PSEUDONYM_BYTES]).decode().lower()

    return by_distinct(ids, name, pl.String())


def shift_days(patients: pl.Series, key: bytes, max_days: int) -> pl.Series:
    """The secret number of days every date of a patient moves: -max_days to max_days without 0."""
    require_key(key)
    if max_days < 1:
        raise InputInvalid(f"shift_days is {max_days}, asked is 1 or more")

    def days(value: str) -> int:
        number = int.from_bytes(hmac.digest(key, value.encode(), "sha256")[:16], "big") % (2 * max_days)
        return number - max_days if number < max_days else number - max_days + 1

    return by_distinct(patients, days, pl.Int32())


def by_distinct(values: pl.Series, function: Callable[[str], str | int], dtype: pl.DataType) -> pl.Series:
    """`function` of every value, called once per distinct one."""
    text = values.cast(pl.String)
    known = text.drop_nulls().unique()
    if len(known) == 0:
        return pl.Series(values.name, [None] * len(values), dtype=dtype)
    results = pl.Series([function(value) for value in known], dtype=dtype)
    return text.replace_strict(known, results, default=None, return_dtype=dtype).alias(values.name)


def shift_dates(dates: pl.Series, days: pl.Series) -> pl.Series:
    """Dates or timestamps moved by whole days: intervals of one patient survive, hours stay."""
    if dates.dtype not in (pl.Date, pl.Datetime):
        raise InputInvalid(f"column {dates.name} is {dates.dtype}, asked is a date")
    return pl.select(pl.lit(dates) + pl.duration(days=pl.lit(days))).to_series().alias(dates.name)


def cap_age(ages: pl.Series, cap: int = AGE_CAP) -> pl.Series:
    """Ages with everything from `cap` on as `cap`: read it as `cap` or older."""
    return ages.clip(upper_bound=cap)
