"""What a recogniser rule is, and the rules that hold in every language."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import regex  # type: ignore[import-untyped]  # the engine of presidio: unlike re it can be given a time limit

from hdex.deid.folding import without_accents
from hdex.deid.outline import NOTHING, Needs
from hdex.deid.scheme import load_gazetteer


@dataclass(frozen=True, slots=True)
class Rule:
    """One recogniser: a pattern over folded text; group 1, when there is one, is the identifier."""

    name: str
    type: str
    pattern: Any  # regex.Pattern; not used where `find` is given
    check: Callable[[str], bool] | None = None
    digits: bool = False  # needs a digit somewhere in the text
    trigger: str = ""  # needs this text
    wrapped: bool = False  # also looked for across a line break between digits
    whole: bool = False  # the whole match is the identifier although the pattern has groups
    starts: frozenset[str] = frozenset()  # the pattern is tried only where one of these characters stands
    needs: Needs = NOTHING  # what every match holds, besides
    find: Callable[[str], Sequence[tuple[int, int]]] | None = None  # instead of the pattern: spans of a folded text

    @property
    def group(self) -> int:
        """The group of the pattern that is the identifier."""
        return 1 if self.pattern.groups and not self.whole else 0

    @property
    def asked(self) -> Needs:
        """All that every match holds: the needs, with digits and, where no other text is asked, the trigger."""
        texts = self.needs.texts or ((self.trigger,) if self.trigger else ())
        return replace(self.needs, texts=texts, digits=max(self.needs.digits, int(self.digits)))

    @classmethod
    def by(cls, name: str, type_: str, find: Callable[[str], Sequence[tuple[int, int]]]) -> Rule:
        """Return a rule that is a function: no pattern can weigh what speaks for and against."""
        return cls(name, type_, None, find=find)

    @classmethod
    def of(
        cls,
        name: str,
        type_: str,
        pattern: str,
        *,
        check: Callable[[str], bool] | None = None,
        digits: bool = False,
        trigger: str = "",
        wrapped: bool = False,
        starts: frozenset[str] = frozenset(),
        needs: Needs = NOTHING,
    ) -> Rule:
        """Compile one rule."""
        return cls(
            name,
            type_,
            regex.compile(pattern),
            check,
            digits=digits,
            trigger=trigger,
            wrapped=wrapped,
            starts=starts,
            needs=needs,
        )


_MARKS = re.compile(r"[\d\s.,]")


def by_initial(alternatives: str) -> str:
    """Return the alternatives of a pattern grouped by their first letter, in their order within each group.

    A pattern engine tries the branches one after the other: twenty letters are fewer than a hundred towns. Only
    alternatives that begin with a plain letter can be grouped; their order across letters means nothing.
    """
    groups: dict[str, list[str]] = {}
    for one in _top_level(alternatives):
        groups.setdefault(one[0], []).append(one[1:])
    return "|".join(f"{initial}(?:{'|'.join(rests)})" for initial, rests in groups.items())


def _top_level(alternatives: str) -> list[str]:
    """Split at the bars that stand in no bracket."""
    parts, depth = [""], 0
    for char in alternatives:
        depth += (char in "([") - (char in ")]")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def names_known(word: str, which: str) -> bool:
    """Say whether a word, its digits dropped, stands in a list of names, with its accents or without."""
    name, names = (word if word.isalpha() else _MARKS.sub("", word)).lower(), load_gazetteer()[which]
    return name in names or (not name.isascii() and without_accents(name) in names)


def is_name(word: str) -> bool:
    """Say whether a word is a given name or a surname that is known."""
    return names_known(word, "given_en") or names_known(word, "surnames_en")


RULES_ANY: tuple[Rule, ...] = (
    Rule.of(
        "email",
        "EMAIL",
        r"(?<![A-Za-z0-9À-ɏ.+_-])[A-Za-z0-9À-ɏ._%+-]{1,64}@(?:[A-Za-z0-9À-ɏ-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z])",
        trigger="@",
    ),
    Rule.of(
        "url",
        "URL",
        r"(?i:https?://|www\.)[^\s<>\"'，。；、）)]+",
        needs=Needs(words=("http://", "https://", "www.")),
    ),
    Rule.of(
        "ip_address",
        "IP",
        r"(?=\d)(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])",
        digits=True,
        trigger=".",
        needs=Needs(run=4, layouts=("0.0",)),
    ),
    Rule.of(
        "mac_address",
        "IP",
        r"(?=[0-9A-Fa-f][0-9A-Fa-f][:-])(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])",
        needs=Needs(blocks=tuple(f"{a}xx{b}xx{c}" for a in ":-" for b in ":-" for c in ":-")),
    ),
    Rule.of(
        "uuid",
        "ID",
        r"(?=[0-9A-Fa-f])(?<![\w-])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![\w-])",
        trigger="-",
        needs=Needs(blocks=("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",)),
    ),
    Rule.of("udi", "DEVICE", r"\(01\)\s?\d{14}(?:\s?\(\d{2,3}\)\s?[\w/-]+)*", trigger="(01)"),
    Rule.of(
        "dicom_uid",
        "ID",
        r"(?=[0-2]\.)(?<![\d.])[0-2](?:\.\d+){6,}(?![\d.])",
        digits=True,
        trigger=".",
        needs=Needs(run=7, layouts=("0.0",)),
    ),
    Rule.of(
        "spaced_number",
        "ID",
        r"(?=\d[ \t.·_-]\d)(?<![\d.,/:])(?<!\d )\d(?:[ \t.·_-]\d){8,}(?![\d/%]| ?\d)",
        check=lambda value: value[1:2] == value[3:4],
        digits=True,
        needs=Needs(run=9),
    ),
)
