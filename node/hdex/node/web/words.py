"""The words of reports and pages by key, in two languages, and how their figures are written."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hdex.node.web.refusals import meaning_of, sentence_of

LANGUAGES = ("en", "zh")
UNITS = ("B", "kB", "MB", "GB", "TB")


@cache
def entries() -> dict[str, Any]:
    """Return words.toml: sections of {en, zh}, and the list of an audit's claims."""
    return tomllib.loads(files("hdex.node.web").joinpath("words.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an audit, and the logs it holds for."""

    text: str
    is_translated: bool
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """Says keys in one language."""

    lang: str

    def say(self, key: str, **values: object) -> str:
        """Return the words of `section.name`. An unknown key is a programming error and raises KeyError."""
        section, _, name = key.partition(".")
        return str(entries()[section][name][self.lang]).format(**values)

    def name(self, section: str, value: str) -> str:
        """Return the label of a value that comes from outside; the value itself where there is none."""
        held = entries()[section].get(slug(value))
        return str(held[self.lang]) if held else value.replace("_", " ")

    def listed(self, names: Iterable[str]) -> str:
        """Return names in a row."""
        return self.say("page.comma").join(names)

    def yes(self, value: bool) -> str:
        return self.say("page.yes" if value else "page.no")

    def claims(self, sentences: Iterable[str]) -> list[Claim]:
        """Return an audit's sentences, those that say the same of several logs as one."""
        grouped: dict[tuple[str, bool], dict[str, list[str]]] = {}
        for sentence in sentences:
            text, is_translated, log, figure = self._claim(sentence)
            logs = grouped.setdefault((text, is_translated), {})
            if log:
                logs.setdefault(figure, []).append(log)
        return [Claim(text, known, self._told_per_log(logs)) for (text, known), logs in grouped.items()]

    def _told_per_log(self, logs: dict[str, list[str]]) -> tuple[str, ...]:
        """Return the logs, those with the same figure together."""
        told = ((self.listed(dict.fromkeys(names)), figure) for figure, names in logs.items())
        return tuple(f"{names} ({figure})" if figure else names for names, figure in told)

    def _claim(self, sentence: str) -> tuple[str, bool, str, str]:
        """Return the sentence in this language, whether it is known, the log it begins with, and its figure."""
        split = re.fullmatch(r"(?P<log>[\w.-]+): (?P<rest>.+)", sentence)
        parts = [("", sentence), *([(split["log"], split["rest"])] if split else [])]
        for log, rest in parts:
            known = self._matched("claim", rest)
            if known:
                return known[0], True, log, known[1]
        log, rest = parts[-1]
        return rest, self.lang == "en", log, ""

    def asked(self, what: str) -> str:
        """Return what an applicant asked for; as it was written where that is not known."""
        known = self._matched("asked", what)
        return known[0] if known else what

    def meaning(self, rule: str) -> str:
        """Return what a rule's code means, or nothing."""
        held = entries()["rule"].get(slug(rule))
        if held:
            return str(held[self.lang])
        return meaning_of(slug(rule)) if self.lang == "zh" else ""

    def told(self, sentence: str) -> str:
        """Return a sentence that was written in English in this language, "" where it is not known."""
        if self.lang != "zh":
            return sentence
        known = sentence_of(sentence)
        return known[0].format(*map(self._value, known[1])) if known else ""

    def is_english(self, text: str) -> bool:
        """Return whether a text is to be marked as English on a page of this language."""
        return self.lang != "en" and not re.search(r"[\u3400-\u9fff]", text)

    def _value(self, text: str) -> str:
        """Return what stands in a hole of a sentence: roles by their names, all else as it is."""
        return text

    def _matched(self, section: str, text: str) -> tuple[str, str] | None:
        """Return a sentence from outside in this language and its figure, if its pattern is known."""
        for known in entries()[section]:
            found = re.fullmatch(known["pattern"], text)
            if found:
                values = {"each": "", **found.groupdict()}
                values["operator"] = self.name("operator", values.get("operator", ""))
                figure = str(values["each"].count(",") + 1) if known.get("counted") else values["each"]
                return known[self.lang].format(**values), figure
        return None


def slug(value: str) -> str:
    """Return the key under which a value from outside is looked up: de-identify -> de_identify."""
    return re.sub(r"\W+", "_", value.lower()).strip("_")


def count(number: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,}"


def share(value: float) -> str:
    """Return a share as a percentage with the digits that matter."""
    if value == 0 or value >= 0.9995:
        return f"{value:.0%}"
    return f"{value:.1%}" if value >= 0.001 else f"{value:.2%}"


def size(number: int) -> str:
    """Return bytes in the largest unit that keeps a digit before the point."""
    shown, unit = float(number), 0
    while shown >= 999.5 and unit < len(UNITS) - 1:
        shown, unit = shown / 1000, unit + 1
    return f"{shown:.0f} {UNITS[unit]}" if unit == 0 or shown >= 99.5 else f"{shown:.1f} {UNITS[unit]}"


def power(value: float) -> str:
    """Return a tiny number as 2.2×10⁻¹⁶, 0 as 0."""
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}×10{raised}"
