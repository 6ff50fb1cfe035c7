"""Text -> search words. Latin text by word and stem; Han text, which has no spaces, as overlapping pairs of characters.

A full-text tokenizer keeps a Han sentence as one word and a trigram index cannot find the many Chinese terms of two
characters, so pairs have columns of their own. Every index takes its words from here and none makes its own: that is
why all of them find the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
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
    title, keywords = [*_both(document["title"]), document["id"]], list(document.get("keywords", ()))
    return SearchWords(
        title=_field(title, MOST["title"]),
        keywords=_field(keywords, MOST["keywords"]),
        body=_field(list(_body(document)), MOST["body"]),
        names=_names([document["title"]["en"], *keywords], keywords),
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


def _both(text: Mapping[str, str]) -> tuple[str, str]:
    return text["en"], text["zh"]


def _body(document: Mapping[str, Any]) -> Iterable[str]:
    yield from _both(document["description"])
    yield from _both(document["provider"]["name"])
    yield from document.get("inclusion", ())
    for column in document["columns"]:
        yield column["name"]
        yield from _both(column["title"])
        yield column.get("concept") or ""


def _field(texts: Sequence[str], most: int) -> Field:
    words: list[str] = []
    han: list[str] = []
    for text in texts:
        latin, runs = _tokens(text)
        words += latin
        han += runs
    held = tuple(words[:most])
    plain = set(held)
    stems = {root for word in plain if (root := stem(word)) not in plain}
    return Field(held, tuple(sorted(stems)), tuple(han[:most]))


@lru_cache(maxsize=8192)  # products of one kind share the titles of their columns, and hospitals their names
def _tokens(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folded = fold(text)
    runs = _HAN.findall(folded)
    latin = [word[:LONGEST_WORD] for word in _WORD.findall(_HAN.sub(" ", folded) if runs else folded)]
    # of each run the last character stands alone too, so that one character finds it
    han = [token for run in runs for token in (*(run[at : at + 2] for at in range(len(run))), GAP)]
    return (*latin, GAP) if latin else (), tuple(han)


def _names(texts: Sequence[str], keywords: Sequence[str]) -> tuple[str, ...]:
    """Return what a misspelt word is compared with: Latin words of title and keywords, Chinese keywords as a whole."""
    latin = {word for text in texts for word in _tokens(text)[0] if len(word) > 3 and not word.isdigit()}
    han = {run for text in keywords if not text.isascii() for run in han_runs(text) if 2 < len(run) < 13}
    return tuple(sorted(latin | han))
