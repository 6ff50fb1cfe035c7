"""Keyed pseudonyms, per-patient date shift, capped ages.

Every key is derived for one recipient, one project and one kind of column: what two buyers hold does not join. An
unkeyed digest of a resident id is found by trying all of them within minutes: there is none here.

The HMACs are computed by polars-hash, whose key is text and is part of polars' query plan. Therefore plans with a key
are built, run and dropped inside `keyed`: what leaves is a column of digests, never an expression or a lazy frame, and
an error of polars is told in our words, for its own may quote the plan.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import polars as pl
import polars_hash  # noqa: F401  registers `chash`

from hdex.deid.errors import InputInvalid

KEY_BYTES = 32
PSEUDONYM_BITS = 120  # 30 hexadecimal digits: no collision to speak of among 10^9 patients
SHIFT_BITS = 60  # modulo a range of some hundred days: no bias to speak of
WEEK = 7
BLOCK = 1 << 15  # rows hashed at once
DAY_UNITS = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
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
    return hkdf(master, salt=b"", info=b"hdex/deid/v1" + framed(context), length=KEY_BYTES)


def framed(parts: tuple[str | bytes, ...]) -> bytes:
    """Parts with their lengths in front: no two lists of parts read alike."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


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


def derive_column_key(master: bytes, *, recipient: str, project: str, kind: str) -> bytes:
    """The pseudonym key of one kind of column (patient, encounter, device ...) for one recipient's project.

    A patient and an encounter that bear the same number get different pseudonyms.
    """
    return derive(master, "column", kind, recipient, project)


def macs(values: pl.Series, key: bytes) -> pl.Series:
    """HMAC-SHA256 of every value's text, 64 lower-case hexadecimal digits; NULL stays NULL.

    polars-hash takes its key as text: it is given the hexadecimal form of `key`, so that
    macs(v) == hmac.new(key.hex().encode(), v.encode(), "sha256").hexdigest(). Runs eagerly; no plan leaves.
    """
    return keyed(values, key, lambda digest: digest)


def keyed(values: pl.Series, key: bytes, form: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """What `form` makes of the HMAC of every value, block by block: the digests of a block stay in the cache."""
    require_key(key)
    wrong = f"column {values.name} is {values.dtype}, asked are values that read as text"
    if values.dtype.is_nested():
        raise InputInvalid(wrong)
    try:
        text = values.cast(pl.String).alias("value")
        starts = range(0, max(len(text), 1), BLOCK)
        digest = pl.col("value").chash.hmac_sha256(key=key.hex())  # type: ignore[attr-defined]  # polars-hash adds the namespace at run time
        blocks = [text.slice(start, BLOCK).to_frame().select(form(digest)).to_series() for start in starts]
    except pl.exceptions.PolarsError:
        raise InputInvalid(wrong) from None
    return pl.concat(blocks).alias(values.name)


def pseudonyms(ids: pl.Series, key: bytes) -> pl.Series:
    """A `p` and 30 hexadecimal digits per id, equal ids alike; NULL stays NULL. Not reversible, not even with the key.

    The letter in front keeps programs that guess types from reading a pseudonym as a number.
    """
    return keyed(ids, key, lambda digest: "p" + digest.str.head(PSEUDONYM_BITS // 4))


def shift_days(patients: pl.Series, key: bytes, max_days: int, *, step: int = 1) -> pl.Series:
    """The secret number of days every date of a patient moves: -max_days to max_days in steps, without 0; Int32.

    step: 1, or 7 to keep the day of the week (then max_days is at least 7). The draw is uniform. Never 0: the dates of
    a patient who is not moved would be his true ones, and whoever knows one event exactly would find him at once;
    what the exclusion tells an attacker (one of 2 max_days + 1 offsets is not it) is worth less.
    """
    if step not in (1, WEEK):
        raise InputInvalid(f"the shift has steps of {step} days, asked is 1, or {WEEK} to keep the day of the week")
    if max_days < step:
        raise InputInvalid(f"shift_days is {max_days}, asked is {step} or more")
    most = max_days // step
    drawn = keyed(patients, key, first_bits) % (2 * most)
    side = (drawn >= most).cast(pl.Int64)  # 0 .. most-1 is the past, most .. 2 most-1 the future: 0 is left out
    return ((drawn - most + side) * step).cast(pl.Int32).alias(patients.name)


def first_bits(digest: pl.Expr) -> pl.Expr:
    """The first SHIFT_BITS bits of a digest as a number."""
    return digest.str.head(SHIFT_BITS // 4).str.to_integer(base=16, dtype=pl.Int64)


def shift_dates(dates: pl.Series, days: pl.Series) -> pl.Series:
    """Dates or timestamps moved by whole days: intervals of one patient survive, hours stay; NULL where either is.

    A timestamp with a time zone keeps what the clock on the wall said and loses the zone: no day is 23 or 25 hours
    long, so a shifted night shift does not tell in which half of the year it was.
    """
    if dates.dtype == pl.Date:
        return (dates.to_physical() + days).cast(pl.Date).alias(dates.name)
    if not isinstance(dates.dtype, pl.Datetime):
        raise InputInvalid(f"column {dates.name} is {dates.dtype}, asked is a date")
    wall = dates.dt.replace_time_zone(None)
    units = days.cast(pl.Int64) * DAY_UNITS[dates.dtype.time_unit]
    return (wall.to_physical() + units).cast(wall.dtype).alias(dates.name)


def cap_age(ages: pl.Series, cap: int = AGE_CAP) -> pl.Series:
    """Ages with everything from `cap` on as `cap`: read it as `cap` or older."""
    return ages.clip(upper_bound=cap)


def cap_births(births: pl.Series, at: pl.Series, cap: int = AGE_CAP) -> pl.Series:
    """Days of birth of people aged `cap` or more `at` that day as the day they would turn `cap` then.

    A birth date tells an age over 89 as well as an age does (45 CFR 164.514(b)(2)(i)(C) names "all elements of dates
    indicative of such age"). Cap before shifting. Raises InputInvalid unless both are dates.
    """
    if births.dtype != pl.Date or at.dtype != pl.Date:
        raise InputInvalid(f"columns {births.name} and {at.name} are {births.dtype} and {at.dtype}, asked are dates")
    return births.clip(lower_bound=at.dt.offset_by(f"-{cap}y")).alias(births.name)
