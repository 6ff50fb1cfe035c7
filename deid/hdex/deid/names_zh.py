"""Chinese names in running text, by a score: the surname, the given name, what stands before and after.

No word of Chinese is set apart by a space, so a pattern alone either misses names or eats prose. Here every place where
a surname may begin is weighed: each of its parts speaks for or against a name, words that begin like one against. The
weights are data (gazetteer.toml, names_zh); they are the house's judgement, not learnt from a corpus.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from hdex.deid.pinyin import syllables
from hdex.deid.scheme import load_gazetteer

_LEAST = 2.2  # of a name
_BESIDE = 0.6  # of a name in a list with another one
_AGAIN = 0.0  # of two characters that are a name elsewhere in the same note
_EDGE, _INTRODUCED, _INSIDE_BEFORE, _INSIDE_AFTER = 1.0, 1.6, -2.0, -1.5
_SURNAME, _COMPOUND, _GIVEN, _UNKNOWN, _WORD = 0.6, 2.4, 0.6, -1.0, -5.0
_NEVER, _NO_NAME, _TITLE = -9.0, -5.0, 2.5
_LONGER = 0.5  # a character too many is lost prose, one too few is half a name left
_WIDEST = 4  # characters of context
_HAN = re.compile(r"[\u3400-\u9fff]")
_SEX_OR_AGE = re.compile(r"[,、 (]{1,2}(?:[男女](?![\u3400-\u9fff]|$)|[男女]性|\d{1,3} ?(?:周?岁|月|个月))")
_TOLD = re.compile(r" ?\((?:其|患者|女|男|电话|手机|\d{5}|住院号|病案号|身份证|床)|[: ]{0,2}\d{7}|:")
_JOINED = re.compile(r"[、和与及/]|以及| {1,2}")


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: int
    end: int
    score: float
    inside: bool  # of a longer word, as far as what stands before tells


@dataclass(frozen=True, slots=True)
class _Weights:
    """What the data file says, ready to be looked up."""

    first: frozenset[str]  # characters that a surname may begin with
    surnames: Mapping[str, float]
    given: Mapping[str, float]
    before: Mapping[str, float]
    after: Mapping[str, float]
    words: frozenset[str]


@cache
def _weights() -> _Weights:
    text = (resources.files("hdex.deid") / "data/gazetteer.toml").read_text(encoding="utf-8")
    raw: Mapping[str, Any] = tomllib.loads(text)["names_zh"]
    known = load_gazetteer()
    surnames = {name: _SURNAME if len(name) == 1 else _COMPOUND for name in known["surnames_zh"]}
    surnames |= {name: weight for name, weight in _by_character(raw["surnames"]).items() if name in surnames}
    words = frozenset(raw["ordinary"]["words"].split()) | known["not_names_zh"]
    return _Weights(
        frozenset(name[0] for name in surnames),
        surnames,
        dict.fromkeys(syllables(), _GIVEN) | _by_character(raw["given"]),
        _by_word(raw["before"]),
        _by_word(raw["after"]),
        words,
    )


def _by_character(table: Mapping[str, str]) -> dict[str, float]:
    """Weight by character; a character in two lists has the lower weight."""
    pairs = sorted(((float(weight), text) for weight, text in table.items()), reverse=True)
    return {char: weight for weight, text in pairs for char in text if not char.isspace()}


def _by_word(table: Mapping[str, str]) -> dict[str, float]:
    """Weight by word; a word in two lists has the higher weight."""
    pairs = sorted((float(weight), text) for weight, text in table.items())
    return {word: weight for weight, text in pairs for word in text.split()}


def find_names(text: str) -> list[tuple[int, int]]:
    """Return the spans [start, end) of Chinese names in a folded text, sorted, without overlap.

    Linear in the text but for two sorts: nothing here backtracks, so no time limit is asked.
    """
    candidates = list(_candidates(text))
    ranked = sorted(candidates, key=lambda one: -one.score)
    taken = bytearray(len(text))  # 1 where a name stands
    names = [one for one in ranked if one.score >= _LEAST and _takes(one, taken)]
    if not names:
        return []
    names += [
        one
        for one in ranked
        if one.score >= _BESIDE and not one.inside and _is_beside(text, one, taken) and _takes(one, taken)
    ]
    known = {text[one.start : one.end] for one in names}
    names += [one for one in candidates if _is_again(text, one, known) and _takes(one, taken)]
    return sorted((one.start, one.end) for one in names)


def _takes(one: _Candidate, taken: bytearray) -> bool:
    """Mark where a candidate stands; say whether the place was free."""
    if any(taken[one.start : one.end]):
        return False
    taken[one.start : one.end] = b"\x01" * (one.end - one.start)
    return True


def _candidates(text: str) -> Iterator[_Candidate]:
    """Yield every way to read a name that begins at each place where a surname may."""
    weights = _weights()
    for start, char in enumerate(text):
        if char not in weights.first:
            continue
        pair, triple = text[start : start + 2], text[start : start + 3]
        word = _WORD if pair in weights.words or triple in weights.words else 0.0
        before: float | None = None
        for surname in (char, pair):
            if surname not in weights.surnames:
                continue
            for end, given, after in _readings(text, start + len(surname)):
                before = _before(text, start) if before is None else before
                score = weights.surnames[surname] + word + before + given + after
                yield _Candidate(start, end, score, before < 0)


def _readings(text: str, bare: int) -> Iterator[tuple[int, float, float]]:
    """Yield end, weight of the given name and of what follows: a surname alone before a title, one character, two."""
    weights, given = _weights().given, 0.0
    if (after := _after(text, bare)) >= _TITLE:
        yield bare, -_LONGER, after
    for end in range(bare + 1, min(bare + 3, len(text) + 1)):
        char = text[end - 1]
        given += weights.get(char, _UNKNOWN if _HAN.match(char) else _NEVER)
        if given < _NO_NAME:
            return
        yield end, given + _LONGER * (end - bare - 1), _after(text, end)


def _before(text: str, start: int) -> float:
    """Weigh what stands before: a word that a name follows, an edge, or the inside of another word."""
    before = _weights().before
    at = start
    while at and text[at - 1] in " :\t" and start - at < 3:
        at -= 1
    for size in range(min(_WIDEST, at), 0, -1):
        weight = before.get(text[at - size : at])
        if weight is not None:
            return weight if at == start or weight > 2 else max(weight, _EDGE)
    if not start or text[start - 1] in ":\n":
        return _INTRODUCED
    return _INSIDE_BEFORE if _HAN.match(text[start - 1]) else _EDGE


def _after(text: str, end: int) -> float:
    """Weigh what stands after."""
    after = _weights().after
    for size in range(min(_WIDEST, len(text) - end), 0, -1):
        weight = after.get(text[end : end + size])
        if weight is not None:
            return weight
    if end < len(text) and _HAN.match(text[end]):
        return _INSIDE_AFTER
    if _SEX_OR_AGE.match(text, end):
        return 2.5
    return 1.5 if _TOLD.match(text, end) else _EDGE


def _is_beside(text: str, one: _Candidate, taken: bytearray) -> bool:
    """Say whether only a joining mark lies between this candidate and a name."""
    for size in (1, 2):
        left, right = one.start - size, one.end + size
        if left > 0 and taken[left - 1] and _JOINED.fullmatch(text, left, one.start):
            return True
        if right < len(text) and taken[right] and _JOINED.fullmatch(text, one.end, right):
            return True
    return False


def _is_again(text: str, one: _Candidate, known: set[str]) -> bool:
    """Say whether a candidate reads like a name that stands elsewhere in the note."""
    name = text[one.start : one.end]
    return name in known and (len(name) > 2 or (len(name) == 2 and one.score >= _AGAIN))
