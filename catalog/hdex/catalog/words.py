"""Text -> search words. Latin text by word; Han text, which has no spaces, as overlapping pairs of characters.

The full-text tokenizer keeps a Han sentence as one word and a trigram index cannot find the many Chinese terms of
two characters, so pairs have columns of their own.
"""

import re
import unicodedata
from dataclasses import dataclass

from hdex.catalog.product import DataProduct

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class SearchWords:
    """The words of one product: what a title says weighs more."""

    title: tuple[str, ...]
    body: tuple[str, ...]
    han_title: tuple[str, ...]
    han_body: tuple[str, ...]


def search_words(product: DataProduct) -> SearchWords:
    """Return the words under which `product` is found."""
    title = f"{product.title.en}\n{product.title.zh}\n{product.id}"
    columns = (f"{c.name}\n{c.title.en}\n{c.title.zh}\n{c.concept or ''}" for c in product.columns)
    about = (product.description, product.provider.name)
    words = (part for text in about for part in (text.en, text.zh))
    body = "\n".join([*words, *product.keywords, *product.inclusion, *columns])
    return SearchWords(latin_words(title), latin_words(body), han_pairs(title), han_pairs(body))


def latin_words(text: str) -> tuple[str, ...]:
    """Return the words outside Han runs, folded: width, case and accents do not matter."""
    return tuple(_WORD.findall(_HAN.sub(" ", fold(text))))


def han_pairs(text: str) -> tuple[str, ...]:
    """Return the overlapping pairs of each Han run and its last character, so that one character finds it too."""
    return tuple(run[at : at + 2] for run in _HAN.findall(fold(text)) for at in range(len(run)))


def han_runs(text: str) -> tuple[str, ...]:
    """Return the Han runs of a query."""
    return tuple(_HAN.findall(fold(text)))


def asked_pairs(text: str) -> tuple[str, ...]:
    """Return the pairs that a hit must hold; a lone character stands alone and is asked as a prefix."""
    runs = han_runs(text)
    return tuple(run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1)))


def fold(text: str) -> str:
    """Return `text` in one width and case, without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFKC", bare)
