"""Two views of a text for matching, each with the way back to the code points of the original.

Folding undoes what hides an identifier from a pattern: full-width forms, zero-width characters, look-alike letters,
other dashes and spaces, line breaks and runs of white space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ZERO_WIDTH = (
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\ufe0e\ufe0f\ufeff"
)
_LOOKALIKE = dict(
    zip(
        "АВЕКМНОРСТХаеорсухіјѕԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧο‐‑‒–—―−﹣－·•",
        "ABEKMHOPCTXaeopcyxijsdABEZHIKMNOPTYXo---------··",
        strict=True,
    )
)
_TABLE: dict[int, str | None] = {
    **{0xFF01 + i: chr(0x21 + i) for i in range(94)},
    **{ord(a): b for a, b in _LOOKALIKE.items()},
    **dict.fromkeys((0x3000, 0xA0, 0x2002, 0x2003, 0x2007, 0x2009, 0x200A, 0x202F, 0x0B, 0x0C, 0x85), " "),
}
_DELETED = frozenset(_ZERO_WIDTH)
_PLAIN = re.compile(r"[ -~\n]*\Z")
_RUN = re.compile(r"[ \t\r\n]{2,}|[\t\r\n]")


@dataclass(frozen=True, slots=True)
class View:
    """A text made for matching; `offsets[i]` is the place of its i-th character in the original."""

    text: str
    offsets: range | list[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the code points of the original that a non-empty match covers."""
        return self.offsets[start], self.offsets[end - 1] + 1


def fold(text: str) -> View:
    """Return `text` with look-alikes and widths folded and zero-width characters removed; line breaks stay."""
    if _PLAIN.match(text):
        return View(text, range(len(text)))
    folded = text.translate(_TABLE)
    if not _DELETED.isdisjoint(folded):
        kept = [(i, c) for i, c in enumerate(folded) if c not in _DELETED]
        return View("".join(c for _, c in kept), [i for i, _ in kept])
    return View(folded, range(len(text)))


def flowing(view: View) -> View:
    """Return the view in lower case with every run of white space as one space."""
    text = view.text
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow in lower case
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if not _RUN.search(lowered):
        return View(lowered, view.offsets)
    characters, offsets, before = [], [], ""
    for place, char in enumerate(lowered):
        now = " " if char in " \t\r\n" else char
        if not (now == " " and before == " "):
            characters.append(now)
            offsets.append(view.offsets[place])
        before = now
    return View("".join(characters), offsets)


def compact(view: View) -> View:
    """Return the view in lower case with letters and digits only."""
    kept = [(i, c.lower()) for i, c in zip(view.offsets, view.text, strict=True) if c.isalnum()]
    return View("".join(c[0] for _, c in kept), [i for i, _ in kept])


@lru_cache(65536)
def key_of(value: str) -> str:
    """Return the flowing form of a value: what two spellings of one value share."""
    return flowing(fold(value.strip())).text


@lru_cache(65536)
def compact_key(value: str) -> str:
    """Return the compact form of a value."""
    return compact(fold(value)).text
