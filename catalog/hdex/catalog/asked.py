"""What a query asks: its words, stems, pairs and phrases. Whatever is typed is text; only quotes mean something."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from hdex.catalog.stem import stem
from hdex.catalog.words import Field, SearchWords, han_runs, latin_words, pairs

MOST_TERMS = 24
PREFIX_FROM = 2  # letters from which a word is also the beginning of a longer one
WEIGHTS = {"title": 8, "keywords": 4, "body": 1}  # a term counts once, where it weighs most
_QUOTED = re.compile(r'["\u201c\u201d\u300c\u300d]')


class TermKind(StrEnum):
    """How a term is looked for."""

    WORD = "word"  # this word, a longer one that begins so, or one of the same stem
    PHRASE = "phrase"  # these words side by side
    PAIR = "pair"  # this pair of Han characters; one alone: any pair that begins with it
    HAN_PHRASE = "han phrase"  # these pairs side by side


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a hit must hold."""

    kind: TermKind
    tokens: tuple[str, ...]

    @property
    def word(self) -> str:
        """The word or pair of a term that is no phrase."""
        return self.tokens[0]

    @property
    def is_prefix(self) -> bool:
        """Whether longer words that begin so are meant too."""
        return len(self.word) >= PREFIX_FROM if self.kind == TermKind.WORD else len(self.word) == 1

    @property
    def stem(self) -> str:
        """The stem of a word."""
        return stem(self.word)


@lru_cache(maxsize=1024)
def terms(text: str) -> tuple[Term, ...]:
    """Return what a query asks, each thing once, in its order. A quote that is never closed quotes nothing."""
    parts = _QUOTED.split(text)
    if len(parts) % 2 == 0:
        parts[-2:] = [" ".join(parts[-2:])]
    found = (term for number, part in enumerate(parts) for term in (_quoted(part) if number % 2 else _free(part)))
    return tuple(dict.fromkeys(found))[:MOST_TERMS]


def _free(text: str) -> Iterator[Term]:
    yield from (Term(TermKind.WORD, (word,)) for word in latin_words(text))
    yield from (Term(TermKind.PAIR, (pair,)) for run in han_runs(text) for pair in pairs(run))


def _quoted(text: str) -> Iterator[Term]:
    if words := latin_words(text):
        yield Term(TermKind.PHRASE, words)
    for run in han_runs(text):
        held = pairs(run)
        yield Term(TermKind.HAN_PHRASE, held) if len(held) > 1 else Term(TermKind.PAIR, held)


def score(words: SearchWords, asked: tuple[Term, ...]) -> int:
    """Return how well a product fits, 0 where a term is missing. No term fits all."""
    total = 0
    for term in asked:
        best = next((weight for name, weight in WEIGHTS.items() if holds(getattr(words, name), term)), 0)
        if not best:
            return 0
        total += best
    return total or 1


def holds(field: Field, term: Term) -> bool:
    """Return whether a term occurs in one field."""
    if term.kind == TermKind.WORD:
        longer = term.is_prefix and any(word.startswith(term.word) for word in field.words)
        return longer or term.word in field.words or term.stem in field.words or term.stem in field.stems
    if term.kind == TermKind.PAIR:
        return term.word in field.han or (term.is_prefix and any(pair.startswith(term.word) for pair in field.han))
    held = field.words if term.kind == TermKind.PHRASE else field.han
    many = len(term.tokens)
    return any(held[at : at + many] == term.tokens for at in range(len(held) - many + 1))
