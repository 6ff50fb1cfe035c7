"""Text -> search words. Latin text by word and stem; Han text, which has no spaces, as overlapping pairs of characters.

A full-text tokenizer keeps a Han sentence as one word and a trigram index cannot find the many Chinese terms of two
characters, so pairs have columns of their own. Every index takes its words from here and none makes its own: that is
why all of them find the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from hdex.catalog.stem import stem

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")
_WORD = re.compile(r"[^\W_]+")
GAP = "\ue000"  # stands between two texts, so that no phrase reaches from one into the next; no text can hold it
LONGEST_WORD = 40
MOST = {"title": 400, "keywords": 2000, "body": 8000}  # words of a field that are looked at


@dataclass(frozen=True, slots=True)
class Field:
    """The words of one field: in their order, their stems that are no word of it themselves, and the Han pairs."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    han: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchWords:
    """The words of one product by what weighs how much, and the names that a misspelt word may have meant."""

    title: Field
    keywords: Field
    body: Field
    names: tuple[str, ...]


def search_words(document: Mapping[str, Any]) -> SearchWords:
    """Return the words under which a product is found, from its document (which has been checked)."""
    title, keywords = document["title"], document.get("keywords", ())
    found = [_tokens(text) for text in keywords]
    english = _tokens(title["en"])
    return SearchWords(
        title=_field([english, _tokens(title["zh"]), _tokens(document["id"])], MOST["title"]),
        keywords=_field(found, MOST["keywords"]),
        body=_field(_body(document), MOST["body"]),
        names=tuple(sorted(_names([english, *found]).union(*map(_long_runs, keywords)))),
    )


def latin_words(text: str) -> tuple[str, ...]:
    """Return the words outside Han runs, folded: width, case and accents do not matter."""
    return tuple(word[:LONGEST_WORD] for word in _WORD.findall(_HAN.sub(" ", fold(text))))


def han_runs(text: str) -> tuple[str, ...]:
    """Return the runs of Han characters."""
    return tuple(_HAN.findall(fold(text)))


def pairs(run: str) -> tuple[str, ...]:
    """Return the overlapping pairs of a run; a lone character stands alone."""
    return tuple(run[at : at + 2] for at in range(max(1, len(run) - 1)))


def fold(text: str) -> str:
    """Return `text` in one width and case, without accents."""
    if text.isascii():
        return text.lower()
    bare = _marks().sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFKC", bare).casefold()


@cache
def _marks() -> "re.Pattern[str]":
    return re.compile(f"[{''.join(char for char in map(chr, range(0x20000)) if unicodedata.combining(char))}]")


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of one text."""

    words: tuple[str, ...]  # with a gap at the end
    stems: frozenset[str]
    han: tuple[str, ...]  # with a gap at the end of each run


def _body(document: Mapping[str, Any]) -> Iterator[_Tokens]:
    for text in (document["description"], document["provider"]["name"]):
        yield _tokens(text["en"])
        yield _tokens(text["zh"])
    for code in document.get("inclusion", ()):
        yield _tokens(code)
    for column in document["columns"]:
        title = column["title"]
        yield _column(column["name"], title["en"], title["zh"], column.get("concept") or "")


@lru_cache(maxsize=16384)  # products of one kind have the same columns
def _column(*texts: str) -> _Tokens:
    parts = [_tokens(text) for text in texts]
    words = tuple(word for part in parts for word in part.words)
    han = tuple(pair for part in parts for pair in part.han)
    return _Tokens(words, frozenset[str]().union(*(part.stems for part in parts)), han)


def _field(parts: Iterable[_Tokens], most: int) -> Field:
    words: list[str] = []
    han: list[str] = []
    stems: set[str] = set()
    for part in parts:
        words += part.words
        han += part.han
        stems |= part.stems
    held = tuple(words[:most])
    stems.difference_update(held)
    return Field(held, tuple(sorted(stems)), tuple(han[:most]))


@lru_cache(maxsize=16384)  # hospitals have the same names, and keywords come again
def _tokens(text: str) -> _Tokens:
    folded = fold(text)
    runs = _HAN.findall(folded)
    latin = [word[:LONGEST_WORD] for word in _WORD.findall(_HAN.sub(" ", folded) if runs else folded)]
    # of each run the last character stands alone too, so that one character finds it
    han = [token for run in runs for token in (*(run[at : at + 2] for at in range(len(run))), GAP)]
    return _Tokens((*latin, GAP) if latin else (), frozenset(map(stem, latin)), tuple(han))


def _names(parts: Iterable[_Tokens]) -> set[str]:
    """Return what a misspelt word is compared with: the longer words of title and keywords."""
    return {word for part in parts for word in part.words if len(word) > 3 and not word.isdigit()}


def _long_runs(text: str) -> list[str]:
    """Return Chinese keywords as a whole."""
    return [] if text.isascii() else [run for run in han_runs(text) if 2 < len(run) < 13]
