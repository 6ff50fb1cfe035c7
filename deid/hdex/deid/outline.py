"""What a text is made of, at a glance: whether a pattern can match at all is cheaper to see than to try.

Most patterns find nothing in most notes. Each says what every one of its matches holds; a note without it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_HEAD = re.compile(r"[A-Z]+[a-z]*")
_BLOCKS = str.maketrans("Aa0", "xxx")
_SEPARATORS = str.maketrans("", "", " \t\n\r\f\v.·_-()")


class _Layout(dict[int, str]):
    """The class of each code point, worked out when it is first met: A, a, 0, or the character itself."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        is_lower = char.islower() or char == "÷"  # × and ÷ stand among the letters in ranges of patterns
        kind = "A" if char.isupper() or char == "×" else "a" if is_lower else "0" if char.isdigit() else char
        self[point] = kind
        return kind


_LAYOUT = _Layout()
_LAYOUT_ASCII = "".join(_LAYOUT[point] for point in range(128))  # a table that translate reads without asking a dict


@dataclass(frozen=True, slots=True)
class Outline:
    """A folded text in the forms that needs are looked for in."""

    text: str
    lower: str
    layout: str  # capitals as A, small letters as a, digits as 0
    blocks: str  # the layout with all three as x
    runs: str  # the layout without what may separate the digits of a number
    heads: frozenset[str]  # runs of capitals with the small letters that follow
    digits: int

    @classmethod
    def of(cls, text: str) -> Outline:
        """Return the outline of a folded text."""
        layout = text.translate(_LAYOUT_ASCII if text.isascii() else _LAYOUT)
        blocks, runs = layout.translate(_BLOCKS), layout.translate(_SEPARATORS)
        return cls(text, text.lower(), layout, blocks, runs, frozenset(_HEAD.findall(text)), layout.count("0"))


@dataclass(frozen=True, slots=True)
class Needs:
    """What every match of a pattern holds: of each field that is given, at least one member."""

    texts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # in lower case
    layouts: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    run: int = 0  # digits in a row, separators aside
    heads: frozenset[str] = frozenset()
    digits: int = 0  # that many, anywhere

    def met(self, outline: Outline) -> bool:
        """Say whether a text has what is needed: without it no match is possible, with it one may be."""
        return bool(Plan([(self, self)]).possible(outline))


NOTHING = Needs()


class Glance:
    """Outlines a text once for all that ask for it one after the other."""

    def __init__(self) -> None:
        self._last = Outline.of("")

    def of(self, text: str) -> Outline:
        """Return the outline of a text."""
        outline = self._last  # read once: another thread may put another there
        if outline.text is not text:
            self._last = outline = Outline.of(text)
        return outline


_Asked = tuple[int, tuple[str, ...]]  # the number of a form, and what is looked for in it


class Plan(Generic[T]):
    """Things with their needs, laid out so that one pass over them costs little."""

    def __init__(self, things: Iterable[tuple[T, Needs]]) -> None:
        self._steps = [(thing, *_step(needs)) for thing, needs in things]

    def possible(self, outline: Outline) -> list[T]:
        """Return the things whose needs are met, in their order."""
        forms = (outline.text, outline.lower, outline.layout, outline.blocks, outline.runs)
        digits, heads_there, found = outline.digits, outline.heads, []
        for thing, least, heads_needed, form, members, more in self._steps:
            if least > digits or (heads_needed and heads_needed.isdisjoint(heads_there)):
                continue
            text = forms[form]
            for member in members:
                if member in text:
                    break
            else:
                continue
            if not more or _holds_all(forms, more):
                found.append(thing)
        return found


def _holds_all(forms: Sequence[str], asked: Sequence[_Asked]) -> bool:
    for form, members in asked:
        for member in members:
            if member in forms[form]:
                break
        else:
            return False
    return True


def _step(needs: Needs) -> tuple[int, frozenset[str], int, tuple[str, ...], list[_Asked]]:
    """Lay out one thing's needs: the form asked first with its members, then the others; "" stands in every text."""
    run = ("0" * needs.run,) if needs.run else ()
    forms = ((4, run), (2, needs.layouts), (1, needs.words), (0, needs.texts), (3, needs.blocks))
    asked = [(form, members) for form, members in forms if members] or [(0, ("",))]
    return max(needs.digits, needs.run), needs.heads, *asked[0], asked[1:]


def heads(alternatives: str) -> frozenset[str]:
    """Return the capitalised words that stand in the source of a pattern, one of which each match holds."""
    return frozenset(_HEAD.findall(alternatives))


def first_heads(alternatives: str) -> frozenset[str]:
    """Return the first capitalised word of each alternative, where a match begins with it."""
    return frozenset(found.group() for one in alternatives.split("|") if (found := _HEAD.search(one)))
