"""What a text is made of, at a glance: whether a pattern can match at all is cheaper to see than to try.

Most patterns find nothing in most notes. Each says what every one of its matches holds; a note without it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = re.compile(r"[A-Z]+[a-z]*")
_BLOCKS = str.maketrans("Aa0", "xxx")


class _Layout(dict[int, str]):
    """The class of each code point, worked out when it is first met: A, a, 0, or the character itself."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        is_lower = char.islower() or char == "÷"  # × and ÷ stand among the letters in ranges of patterns
        kind = "A" if char.isupper() or char == "×" else "a" if is_lower else "0" if char.isdigit() else char
        self[point] = kind
        return kind


_LAYOUT = _Layout()


@dataclass(frozen=True, slots=True)
class Outline:
    """A folded text in the forms that needs are looked for in."""

    text: str
    lower: str
    layout: str  # capitals as A, small letters as a, digits as 0
    blocks: str  # the layout with all three as x
    heads: frozenset[str]  # runs of capitals with the small letters that follow
    digits: int

    @classmethod
    def of(cls, text: str) -> Outline:
        """Return the outline of a folded text."""
        layout = text.translate(_LAYOUT)
        blocks = layout.translate(_BLOCKS)
        return cls(text, text.lower(), layout, blocks, frozenset(_HEAD.findall(text)), layout.count("0"))


@dataclass(frozen=True, slots=True)
class Needs:
    """What every match of a pattern holds: of each field that is given, at least one member."""

    texts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # in lower case
    layouts: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    heads: frozenset[str] = frozenset()
    digits: int = 0  # that many, anywhere

    def met(self, outline: Outline) -> bool:
        """Say whether a text has what is needed: without it no match is possible, with it one may be."""
        return (
            outline.digits >= self.digits
            and (not self.heads or not self.heads.isdisjoint(outline.heads))
            and (not self.layouts or _holds(outline.layout, self.layouts))
            and (not self.words or _holds(outline.lower, self.words))
            and (not self.texts or _holds(outline.text, self.texts))
            and (not self.blocks or _holds(outline.blocks, self.blocks))
        )


NOTHING = Needs()


def _holds(text: str, members: Sequence[str]) -> bool:
    for member in members:  # noqa: SIM110  # a generator for any() costs more than the search
        if member in text:
            return True
    return False


def heads(alternatives: str) -> frozenset[str]:
    """Return the capitalised words that stand in the source of a pattern, one of which each match holds."""
    return frozenset(_HEAD.findall(alternatives))
