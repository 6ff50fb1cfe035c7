"""Who would attack a release, and what he is assumed to know: named recipients, each a data file.

A file tells facts ("the month of implantation") and how to find the columns that hold them: by the codes of the element
catalogue, and by column names as they are usual in English and Chinese (`*` stands for anything).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hdex.deid.errors import ArgumentInvalid, PolicyInvalid
from hdex.deid.scheme import load_catalogue

NAMES = ("device_maker", "insurer", "distributor", "employer", "neighbour", "acquaintance")  # in the order tried
LANGUAGES = ("en", "zh")


class Reads(StrEnum):
    """How exactly a fact is known."""

    EXACT = "exact"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing an attacker knows of his target."""

    title: Mapping[str, str]
    names: tuple[str, ...] = ()  # usual column names, * for anything
    elements: tuple[str, ...] = ()  # codes of the element catalogue
    reads: Reads = Reads.EXACT
    least: bool = False  # every attacker of this kind knows it; the other facts where the table has them
    event: bool = False  # happens to one person several times: part of a trajectory

    def __post_init__(self) -> None:
        if not self.names and not self.elements:
            raise PolicyInvalid(f"the fact {self.title['en']} has neither names nor elements")
        unknown = sorted(set(self.elements) - set(load_catalogue().by_code))
        if unknown:
            raise PolicyInvalid(f"the fact {self.title['en']} has elements {unknown}; the catalogue has none such")


@dataclass(frozen=True, slots=True)
class Known:
    """A column of a table whose value an attacker knows."""

    column: str
    reads: Reads = Reads.EXACT
    event: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of attacker. title: a sentence per language in which {known} stands for his facts."""

    name: str
    title: Mapping[str, str]
    facts: tuple[Fact, ...]
    recipients: tuple[str, ...] = ()  # classes of recipients that may turn into this attacker

    def least(self) -> tuple[Fact, ...]:
        """The facts every attacker of this kind has; all of them where none is marked."""
        return tuple(fact for fact in self.facts if fact.least) or self.facts

    def told(self, facts: Sequence[Fact] | None = None) -> dict[str, str]:
        """The title with the facts spelled out, per language."""
        chosen = self.facts if facts is None else facts
        ways = {"en": (", ", " and "), "zh": ("、", "和")}
        return {
            lang: text.replace("{known}", listed([fact.title[lang] for fact in chosen], *ways[lang]))
            for lang, text in self.title.items()
        }


def listed(words: Sequence[str], between: str, last: str) -> str:
    """Words as a sentence lists them."""
    return last.join(filter(None, [between.join(words[:-1]), *words[-1:]]))


@cache
def profiles() -> tuple[Profile, ...]:
    """The attackers of the house, in the order in which they are tried."""
    folder = files("hdex.deid").joinpath("data/attackers")
    return tuple(parse(folder.joinpath(f"{name}.toml").read_text("utf-8"), name) for name in NAMES)


def load(asked: str) -> Profile:
    """The attacker of that name, or of the TOML file at that path.

    Raises ArgumentInvalid where there is neither, PolicyInvalid for a file that says what we do not understand.
    """
    for profile in profiles():
        if profile.name == asked:
            return profile
    path = Path(asked)
    if not path.is_file():
        raise ArgumentInvalid(f"attacker {asked} is neither a file nor one of {', '.join(NAMES)}")
    try:
        return parse(path.read_text("utf-8"), path.stem)
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{path.name} is not UTF-8 text") from error


def parse(text: str, name: str) -> Profile:
    """A profile from TOML text; unknown keys are errors."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid(f"attacker {name} is not TOML: {error}") from error
    require_keys(table, {"title", "recipients", "fact"}, {"title", "fact"}, f"attacker {name}")
    title = spoken(table["title"], f"attacker {name}")
    facts = table["fact"]
    if not isinstance(facts, list) or not facts:
        raise PolicyInvalid(f"attacker {name} has no [[fact]]")
    told = tuple(fact_of(entry, f"attacker {name}, fact {number}") for number, entry in enumerate(facts, 1))
    return Profile(name, title, told, texts(table.get("recipients", []), f"recipients of attacker {name}"))


def fact_of(entry: object, where: str) -> Fact:
    """One fact from its TOML table."""
    if not isinstance(entry, dict):
        raise PolicyInvalid(f"{where} is not a table")
    require_keys(entry, {one.name for one in fields(Fact)}, {"title"}, where)
    reads = entry.get("reads", "exact")
    if reads not in list(Reads):
        raise PolicyInvalid(f"{where}: reads is one of {', '.join(Reads)}")
    flags = {key: entry.get(key, False) for key in ("least", "event")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise PolicyInvalid(f"{where}: least and event are true or false")
    names, elements = (texts(entry.get(key, []), f"{where}: {key}") for key in ("names", "elements"))
    return Fact(spoken(entry["title"], where), names, elements, Reads(reads), **flags)


def require_keys(table: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    """Raise PolicyInvalid for keys that are not known, or needed ones that are not there."""
    if unknown := sorted(set(table) - known):
        raise PolicyInvalid(f"{where} has unknown keys {unknown}, known are {sorted(known)}")
    if missing := sorted(needed - set(table)):
        raise PolicyInvalid(f"{where} lacks {missing}")


def spoken(value: object, where: str) -> Mapping[str, str]:
    """A text in both languages; a plain text stands for both."""
    if isinstance(value, str):
        return dict.fromkeys(LANGUAGES, value)
    is_pair = isinstance(value, dict) and set(value) == set(LANGUAGES)
    if not isinstance(value, dict) or not is_pair or not all(isinstance(text, str) for text in value.values()):
        raise PolicyInvalid(f"{where}: title is a text, or texts en and zh")
    return dict(value)


def texts(value: object, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise PolicyInvalid(f"{where} is not a list of texts")
    return tuple(value)


def known_columns(
    profile: Profile,
    columns: Sequence[str],
    *,
    elements: Mapping[str, str | None] | None = None,
    facts: Sequence[Fact] | None = None,
) -> tuple[Known, ...]:
    """The columns of a table that `profile` knows, in the order of his facts; each column once.

    elements: column -> code in the element catalogue, as classified; None: as the catalogue reads the names.
    """
    read = {name: element_of(name) for name in columns} if elements is None else elements
    found: dict[str, Known] = {}
    for fact in profile.facts if facts is None else facts:
        for name in columns:
            if name not in found and (read.get(name) in fact.elements or is_named(name, fact.names)):
                found[name] = Known(name, fact.reads, fact.event)
    return tuple(found.values())


def element_of(column: str) -> str | None:
    """The code of the element that the catalogue reads in a column's name."""
    found = load_catalogue().match(column)
    return found.element.code if found else None


def is_named(column: str, patterns: Sequence[str]) -> bool:
    """Whether a column's name fits one of the patterns; case and what stands between words do not matter."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", column)
    return any(fnmatchcase(joined(one), pattern) for one in (column, split) for pattern in patterns)


def joined(name: str) -> str:
    """A name in lower case with its words joined by one underscore."""
    return "_".join(re.findall(r"[0-9a-z\u3400-\u9fff]+", name.strip().lower()))


def fits(profile: Profile, columns: Sequence[str]) -> bool:
    """Whether a table has a column for each fact that every attacker of this kind has."""
    return all(known_columns(profile, columns, facts=[fact]) for fact in profile.least())


def attacker_of(columns: Sequence[str], *, recipient: str = "") -> Profile:
    """The attacker that `recipient` (a name or class) may turn into, else the first that fits, else the last there is.

    Of a class with several attackers it is the first that fits; a recipient named as an attacker is that attacker as
    soon as he knows one column.
    """
    for profile in profiles():
        if profile.name == recipient and known_columns(profile, columns):
            return profile
    of_class = [profile for profile in profiles() if recipient and recipient in profile.recipients]
    return next((profile for profile in (*of_class, *profiles()) if fits(profile, columns)), profiles()[-1])
