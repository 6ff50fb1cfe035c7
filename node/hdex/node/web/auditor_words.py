"""The auditor's words by key (auditor.toml), and a verifier's sentences in the reader's language."""

import re
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.catalog.web import formats
from hdex.node.web.words import LANGUAGES, Words

__all__ = ["LANGUAGES", "AuditWords"]


@cache
def table() -> dict[str, Any]:
    """Return auditor.toml: sections of {en, zh}, and the sentences of verifiers as lists."""
    return tomllib.loads(files("hdex.node.web").joinpath("auditor.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class AuditWords(Words):
    """Says keys in one language. Sentences that every report has are those of the demo's report, the others ours."""

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return "zh-Hans" if self.lang == "zh" else "en"

    def say(self, key: str, **values: object) -> str:
        """Return the words of `section.name`. An unknown key is a programming error and raises KeyError."""
        section, _, name = key.partition(".")
        return str(table()[section][name][self.lang]).format(**values)

    def name(self, section: str, value: str) -> str:
        """Return the label of a value that comes from outside; the value itself where there is none."""
        held = table().get(section, {}).get(value)
        if held:
            return str(held[self.lang])
        return value if section in table() else Words.name(self, section, value)

    def why(self, sentence: str) -> tuple[str, bool]:
        """Return an offence's reason in this language, and whether it is in this language."""
        found = self._matched("offence", sentence)
        return (found[0], True) if found else (sentence, self.lang == "en")

    def minute(self, time: datetime) -> str:
        """Return day and minute of a time, UTC."""
        return f"{formats.minute(time.isoformat(), self.lang)} UTC"

    def age(self, span: timedelta) -> str:
        """Return how long ago in the unit a person would choose."""
        seconds = max(0, int(span.total_seconds()))
        for unit, (en, zh) in ((86400, ("d", "天")), (3600, ("h", "小时")), (60, ("min", "分钟"))):
            if seconds >= unit:
                return f"{seconds // unit} {zh if self.lang == 'zh' else en}"
        return f"{seconds} {'秒' if self.lang == 'zh' else 's'}"

    def _matched(self, section: str, text: str) -> tuple[str, str] | None:
        for known in table().get(section, ()):
            found = re.fullmatch(known["pattern"], text)
            if found:
                return known[self.lang].format(**found.groupdict()), found.groupdict().get("each") or ""
        return Words._matched(self, section, text) if section == "claim" else None
