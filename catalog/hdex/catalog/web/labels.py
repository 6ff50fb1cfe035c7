"""The pages' words by key: labels.toml, `section.name`."""

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "zh")
Say = Callable[[str], str]


@cache
def labels() -> dict[str, dict[str, dict[str, str]]]:
    """Return the whole table."""
    return tomllib.loads(files("hdex.catalog.web").joinpath("labels.toml").read_text(encoding="utf-8"))


@cache
def speaker(lang: str) -> Say:
    """Return the function that says a key in `lang`. An unknown key is a programming error and raises KeyError."""
    said = {
        f"{section}.{name}": words[lang] for section, entries in labels().items() for name, words in entries.items()
    }
    return said.__getitem__


def word(section: str, name: str, lang: str) -> str:
    """Return the label of a value that comes from a document; the value itself where there is none."""
    held = labels()[section].get(name)
    return held[lang] if held else name.replace("_", " ")
