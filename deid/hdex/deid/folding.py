"""Views of a text for matching, each with the way back to the code points of the original.

Folding undoes what hides an identifier from a pattern: full-width and mathematical forms, digits of other scripts,
zero-width characters and soft hyphens, look-alike letters, other dashes and spaces, accents written as marks of their
own. Flowing and compact views go further and are for values that are known: no case, no accents, no separators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress

_DELETED = (
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef"
)
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
_LOOKALIKE = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅЗаеорсухіјѕԁԛԝһкмтнвӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαειικνορτυχıɑɡ‐‑‒–—―−﹣·•‧・",
        "ABEKMHOPCTYXIJS3aeopcyxijsdqwhkmthblABEZHIKMNOPTYXaeiikvoptuxiag--------····",
        strict=True,
    )
)
_PLAIN = re.compile(r"[ -~\n\r\t]*\Z")
_HIDDEN = re.compile(f"[{_DELETED}{_MARKS}]")
_RUN = re.compile(r"[ \t\r\n]{2,}|[\t\r\n]")
_GOES_ON = re.compile(r"\n[ \t]*[\d-]")
_BREAK = re.compile(r"(?<=[\d-])[ \t]*\r?\n[ \t]*(?=[\d-])")


class _Folded(dict[int, str]):
    """What each code point looks like, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        self[point] = made = _looks(chr(point))
        return made


def _looks(char: str) -> str:
    """Return the ASCII character that `char` is a form of, else `char`."""
    if char in _LOOKALIKE:
        return _LOOKALIKE[char]
    category = unicodedata.category(char)
    if category == "Zs" or char in "\x0b\x0c\x85":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(char))
    plain = unicodedata.normalize("NFKC", char)
    is_ascii = len(plain) == 1 and " " <= plain <= "~"
    return (
        plain
        if is_ascii and category in ("Lu", "Ll", "Nl", "Po", "Ps", "Pe", "Pd", "Pc", "Sm", "Sc", "Sk", "So")
        else char
    )


class _Bare(dict[int, str]):
    """Each code point in lower case and without its accent."""

    def __missing__(self, point: int) -> str:
        low = chr(point).lower()
        base = unicodedata.normalize("NFD", low)[:1]
        self[point] = made = base if "a" <= base <= "z" else low[:1]
        return made


_FOLDED, _BARE = _Folded(), _Bare()


@dataclass(frozen=True, slots=True)
class View:
    """A text made for matching; `offsets[i]` is the place of its i-th character in the original.

    tails: marks of its own that follow a character of the original and belong to it.
    """

    text: str
    offsets: range | list[int]
    tails: Mapping[int, int] = field(default_factory=dict)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the code points of the original that a non-empty match covers."""
        last = self.offsets[end - 1]
        return self.offsets[start], last + 1 + self.tails.get(last, 0)


def fold(text: str) -> View:
    """Return `text` with look-alikes and widths folded and hidden characters removed; line breaks stay."""
    if _PLAIN.match(text):
        return View(text, range(len(text)))
    folded = text.translate(_FOLDED)
    return _revealed(folded) if _HIDDEN.search(folded) else View(folded, range(len(text)))


def _revealed(text: str) -> View:
    """Drop zero-width characters; join marks with the letter they stand on, or drop them."""
    characters: list[str] = []
    offsets: list[int] = []
    tails: dict[int, int] = {}
    for place, char in enumerate(text):
        if not _HIDDEN.match(char):
            characters.append(char)
            offsets.append(place)
        elif unicodedata.combining(char) and characters:
            joined = unicodedata.normalize("NFC", characters[-1] + char)
            characters[-1] = joined if len(joined) == 1 else characters[-1]
            tails[offsets[-1]] = place - offsets[-1]
    return View("".join(characters), offsets, tails)


def unbroken(view: View) -> View | None:
    """Return the view without the line breaks inside numbers; None when there are none."""
    if not _GOES_ON.search(view.text):
        return None
    breaks = [found.span() for found in _BREAK.finditer(view.text)]
    if not breaks:
        return None
    edges = [0, *(edge for span in breaks for edge in span), len(view.text)]
    kept = list(zip(edges[::2], edges[1::2], strict=True))
    offsets = [view.offsets[place] for start, end in kept for place in range(start, end)]
    return View("".join(view.text[start:end] for start, end in kept), offsets, view.tails)


def flowing(view: View) -> View:
    """Return the view in lower case, without accents, with every run of white space as one space."""
    text = view.text.lower() if view.text.isascii() else view.text.translate(_BARE)
    if not _RUN.search(text):
        return View(text, view.offsets, view.tails)
    pieces: list[str] = []
    offsets: list[int] = []
    at = 0
    for run in _RUN.finditer(text):
        start, end = run.span()
        pieces += (text[at:start], " ")
        offsets += view.offsets[at : start + 1]
        at = end
    return View("".join([*pieces, text[at:]]), [*offsets, *view.offsets[at:]], view.tails)


def compact(view: View) -> View:
    """Return the view in lower case with letters and digits only."""
    text = view.text.lower() if view.text.isascii() else view.text.translate(_BARE)
    kept = list(map(str.isalnum, text))
    return View("".join(compress(text, kept)), list(compress(view.offsets, kept)), view.tails)


@lru_cache(65536)
def key_of(value: str) -> str:
    """Return the flowing form of a value: what two spellings of one value share."""
    return flowing(fold(value.strip())).text


@lru_cache(65536)
def compact_key(value: str) -> str:
    """Return the compact form of a value."""
    text = fold(value).text
    return "".join(filter(str.isalnum, text.lower() if text.isascii() else text.translate(_BARE)))
