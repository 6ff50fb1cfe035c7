"""Chinese names in Latin letters."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import islice, product

_MOST = 8  # spellings of one name


@cache
def syllables() -> Mapping[str, tuple[str, ...]]:
    """Return the syllables of each character that is common in names."""
    raw = tomllib.loads((resources.files("hdex.deid") / "data/pinyin.toml").read_text(encoding="utf-8"))
    found: dict[str, tuple[str, ...]] = {}
    for syllable, characters in raw.items():
        for character in characters:
            found[character] = (*found.get(character, ()), syllable)
    return found


def latin_spellings(family: str, given: str) -> list[str]:
    """Return family and given name in Latin letters, both orders, without separators; empty when one is not known."""
    known = syllables()
    if any(character not in known for character in family + given):
        return []
    return [
        text
        for parts in islice(product(*(known[character] for character in family + given)), _MOST)
        for first, last in [("".join(parts[: len(family)]), "".join(parts[len(family) :]))]
        for text in (first + last, last + first)
    ]
