"""Codes that can be checked, and the element groups of the scheme they fall in.

Sources: LOINC Users' Guide, appendix on check digits (Luhn); SNOMED CT Technical Implementation Guide, appendix on
check digits (Verhoeff); ICD-10-CM code structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from hdex.deid.identifiers import luhn_valid
from hdex.deid.scheme import Group, Scheme

_ICD10 = re.compile(r"[A-TV-Z]\d[0-9AB](?:\.?[0-9A-Z]{1,4})?[†*+]?")
_LOINC = re.compile(r"\d{1,7}-\d")
_SNOMED = re.compile(r"[1-9]\d{5,17}")


def _dihedral(i: int, j: int) -> int:
    """Multiply in the dihedral group of order ten."""
    if i < 5:
        return (i + j) % 5 if j < 5 else 5 + (i + j) % 5
    return 5 + (i - j) % 5 if j < 5 else (i - j) % 5


_PERMUTE = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff_valid(digits: str) -> bool:
    """Say whether `digits` ends in its Verhoeff check digit."""
    if not digits.isascii() or not digits.isdigit():
        return False
    check = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        for _ in range(place % 8):
            value = _PERMUTE[value]
        check = _dihedral(check, value)
    return check == 0


def snomed_valid(value: str) -> bool:
    """Say whether `value` is a SNOMED CT concept or description identifier with its check digit."""
    value = value.strip()
    return bool(_SNOMED.fullmatch(value)) and value[-3:-1] in ("00", "01", "10", "11") and verhoeff_valid(value)


def loinc_valid(value: str) -> bool:
    """Say whether `value` is a LOINC code with its check digit."""
    value = value.strip()
    return bool(_LOINC.fullmatch(value)) and luhn_valid(value.replace("-", ""))


def icd10_shaped(value: str) -> bool:
    """Say whether `value` is written like an ICD-10 code."""
    return bool(_ICD10.fullmatch(value.strip().upper()))


@dataclass(frozen=True, slots=True)
class GroupIndex:
    """The groups of a scheme, ready to be asked about codes and words."""

    group: Group
    icd10: tuple[str, ...]
    codes: frozenset[str]
    words: re.Pattern[str]
    exceptions: re.Pattern[str] | None

    def holds_icd10(self, value: str) -> bool:
        """Say whether an ICD-10 code belongs to the group."""
        return value.strip().upper().replace(".", "").startswith(self.icd10) if self.icd10 else False

    def holds_code(self, value: str) -> bool:
        """Say whether a LOINC or SNOMED CT code belongs to the group."""
        return value.strip() in self.codes

    def holds_words(self, text: str) -> bool:
        """Say whether a term or text names the group."""
        lowered = text.lower()
        if self.exceptions:
            lowered = self.exceptions.sub(" ", lowered)
        return bool(self.words.search(lowered))


@cache
def group_indexes(scheme: Scheme) -> tuple[GroupIndex, ...]:
    """Return one index per group of the scheme."""
    return tuple(_index(group) for group in scheme.group)


def _index(group: Group) -> GroupIndex:
    latin = "|".join(re.escape(w) for w in sorted(group.words, key=len, reverse=True))
    han = "|".join(re.escape(w) for w in group.words_zh)
    pattern = "|".join(part for part in (rf"(?<![a-z])(?:{latin})s?(?![a-z])" if latin else "", han) if part) or r"(?!)"
    exceptions = "|".join(re.escape(w) for w in group.not_words)
    return GroupIndex(
        group,
        tuple(code.replace(".", "") for code in group.icd10),
        frozenset(group.snomed) | frozenset(group.loinc),
        re.compile(pattern),
        re.compile(exceptions) if exceptions else None,
    )


def groups_named(texts: Iterable[str], scheme: Scheme) -> list[tuple[Group, str]]:
    """Return each group named by words or by a code inside `texts`, with what named it ("word" or "code")."""
    found: list[tuple[Group, str]] = []
    for index in group_indexes(scheme):
        for text in texts:
            whole = re.findall(r"[A-Za-z0-9.\-]+", text)
            tokens = [*whole, *(part for token in whole for part in token.split("-") if part != token)]
            coded = any(
                index.holds_code(t) or (icd10_shaped(t) and any(c.isdigit() for c in t) and index.holds_icd10(t))
                for t in tokens
            )
            if coded or index.holds_words(text):
                found.append((index.group, "code" if coded else "word"))
                break
    return found
