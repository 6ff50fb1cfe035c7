"""A language as a TOML file: rules, word lists, models. What a site adds without a line of code.

Keys: `language`; `extends` (a language to add to); `date_order` (mdy or dmy); `[lists]` words (an array, or a text
split at white space); `[parts]` pieces of patterns; `[[rules]]` with name, type, pattern and, where wanted, digits,
trigger, wrapped, whole (the whole match counts although there are groups), check (a check of identifiers.py by its
name: "dni" is dni_valid), known and unknown ([{list, word}], word being first, last, any or whole: every one must hold,
none of `unknown` may).
`{{name}}` stands for a part or for any word of a list. `[model]` is read by detector_presidio.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import regex  # type: ignore[import-untyped]  # the engine of presidio: unlike re it can be given a time limit

from hdex.deid import identifiers
from hdex.deid.errors import ArgumentInvalid, PolicyInvalid
from hdex.deid.rules import RULES_ANY, Rule
from hdex.deid.rules_en import RULES_EN
from hdex.deid.rules_zh import RULES_ZH

HOUSE_RULES: Mapping[str, tuple[Rule, ...]] = {"en": (*RULES_ANY, *RULES_EN), "zh": (*RULES_ANY, *RULES_ZH)}
_HOME = resources.files("hdex.deid") / "data/languages"
_TOP = {"language", "extends", "date_order", "lists", "parts", "rules", "model"}
_RULE = {"name", "type", "pattern", "digits", "trigger", "wrapped", "whole", "check", "known", "unknown"}
_MODEL = {"engine", "name", "labels", "ignore"}
_WORD = {"first": 0, "last": -1}
Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model that reads a language beside the rules. Never downloaded: a path, or an installed package."""

    engine: str  # spacy or transformers
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)  # the model's labels -> our types
    ignore: tuple[str, ...] = ()  # labels that identify nobody


@dataclass(frozen=True, slots=True)
class LanguageFile:
    """What one file says."""

    language: str
    rules: tuple[Rule, ...]
    model: Model | None = None
    day_first: bool = False  # 03/05/2024 is the third of May


def languages() -> list[str]:
    """Languages that this house has rules for, in code or as a file."""
    files = [entry.name.removesuffix(".toml") for entry in _HOME.iterdir() if entry.name.endswith(".toml")]
    return sorted({*HOUSE_RULES, *files})


def house_language(lang: str) -> LanguageFile:
    """Return a language of the house. Raises ArgumentInvalid for one that has no rules."""
    if lang in HOUSE_RULES:
        return LanguageFile(lang, HOUSE_RULES[lang])
    if lang not in languages():
        raise ArgumentInvalid(f"language asked is {lang!r}, rules exist for {languages()}; --rules FILE adds one")
    return parse_language((_HOME / f"{lang}.toml").read_text(encoding="utf-8"), f"{lang}.toml")


def load_rules(wanted: Sequence[str]) -> dict[str, tuple[Rule, ...]]:
    """Return the house's rules of each language. Raises ArgumentInvalid for a language that has none."""
    return {lang: house_language(lang).rules for lang in wanted}


def load_language(path: Path) -> LanguageFile:
    """Return the language of a site's own file; the rules that hold in every language come with it.

    Raises PolicyInvalid: not TOML, an unknown key, a pattern that does not compile, a list or check that is not there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise PolicyInvalid(f"language file {path.name}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyInvalid(f"language file {path.name} cannot be read as UTF-8 text") from error
    return parse_language(text, path.name)


def parse_language(text: str, where: str) -> LanguageFile:
    """Return the language a TOML text describes; see load_language."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid(f"{where} is not TOML: {error}") from error
    try:
        return _understood(raw, where)
    except (TypeError, AttributeError) as error:
        raise PolicyInvalid(f"{where} holds a value of another kind than asked (text, list or table)") from error


def _understood(raw: dict[str, Any], where: str) -> LanguageFile:
    _only(raw, _TOP, where)
    if not isinstance(raw.get("language"), str):
        raise PolicyInvalid(f"{where} names no language")
    parser = _Parser(where, _lists(raw.get("lists", {}), where))
    own = tuple(parser.rules(raw.get("parts", {}), raw.get("rules", [])))
    base = house_language(raw["extends"]).rules if "extends" in raw else RULES_ANY
    named = {rule.name for rule in own}
    rules = (*(rule for rule in base if rule.name not in named), *own)
    order = raw.get("date_order", "mdy")
    if order not in ("mdy", "dmy"):
        raise PolicyInvalid(f"{where}: date_order is {order}, asked is mdy or dmy")
    return LanguageFile(raw["language"], rules, _model(raw.get("model"), where), order == "dmy")


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise PolicyInvalid(f"{where} has unknown keys {unknown}; known are {sorted(known)}")


def _lists(raw: Mapping[str, str | list[str]], where: str) -> dict[str, tuple[str, ...]]:
    lists = {name: tuple(words.split() if isinstance(words, str) else words) for name, words in raw.items()}
    empty = sorted(name for name, words in lists.items() if not words)
    if empty:
        raise PolicyInvalid(f"{where}: lists {empty} have 0 words")
    return lists


def _model(raw: Mapping[str, Any] | None, where: str) -> Model | None:
    if raw is None:
        return None
    _only(raw, _MODEL, f"{where} [model]")
    engine, name = raw.get("engine", "spacy"), raw.get("name")
    if engine not in ("spacy", "transformers") or not isinstance(name, str):
        raise PolicyInvalid(f"{where} [model] asks engine {engine}; asked are spacy or transformers, and a name")
    return Model(engine, name, dict(raw.get("labels", {})), tuple(raw.get("ignore", ())))


@dataclass(frozen=True, slots=True)
class _Parser:
    """Reads the rules of one file."""

    where: str
    lists: Mapping[str, tuple[str, ...]]

    def rules(self, parts: Mapping[str, str], entries: Sequence[Mapping[str, Any]]) -> list[Rule]:
        """The compiled rules; parts may use lists and the parts above them."""
        known = {name: self._any_of(words) for name, words in self.lists.items()}
        for name, part in parts.items():
            known[name] = self._filled(part, known, f"part {name}")
        return [self._rule(entry, known, number) for number, entry in enumerate(entries, 1)]

    def _rule(self, entry: Mapping[str, Any], known: Mapping[str, str], number: int) -> Rule:
        at = f"rule {entry.get('name', number)}"
        _only(entry, _RULE, f"{self.where} {at}")
        lacking = [key for key in ("name", "type", "pattern") if not isinstance(entry.get(key), str)]
        if lacking:
            raise PolicyInvalid(f"{self.where} {at} lacks {lacking}")
        try:
            pattern = regex.compile(self._filled(entry["pattern"], known, at))
        except regex.error as error:
            raise PolicyInvalid(f"{self.where} {at}: the pattern does not compile: {error}") from error
        options = {key: entry[key] for key in ("digits", "trigger", "wrapped", "whole") if key in entry}
        return Rule(entry["name"], entry["type"], pattern, self._check(entry, at), **options)

    def _filled(self, text: str, known: Mapping[str, str], at: str) -> str:
        def part(found: re.Match[str]) -> str:
            if found[1] not in known:
                raise PolicyInvalid(f"{self.where} {at} uses {{{{{found[1]}}}}}, which is no part or list above it")
            return known[found[1]]

        return re.sub(r"\{\{(\w+)\}\}", part, text)

    def _any_of(self, words: Sequence[str]) -> str:
        return "(?:" + "|".join(regex.escape(word) for word in sorted(words, key=lambda w: (-len(w), w))) + ")"

    def _check(self, entry: Mapping[str, Any], at: str) -> Check | None:
        checks = [self._in_list(test, at) for test in entry.get("known", ())]
        banned = [self._in_list(test, at) for test in entry.get("unknown", ())]
        if name := entry.get("check"):
            check = getattr(identifiers, f"{name}_valid", None)
            if check is None:
                raise PolicyInvalid(f"{self.where} {at}: check {name} is not known")
            checks.append(check)
        if not checks and not banned:
            return None
        return lambda value: all(check(value) for check in checks) and not any(check(value) for check in banned)

    def _in_list(self, test: Mapping[str, str], at: str) -> Check:
        _only(test, {"list", "word"}, f"{self.where} {at}")
        name, which = test.get("list", ""), test.get("word", "whole")
        if name not in self.lists or which not in {*_WORD, "any", "whole"}:
            raise PolicyInvalid(f"{self.where} {at} asks list {name}, word {which}; lists are {sorted(self.lists)}")
        words = frozenset(word.casefold() for word in self.lists[name])
        if which == "whole":
            return lambda value: value.casefold() in words
        if which == "any":
            return lambda value: any(word in words for word in value.casefold().split())
        return lambda value: bool(value.split()) and value.casefold().split()[_WORD[which]] in words
