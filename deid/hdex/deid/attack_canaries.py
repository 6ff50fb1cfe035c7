"""Canaries: invented identities planted in notes in twelve surface forms, to see what a redaction lets through.

What is left is looked for by `bare`, which shares nothing with the folding of the redaction: a form that both would
miss is a form this attack would not see either.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hdex.deid.attack_pseudonym import resident_ids
from hdex.deid.errors import ArgumentInvalid

_GIVEN = "Wilhelmina Thaddeus Philippa Barnaby Rosamund Ignatius Cordelia Lysander Octavia Peregrine".split()  # noqa: SIM905
_FAMILY = "Ostrander Quackenbush Featherstone Winterbourne Abernathy Goldsworthy Pemberton Zimmerlich".split()  # noqa: SIM905
_SURNAMES, _NAMES = "欧阳 司马 上官 诸葛 慕容 夏侯".split(), "婉清 思远 若曦 景行 书瑶 明轩 雨桐 子衿".split()  # noqa: SIM905
_LOOKALIKES = str.maketrans("ABEKMHOPCTXaeopcyxis", "АВЕКМНОРСТХаеорсухіѕ")
_READ_BACK = str.maketrans("АВЕКМНОРСТХаеорсухіѕ", "ABEKMHOPCTXaeopcyxis")
_NOTES = {
    "en": "Progress note. {} was seen on the ward; blood pressure 138/84, continue aspirin.",
    "zh": "病程记录。{}今日查房，血压138/84，继续阿司匹林。",
}
_LEADS = {
    ("name", "en"): "Patient {}",
    ("name", "zh"): "患者{}",
    ("resident_id", "en"): "ID card {}",
    ("resident_id", "zh"): "身份证号{}",
    ("phone", "en"): "Phone {}",
    ("phone", "zh"): "联系电话{}",
    ("record", "en"): "MRN {}",
    ("record", "zh"): "病案号{}",
    ("email", "en"): "E-mail {}",
    ("email", "zh"): "邮箱{}",
}
KINDS = ("name", "resident_id", "phone", "record", "email")


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted identifier. Everything in it is invented."""

    kind: str
    form: str
    lang: str
    value: str = field(repr=False)  # as the hospital's tables hold it
    note: str = field(repr=False)  # with the value in its surface form


def full_width(text: str) -> str:
    """Every ASCII character twice as wide."""
    return "".join(
        chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else "\u3000" if char == " " else char for char in text
    )


def between(text: str, mark: str, every: int = 3) -> str:
    """A mark after every so many characters."""
    return mark.join(text[at : at + every] for at in range(0, len(text), every))


def styled(text: str) -> str:
    """Digits and Latin letters of the mathematical alphabets."""
    starts = (("0", "9", 0x1D7CE), ("A", "Z", 0x1D400), ("a", "z", 0x1D41A))
    return "".join(
        next((chr(start + ord(char) - ord(first)) for first, last, start in starts if first <= char <= last), char)
        for char in text
    )


def accented(text: str) -> str:
    """A combining accent on every Latin vowel, a stroke below every fourth digit."""
    return "".join(
        char + "\u0301" if char in "aeiouAEIOU" else char + "\u0332" if char.isdigit() and at % 4 == 1 else char
        for at, char in enumerate(text)
    )


FORMS: Mapping[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "full_width": full_width,
    "zero_width_joiner": lambda text: between(text, "\u200d", 1),
    "soft_hyphen": lambda text: between(text, "\u00ad"),
    "direction_marks": lambda text: "\u202a" + between(text, "\u200e", 2) + "\u202c",
    "line_break": lambda text: text[: len(text) // 2] + "\n" + text[len(text) // 2 :],
    "homoglyph": lambda text: text.translate(_LOOKALIKES),
    "spaced": lambda text: (
        between(text, " ", 4) if any(char.isdigit() for char in text) else between(text, "\u2009", 1)
    ),
    "dashed": lambda text: (
        between(text, "\u2011", 4) if any(char.isdigit() for char in text) else text.replace(" ", "-")
    ),
    "changed_case": str.swapcase,
    "styled": styled,
    "accented": accented,
}


def canaries(count: int = 500, *, seed: int = 0, langs: Sequence[str] = ("en", "zh")) -> list[Canary]:
    """Return that many canaries, the same number of every form and kind as far as it goes."""
    if count < 1 or not set(langs) <= set(_NOTES):
        raise ArgumentInvalid(f"count is {count}, languages {', '.join(langs)}; asked are 1 or more, and en or zh")
    random = np.random.default_rng(seed)
    forms, made = list(FORMS), []
    for number in range(count):
        form, lang = forms[number % len(forms)], langs[number // (len(forms) * len(KINDS)) % len(langs)]
        kind = KINDS[number // len(forms) % len(KINDS)]
        value = invented(kind, lang, number, random)
        made.append(Canary(kind, form, lang, value, planted(value, kind, form, lang)))
    return made


def planted(value: str, kind: str, form: str, lang: str) -> str:
    """A note that holds the value in one surface form."""
    return _NOTES[lang].format(_LEADS[kind, lang].format(FORMS[form](value)))


def invented(kind: str, lang: str, number: int, random: np.random.Generator) -> str:
    """A value of that kind that belongs to nobody; different for every number."""
    if kind == "name" and lang == "zh":
        return f"{_SURNAMES[number % len(_SURNAMES)]}{_NAMES[number // len(_SURNAMES) % len(_NAMES)]}"
    if kind == "name":
        return f"{_GIVEN[number % len(_GIVEN)]} {_FAMILY[number // len(_GIVEN) % len(_FAMILY)]}"
    if kind == "resident_id":
        day = f"{1940 + number % 60}{1 + number % 12:02d}{1 + number % 28:02d}"
        return next(iter(resident_ids(["110101"], [day], [number % 1000])))
    if kind == "phone":
        return f"139{int(random.integers(0, 9999)):04d}{number % 10000:04d}"
    if kind == "record":
        return f"BA{20_000_000 + number * 7919 % 9_999_999}"
    return f"canary{number}.{int(random.integers(100, 999))}@ward-mail.example.org"


def bare(text: str) -> str:
    """Letters and digits only, in the plainest form a reader would recognise."""
    plain = unicodedata.normalize("NFKD", text.translate(_READ_BACK))
    return "".join(char for char in plain.casefold() if char.isalnum() and not unicodedata.combining(char))


def escaped(released: Sequence[str | None], planted_in: Sequence[Canary]) -> list[Canary]:
    """The canaries that still sing: of whose value two thirds or more can be read, in one piece, in their own note."""
    if len(released) != len(planted_in):
        raise ArgumentInvalid(f"{len(released)} texts are of {len(planted_in)} canaries, asked is one each")
    return [one for text, one in zip(released, planted_in, strict=True) if text and sings(one.value, text)]


def sings(value: str, text: str) -> bool:
    """Whether two thirds of a value stand in a text."""
    asked, there = bare(value), bare(text)
    size = -(-2 * len(asked) // 3)
    return any(asked[at : at + size] in there for at in range(len(asked) - size + 1))
