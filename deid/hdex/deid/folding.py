"""Views of a text for matching, each with the way back to the code points of the original.

Folding undoes what hides an identifier from a pattern: full-width and mathematical forms, digits of other scripts,
zero-width characters and soft hyphens, look-alike letters, other dashes and spaces, accents written as marks of their
own, accented letters beyond Latin-1 (patterns name those of Latin-1). Flowing and compact views go further and are for
values that are known: no case, no accents, no separators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
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
        "АВЕКМНОРСТУХІЈЅЗаеорсухіјѕԁԛԝһкмтнвӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαειικνορτυχıɑɡŁłĐđĦħŦŧ‐‑‒–—―−﹣·•‧・",
        "ABEKMHOPCTYXIJS3aeopcyxijsdqwhkmthblABEZHIKMNOPTYXaeiikvoptuxiagLlDdHhTt--------····",
        strict=True,
    )
)
_PLAIN = re.compile(r"[ -~\n\r\t]*\Z")
_HIDDEN = re.compile(f"[{_DELETED}{_MARKS}]")
_RUN = re.compile(r"[ \t\r\n]{2,}|[\t\r\n]")
_GOES_ON = re.compile(r"\n[ \t]*[\d-]")
_LINE = re.compile(  # begins, and with no label
    r"\n[ \t]*(?:(?=([A-ZÀ-Ý][\w'’-]*))(?![\w '’()/-]{0,30}:)|(?=[\u3400-\u9fff\d])(?![^\n:]{0,6}:))"
)
_DAY = re.compile(r"\d{1,2}(?:st|nd|rd|th)?,? '?\d{2}")
_ABBREVIATED = re.compile(r"(?:\b(?:Dr|Mrs?|Ms|St)|[ .][A-Z])\.\Z")
_NEAR = 60  # characters beside a break that are read again
_APART = "\n|\n"
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
    if category in ("Lu", "Ll") and char > "ÿ" and (base := unicodedata.normalize("NFD", char)[0]) <= "z":
        return base
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
            characters[-1] = _FOLDED[ord(joined)] if len(joined) == 1 else characters[-1]
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


def rejoined(view: View, goes_on: Callable[[str], bool]) -> tuple[View, list[int]] | None:
    """Return the view where lines that break between words go on, and the places where they do; None without such.

    goes_on: whether a capitalised word may continue the line before. Only what stands near the places is in the view:
    pieces, apart by a bar. Where Han goes on no space is put; a line that begins with a label begins something new.
    """
    text = view.text
    begun = [found for found in _LINE.finditer(text) if found[1] is None or goes_on(found[1])] if "\n" in text else []
    breaks = [span for found in begun if (span := _break(text, found.start(), found.end()))]
    if not breaks:
        return None
    characters: list[str] = []
    offsets: list[int] = []
    places: list[int] = []
    done = 0  # what stands before is in the pieces
    for number, (start, end) in enumerate(breaks):
        before, after = max(done, start - _NEAR), min(end + _NEAR, len(text))
        if number + 1 < len(breaks):
            after = min(after, breaks[number + 1][0])
        if before > done and characters:
            characters += _APART
            offsets += [offsets[-1]] * len(_APART)
        gap = "" if _is_han(text[start - 1]) and (_is_han(text[end]) or text[end].isdigit()) else " "
        characters += [*text[before:start], *gap]
        offsets += [*view.offsets[before:start], *view.offsets[start : start + len(gap)]]
        places.append(len(characters))
        characters += text[end:after]
        offsets += view.offsets[end:after]
        done = after
    return View("".join(characters), offsets, view.tails), places


def _break(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the white space between two lines when the second may go on with the first, which ends in no sentence."""
    while start and text[start - 1] in " \t\r":
        start -= 1
    last, first = text[start - 1 : start], text[end]
    if _is_han(first) or (first.isdigit() and _is_han(last)):
        goes_on = _is_han(last)
    elif first.isdigit():
        goes_on = (last.isalpha() or last == ".") and _DAY.match(text, end) is not None
    else:
        is_inside = last.isalpha() or last in ",'’-"
        goes_on = bool(last) and (is_inside or _ABBREVIATED.search(text, max(start - 5, 0), start) is not None)
    return (start, end) if goes_on else None


def _is_han(char: str) -> bool:
    return "\u3400" <= char[:1] <= "\u9fff"


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


def without_accents(text: str) -> str:
    """Return the text in lower case, Latin letters without their accents."""
    return text.lower() if text.isascii() else text.translate(_BARE)


@lru_cache(65536)
def key_of(value: str) -> str:
    """Return the flowing form of a value: what two spellings of one value share."""
    return flowing(fold(value.strip())).text


@lru_cache(65536)
def compact_key(value: str) -> str:
    """Return the compact form of a value."""
    text = fold(value).text
    return "".join(filter(str.isalnum, text.lower() if text.isascii() else text.translate(_BARE)))
