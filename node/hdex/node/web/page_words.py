"""The words of a participant's pages by key: one table per desk, and what it lacks as the desk below it says it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from hdex.catalog.web import formats
from hdex.node.web.words import Words, slug

UNITS = ((86400, ("d", "天")), (3600, ("h", "小时")), (60, ("min", "分钟")))  # seconds of each


@cache
def word_table(file: str) -> dict[str, Any]:
    """Return a table of words: sections of {en, zh}, and sentences of others as lists."""
    return tomllib.loads(files("hdex.node.web").joinpath(file).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class PageWords(Words):
    """Says keys in one language. FILES: this desk's own table first, then those it falls back to."""

    FILES: ClassVar[tuple[str, ...]] = ()

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return "zh-Hans" if self.lang == "zh" else "en"

    def say(self, key: str, **values: object) -> str:
        """Return the words of `section.name`. An unknown key is a programming error and raises KeyError."""
        section, _, name = key.partition(".")
        held = next(self._held(section, name), None)
        if held is None:
            raise KeyError(key)
        return held.format(**values)

    def name(self, section: str, value: str) -> str:
        """Return the label of a value that comes from outside; the value itself where there is none."""
        held = next(self._held(section, value), None)
        if held is not None:
            return held
        is_known = any(section in word_table(file) for file in self.FILES)
        return value if is_known else Words.name(self, section, value)

    def knows(self, section: str, name: str) -> bool:
        """Return whether a key has words."""
        return next(self._held(section, name), None) is not None

    def meaning(self, rule: str) -> str:
        """Return what a rule's code means, or nothing."""
        held = next(self._held("rule", slug(rule)), None)
        return Words.meaning(self, rule) if held is None else held

    def _value(self, text: str) -> str:
        """Return a value of a sentence, each role in it by its name."""
        if self.knows("column_role", text):
            return self.name("column_role", text)
        parts = re.split(r", | and | or ", text)
        if not all(self.knows("role", slug(part)) for part in parts):
            return self.told(text) or text
        return self.say("page.comma").join(self.name("role", slug(part)) for part in parts)

    def minute(self, time: datetime) -> str:
        """Return day and minute of a time, UTC."""
        return f"{formats.minute(time.isoformat(), self.lang)} UTC"

    def age(self, span: timedelta) -> str:
        """Return how long ago in the unit a person would choose."""
        seconds = max(0, int(span.total_seconds()))
        for unit, (en, zh) in UNITS:
            if seconds >= unit:
                return f"{seconds // unit} {zh if self.lang == 'zh' else en}"
        return f"{seconds} {'秒' if self.lang == 'zh' else 's'}"

    def _held(self, section: str, name: str) -> Iterator[str]:
        """Yield the words of a key, those of the nearest table first."""
        for file in self.FILES:
            held = word_table(file).get(section, {})
            if isinstance(held, dict) and name in held:
                yield str(held[name][self.lang])
