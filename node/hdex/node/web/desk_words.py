"""The words of the hospital's desk by key (desk.toml); what is not there is said as the auditor's pages say it."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.node.web.auditor_words import AuditWords
from hdex.node.web.words import Words, slug


@cache
def table() -> dict[str, Any]:
    """Return desk.toml: sections of {en, zh}."""
    return tomllib.loads(files("hdex.node.web").joinpath("desk.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class DeskWords(AuditWords):
    """Says keys in one language."""

    def say(self, key: str, **values: object) -> str:
        """Return the words of `section.name`. An unknown key is a programming error and raises KeyError."""
        section, _, name = key.partition(".")
        return str(table()[section][name][self.lang]).format(**values)

    def name(self, section: str, value: str) -> str:
        """Return the label of a value that comes from outside; the value itself where there is none."""
        held = table().get(section, {}).get(value)
        return str(held[self.lang]) if held else AuditWords.name(self, section, value)

    def meaning(self, rule: str) -> str:
        """Return what a rule's code means, or nothing."""
        held = table()["rule"].get(slug(rule))
        return str(held[self.lang]) if held else AuditWords.meaning(self, rule)

    def treatment(self, action: str) -> str:
        """Return what became of a column."""
        return Words.name(self, "action", action)

    def roles(self, names: tuple[str, ...]) -> str:
        """Return who is meant: one role or the other."""
        return self.say("page.or").join(self.name("role", name) for name in names)
