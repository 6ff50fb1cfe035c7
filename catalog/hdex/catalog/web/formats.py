"""Numbers, money, dates and sizes as a reader of each language writes them."""

from datetime import datetime

from hdex.catalog.money import say
from hdex.catalog.price import Price

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def count(number: int) -> str:
    """Return 2550 as 2,550."""
    return f"{number:,}"


def share(value: float) -> str:
    """Return 0.914 as 91.4 %; more decimals below one per cent."""
    percent = 100 * value
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{percent:.1f} %".replace(".0 %", " %")


def money(price: Price, lang: str) -> str:
    """Return the amount with its currency."""
    return say(price.amount_cents, price.currency, lang).replace(".00", "")


def day(text: str, lang: str) -> str:
    """Return the day of an RFC 3339 time; the text itself where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if lang == "zh":
        return f"{moment.year}年{moment.month}月{moment.day}日"
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def minute(text: str, lang: str) -> str:
    """Return day and minute (UTC) of an RFC 3339 time; the text itself where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{day(text, lang)} {moment:%H:%M}"


def size(octets: int) -> str:
    """Return a number of bytes in the unit a person would choose."""
    if octets < 1000:
        return f"{octets} B"
    power = min((len(str(octets)) - 1) // 3, 4)
    return f"{octets / 1000**power:.1f} {'kMGT'[power - 1]}B"


def band(text: str) -> str:
    """Return 2500-2600 as 2,500 – 2,600."""
    return " – ".join(f"{int(part):,}" if part.isdigit() else part for part in text.split("-"))
