"""Money: whole minor units of an ISO 4217 currency, exact arithmetic, rounding half to even, splits without a rest.

The minor units are data (data/currencies.toml). Amounts travel as integers; nothing here ever is a float.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import cast

from hdex.catalog.errors import PriceInvalid

MOST = 10**15  # minor units: what no price, invoice or payment exceeds
_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,4})?", re.ASCII)
_RATE = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{1,6})?", re.ASCII)
_NAMES_ZH = {"CNY": "元", "EUR": "欧元", "USD": "美元"}


def minor_digits(currency: str) -> int:
    """Return how many decimals the currency's minor unit has. Raise PriceInvalid for what is no ISO 4217 currency."""
    try:
        return _digits()[currency]
    except KeyError:
        raise PriceInvalid(
            f"currency {currency[:8]!r} is not in ISO 4217: name it by its three capital letters"
        ) from None


def to_minor(amount: str, currency: str) -> int:
    """Return a decimal text such as 480.50 in minor units. Raise PriceInvalid: an amount is never rounded to fit."""
    if not _AMOUNT.fullmatch(amount):
        raise PriceInvalid("an amount is digits with a decimal point, as in 48000.00")
    scaled = Decimal(amount).scaleb(minor_digits(currency))
    if scaled != scaled.to_integral_value():
        raise PriceInvalid(f"an amount in {currency} has {minor_digits(currency)} decimals at most")
    return require_minor(int(scaled))


def to_decimal(minor: int, currency: str) -> Decimal:
    """Return minor units as the amount that is written: 48050 of CNY is 480.50."""
    return Decimal(minor).scaleb(-minor_digits(currency))


def say(minor: int, currency: str, lang: str) -> str:
    """Return an amount as a reader of `lang` writes it: CNY 48,000.00, or 48,000.00 元."""
    amount = f"{to_decimal(minor, currency):,.{minor_digits(currency)}f}"
    return f"{amount} {_NAMES_ZH.get(currency, currency)}" if lang == "zh" else f"{currency} {amount}"


def require_minor(minor: int) -> int:
    """Return an amount that can be reckoned with. Raise PriceInvalid beyond 10^15 minor units."""
    if type(minor) is not int or abs(minor) > MOST:
        raise PriceInvalid(f"an amount is whole minor units, {MOST} at most")
    return minor


def rounded(exact: Fraction) -> int:
    """Return the nearest whole minor unit; a half goes to the even one."""
    return require_minor(round(exact))


def rate_of(text: str) -> Fraction:
    """Return a rate that a decimal text states, 0.06 for 6 %. Raise PriceInvalid."""
    if not _RATE.fullmatch(text) or Fraction(text) > 1:
        raise PriceInvalid("a rate is a decimal text from 0 to 1, as in 0.06")
    return Fraction(text)


def apportion(total: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """Return party -> its part of `total` in proportion to weights from 0; the parts sum to the total.

    Largest remainders get the units that are left, ties by name (Hamilton's method). Where nobody weighs anything
    everybody gets the same. Raise PriceInvalid without a party, or for a weight or total below 0.
    """
    if not weights or total < 0 or any(weight < 0 for weight in weights.values()):
        raise PriceInvalid("an amount from 0 is split among at least one party, by weights from 0")
    whole = sum(map(Fraction, weights.values()))
    shares = {name: Fraction(one) / whole if whole else Fraction(1, len(weights)) for name, one in weights.items()}
    parts = {name: math.floor(share * total) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (parts[name] - shares[name] * total, name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return dict(sorted(parts.items()))


@cache
def _digits() -> dict[str, int]:
    held = tomllib.loads(files("hdex.catalog").joinpath("data/currencies.toml").read_text(encoding="utf-8"))
    listed = cast(dict[str, list[str]], held["minor_units"])
    return {currency: int(digits) for digits, currencies in listed.items() for currency in currencies}
