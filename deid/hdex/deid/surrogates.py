"""What stands in a note where an identifier stood: a consistent surrogate, or a tag."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hdex.deid.dates import shift_text
from hdex.deid.folding import compact_key, key_of

_GIVEN_EN = (
    "Avel",
    "Berit",
    "Corin",
    "Delphy",
    "Elowen",
    "Farrin",
    "Galen",
    "Hollis",
    "Ismay",
    "Jorun",
    "Kestrel",
    "Linnet",
    "Merrin",
    "Nerys",
    "Orrin",
    "Perrin",
    "Quill",
    "Rowan",
    "Saffir",
    "Tamsin",
    "Ulric",
    "Verity",
    "Wystan",
    "Yarrow",
    "Zephyr",
)
_FAMILY_EN = (
    "Ashgrove",
    "Brackwell",
    "Candlemoor",
    "Dunmarsh",
    "Eastholm",
    "Fernhollow",
    "Gorsefield",
    "Hartsmere",
    "Inglemoor",
    "Kelderby",
    "Larkwell",
    "Marrowick",
    "Northcleft",
    "Oakhanger",
    "Pellbrook",
    "Quarrendon",
    "Ravenscar",
    "Silverlea",
    "Thornbeck",
    "Underhay",
    "Vinewater",
    "Westermere",
    "Wrenfold",
    "Yewbarrow",
)
_FAMILY_ZH = "甲乙丙丁戊己庚辛壬癸"
_GIVEN_ZH = "子丑寅卯辰巳午未申酉戌亥"
_STREET_EN = ("Lantern", "Willowherb", "Kingfisher", "Saltmarsh", "Bellwether", "Harebell", "Stonecrop", "Ploughman")
_MADE = frozenset(
    "NAME LOCATION ORGANISATION EMAIL URL PHONE IP ID SSN RESIDENT_ID CARD DEVICE PLATE".split()  # noqa: SIM905
)
_DAY_MONTH = re.compile(r"(\d{1,2})([-/])(\d{1,2})(?=[-/]\d)")
_TITLE = re.compile(r"(?:Drs?|Mrs?|Ms|Miss|Mx|Prof(?:essor)?|Doctor|Nurse|Sister|Rev|Judge|Sgt|Lt|Capt)\.?[ \t]+")
_AGE = re.compile(r"(\d{1,3})((?:\s?(?:años?|周?岁|years?|yrs?))?(?: de edad)?)", re.ASCII)
_HAN_FIRST, _HAN_LAST = "\u3400", "\u9fff"


class Replacer(Protocol):
    """Says what replaces one identifier of one patient."""

    def replace(self, mention: Mention) -> str:
        """Return the text that stands for the mention. Never returns the identifier itself."""
        ...


@dataclass(frozen=True, slots=True)
class Mention:
    """One identifier met in a note."""

    type: str
    surface: str = field(repr=False)  # as it stands in the note
    value: str = field(repr=False)  # what it is a spelling of: equal for all spellings of one value
    form: str  # how much of it: full, given, family, other
    patient: str = field(repr=False)
    shift_days: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tags:
    """Replaces every identifier by its type in brackets."""

    def replace(self, mention: Mention) -> str:
        """Return `[TYPE]`."""
        return f"[{mention.type}]"


@dataclass(frozen=True, slots=True)
class Surrogates:
    """Replaces identifiers by invented ones: equal for one patient and value under one project key.

    key: the project's surrogate key, 16 bytes or more. avoid: compact keys of real values no surrogate may equal.
    """

    key: bytes = field(repr=False)
    avoid: Collection[str] = field(default=frozenset(), repr=False)
    day_first: bool = False  # the notes write 03/05/2024 for the third of May

    def replace(self, mention: Mention) -> str:
        """Return the surrogate; a date moves by the patient's offset, or becomes a tag when there is none.

        A type that this house does not know, of a site's own rules, becomes a tag too.
        """
        if mention.type == "DATE":
            return self._moved(mention) or "[DATE]"
        if mention.type == "AGE":
            return _decade(mention.surface)
        if mention.type not in _MADE:
            return f"[{mention.type}]"
        found = _TITLE.match(mention.surface) if mention.type == "NAME" else None
        title = found.group() if found else ""
        for attempt in range(20):
            made = self._make(mention, attempt)  # a real name behind a title is a real name
            if compact_key(made) not in self.avoid and key_of(title + made) != key_of(mention.surface):
                return title + made
        return f"[{mention.type}]"

    def _moved(self, mention: Mention) -> str | None:
        """Return the date moved; where the day comes first it is read as if the month did, and turned back."""
        if not (self.day_first and _DAY_MONTH.match(mention.surface)):
            return shift_text(mention.surface, mention.shift_days)
        moved = shift_text(_turned(mention.surface), mention.shift_days)
        return _turned(moved) if moved else None

    def _make(self, mention: Mention, attempt: int) -> str:
        seed = f"{mention.patient}\x00{mention.type}\x00{key_of(mention.value)}\x00{attempt}".encode()
        stream = hmac.new(self.key, seed, hashlib.sha512).digest()
        han = any(_HAN_FIRST <= c <= _HAN_LAST for c in mention.surface)
        if mention.type == "NAME":
            return _name_zh(stream, mention.form) if han else _name_en(stream, _form(mention))
        if mention.type == "LOCATION":
            return _place_zh(stream) if han else _place_en(stream)
        if mention.type == "ORGANISATION":
            return f"某医院{_letter(stream[0])}" if han else f"{_pick(_STREET_EN, stream[0])} Hospital"
        if mention.type == "EMAIL":
            return f"user{stream[:4].hex()}@example.org"
        if mention.type == "URL":
            return f"https://example.org/{stream[:4].hex()}"
        return _same_layout(mention.surface, stream)


def _form(mention: Mention) -> str:
    """How much of a name stands there; a title before a single word is followed by a surname."""
    bare = _TITLE.sub("", mention.surface)
    return "family" if bare != mention.surface and len(bare.split()) == 1 else mention.form


def _turned(text: str) -> str:
    """Change places of the first two numbers."""
    return _DAY_MONTH.sub(r"\3\2\1", text)


def _decade(surface: str) -> str:
    """An age as its decade, from 90 on as 90+; the unit stays. Ages in words and in months are not told."""
    found = _AGE.fullmatch(surface)
    if not found:
        return "[AGE]"
    years = int(found[1])
    told = "90+" if years >= 90 else f"{years // 10 * 10}-{years // 10 * 10 + 9}"
    return told + found[2]


def _pick(words: Sequence[str], number: int) -> str:
    return words[number % len(words)]


def _letter(number: int) -> str:
    return chr(ord("A") + number % 26)


def _name_en(stream: bytes, form: str) -> str:
    given, family = _pick(_GIVEN_EN, stream[0]), _pick(_FAMILY_EN, stream[1])
    return {"given": given, "family": family}.get(form, f"{given} {family}")


def _name_zh(stream: bytes, form: str) -> str:
    """Heavenly stems as surnames, earthly branches as given names: readable, and nobody's."""
    family, given = _pick(_FAMILY_ZH, stream[0]), _pick(_GIVEN_ZH, stream[1]) + _pick(_GIVEN_ZH, stream[2])
    return {"given": given, "family": family}.get(form, family + given)


def _place_en(stream: bytes) -> str:
    return f"{1 + int.from_bytes(stream[:2]) % 980} {_pick(_STREET_EN, stream[2])} Lane"


def _place_zh(stream: bytes) -> str:
    return f"某市某区某路{1 + int.from_bytes(stream[:2]) % 980}号"


def _same_layout(surface: str, stream: bytes) -> str:
    """Replace digits by digits and letters by letters; separators stay. A leading digit becomes 0: never issued."""
    made, first = [], True
    for place, char in enumerate(surface):
        byte = stream[place % len(stream)] ^ (place // len(stream))
        if char.isdigit():
            made.append("0" if first else str(byte % 10))
            first = False
        elif char.isalpha():
            made.append(_letter(byte) if char.isupper() else _letter(byte).lower())
        else:
            made.append(char)
    return "".join(made)
