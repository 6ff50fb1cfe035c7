"""What the rooms say in English, in Chinese: a rule's meaning by its code, a sentence by its words (refusals.toml).

Errors, next steps and evidence are written once, in English, and travel so between participants. A page in Chinese
looks them up here; what is not there stays as it was written, and the page marks it as English.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from hdex.catalog.purposes import vocabulary_file
from hdex.catalog.vetting_rules import default_rules

FILE = "refusals.toml"
HOLE = "{}"  # stands for a value in both languages, in the same order
LONGEST = 2000  # of a sentence that is looked up: what a peer sends is not ours


def meaning_of(rule: str) -> str:
    """Return what a rule means, "" where nobody said. rule: its code, every other sign an underscore."""
    held = refusal_table()["rule"]
    parts = rule.split("_")
    families = ("_" + parts[-1], *("_".join(parts[:count]) + "_" for count in range(len(parts) - 1, 0, -1)))
    return next((held[one] for one in (rule, *families) if one in held), "")


def sentence_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return a sentence in Chinese, a hole where each value stands, and the values; None where it is not known."""
    held = _sentences()
    if text in held:
        return held[text], ()
    if len(text) > LONGEST:
        return None
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(text):
            return chinese, found.groups()
    return None


@cache
def refusal_table() -> dict[str, dict[str, str]]:
    """Return the file: rules, sentences of refusals, sentences of evidence."""
    return tomllib.loads(files("hdex.node.web").joinpath(FILE).read_text(encoding="utf-8"))


@cache
def _sentences() -> dict[str, str]:
    """Return every known sentence: ours, and those that the catalogue's own data say in both languages."""
    return {**dict(_of_the_catalogue()), **refusal_table()["evidence"], **refusal_table()["sentence"]}


def _of_the_catalogue() -> Iterator[tuple[str, str]]:
    for words in vocabulary_file()["rule"].values():
        yield from ((words[part]["en"], words[part]["zh"]) for part in ("why", "next"))
    for rule in default_rules().rules:
        yield from ((text.en, text.zh) for text in (rule.why, rule.next))


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences with holes, those with most words of their own first."""
    holed = sorted((en for en in _sentences() if HOLE in en), key=lambda en: -len(en))
    return tuple((_pattern(en), _sentences()[en]) for en in holed)


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, english.split(HOLE))), re.DOTALL)
