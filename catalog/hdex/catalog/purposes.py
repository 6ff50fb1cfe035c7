"""The vocabulary of purposes and of modifiers: Data Use Ontology words and ours, as data (data/purposes.toml)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

OBO = "http://purl.obolibrary.org/obo/"
OURS = "urn:hdex:purpose:"


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in English and Chinese."""

    en: str
    zh: str

    def say(self, lang: str) -> str:
        """Return the words in `lang`; English where it is neither."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Purpose:
    """One permitted use, or one modifier, of the vocabulary."""

    code: str
    short: str
    label: Text
    within: tuple[str, ...]
    ask: bool = False  # a sensitive subject: no rule answers, a committee does


def purposes() -> dict[str, Purpose]:
    """Return every purpose by its code, in the order of the vocabulary."""
    return _vocabulary("purpose")


def modifiers() -> dict[str, Purpose]:
    """Return every modifier by its code."""
    return _vocabulary("modifier")


def covers(permitted: str, purpose: str) -> bool:
    """Return whether permission for `permitted` is permission for `purpose`."""
    if permitted == purpose:
        return True
    known = purposes().get(purpose)
    return known is not None and any(covers(permitted, wider) for wider in known.within)


def rule_words(rule: str) -> tuple[Text, Text]:
    """Return why a rule answers as it does, and what the applicant can do next."""
    words = vocabulary_file()["rule"][rule]
    return Text(**words["why"]), Text(**words["next"])


def purpose_iri(code: str) -> str:
    """Return the IRI of a purpose or modifier: DUO's own, or ours."""
    return OBO + code.replace(":", "_") if code.startswith("DUO:") else OURS + code.partition(":")[2]


def purpose_name(text: str) -> str:
    """Return the IRI for a purpose however it is written: code, IRI or short name; other text as it is."""
    return _names().get(text, text)


def wider_purposes(iri: str) -> frozenset[str] | None:
    """Return a purpose and all that cover it, as IRIs; None for one that the vocabulary does not have."""
    return _wider().get(iri)


@cache
def vocabulary_file() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the file as it is: purposes, modifiers, and the words of each rule."""
    return tomllib.loads(files("hdex.catalog").joinpath("data/purposes.toml").read_text(encoding="utf-8"))


@cache
def _vocabulary(kind: str) -> dict[str, Purpose]:
    held = vocabulary_file()[kind].items()
    return {
        code: Purpose(code, str(v["short"]), Text(**v["label"]), tuple(v.get("within", ())), bool(v.get("ask")))
        for code, v in held
    }


@cache
def _names() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for code, entry in {**modifiers(), **purposes()}.items():
        iri = purpose_iri(code)
        found |= {code: iri, iri: iri, code.replace(":", "_"): iri, entry.short: iri}
    return found


@cache
def _wider() -> Mapping[str, frozenset[str]]:
    return {
        purpose_iri(code): frozenset(purpose_iri(wider) for wider in purposes() if covers(wider, code))
        for code in purposes()
    }
