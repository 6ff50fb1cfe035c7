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
from typing import Any, NamedTuple

from hdex.catalog.stem import stem

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[\x00-\x7f\u3001-\u3029\u3041-\u3096\u3400-\u4dbf\u4e00-\u9fff]*")  # no mark, nothing composed
WORDS_VERSION = "2"  # of what is made here: an index that holds another is made anew
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
    return SearchWords(
        title=_field([_tokens(title["en"]), _tokens(title["zh"]), _tokens(document["id"])], MOST["title"]),
        keywords=_field([_tokens(text) for text in keywords], MOST["keywords"]),
        body=_field(_body(document), MOST["body"]),
        names=tuple(sorted(_names(_tokens(title["en"])).union(*map(_keyword_names, keywords)))),
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
    bare = unicodedata.normalize("NFKD", text.casefold())
    if _PLAIN.fullmatch(bare):
        return bare  # as the steps below would leave it, for a third of their time
    bare = _marks().sub("", bare)
    return unicodedata.normalize("NFKC", bare).casefold()


@cache
def _marks() -> "re.Pattern[str]":
    return re.compile(f"[{''.join(char for char in map(chr, range(0x20000)) if unicodedata.combining(char))}]")


class _Tokens(NamedTuple):
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
    yield _columns(
        tuple(
            text
            for column in document["columns"]
            for title in (column["title"],)
            for text in (column["name"], title["en"], title["zh"], column.get("concept") or "")
        )
    )


@lru_cache(maxsize=4096)  # versions of one product, and products of one kind, have the same columns
def _columns(texts: tuple[str, ...]) -> _Tokens:
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
    if folded.isascii():
        plain = [word[:LONGEST_WORD] for word in _WORD.findall(folded)]
        return _Tokens((*plain, GAP) if plain else (), frozenset(map(stem, plain)), ())
    runs = _HAN.findall(folded)
    latin = [word[:LONGEST_WORD] for word in _WORD.findall(_HAN.sub(" ", folded) if runs else folded)]
    # of each run the last character stands alone too, so that one character finds it
    han = [token for run in runs for token in (*(run[at : at + 2] for at in range(len(run))), GAP)]
    return _Tokens((*latin, GAP) if latin else (), frozenset(map(stem, latin)), tuple(han))


def _names(found: _Tokens) -> set[str]:
    """Return what a misspelt word is compared with: the longer words."""
    return {word for word in found.words if len(word) > 3 and not word.isdigit()}


@lru_cache(maxsize=16384)
def _keyword_names(text: str) -> frozenset[str]:
    """Return the longer words of a keyword, and a Chinese one as a whole."""
    runs = () if text.isascii() else han_runs(text)
    return frozenset(_names(_tokens(text))).union(run for run in runs if 2 < len(run) < 13)
