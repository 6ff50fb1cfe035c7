"""What names a person in an export of the user's own, and what only looks like it. The rule is told with the count.

Looked for: every number, key, telephone, address, mail address and full name (in both orders) of every person.
Not looked for by itself: a part of a name, a date, a postal code, a town: they are those of many; a number of fewer
than six digits, which any count may be; and a value that is also a word of a column which names nobody.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

NUMBERS = ("person_id", "record_number", "resident_id", "insurance_number", "drivers_license", "passport")
CONTACTS = ("phone", "email", "address", "name", "contact_name", "contact_phone")
NAMING_NOBODY = ("city", "district", "state", "marital_status", "race", "ethnicity", "birth_place", "occupation")
PLAIN_NUMBER = re.compile(r"\d{1,5}")
HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
DIGEST = 32  # hexadecimal digits in a row from which on they are a digest, a key or a serial of our own


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What must not be found outside. `repr` shows no value."""

    values: set[str] = field(repr=False)  # as they stand in the records
    forms: set[str] = field(default_factory=set, repr=False)  # other ways to write the same names
    left_out: int = 0  # values that name nobody by themselves


def identifying(persons: pl.DataFrame) -> Identifiers:
    """Return what to look for of these persons, by the rule above."""
    found = {value for name in (*NUMBERS, *CONTACTS) for value in texts(persons, name)}
    words = {word for name in NAMING_NOBODY for word in texts(persons, name)}
    kept = {value for value in found if value not in words and not PLAIN_NUMBER.fullmatch(value)}
    return Identifiers(kept, full_names(persons) - kept - words, len(found - kept))


def full_names(persons: pl.DataFrame) -> set[str]:
    """Return given and family name in both orders, with and without a comma; together, too, where they are Han."""
    if not {"given_name", "family_name"} <= set(persons.columns):
        return set()
    both = persons.select("given_name", "family_name").drop_nulls().rows()
    names = {
        form for given, family in both for form in (f"{given} {family}", f"{family} {given}", f"{family}, {given}")
    }
    return names | {f"{family}{given}" for given, family in both if not family.isascii()}


def texts(persons: pl.DataFrame, name: str) -> set[str]:
    """Return the distinct filled values of a column, none where there is no such column."""
    if name not in persons.columns:
        return set()
    return {value.strip() for value in persons[name].drop_nulls().cast(pl.String).unique() if value.strip()}


def stands_alone(value: str, found_in: Iterable[str]) -> bool:
    """Return whether a value stands in one of the texts as itself: digits are not, inside a longer number or digest."""
    if not HEX.fullmatch(value):
        return True
    return any(is_itself(text, hit.start(), hit.end()) for text in found_in for hit in re.finditer(value, text))


def is_itself(text: str, start: int, stop: int) -> bool:
    """Return whether text[start:stop] is no part of a longer number and of no run of hexadecimal digits."""
    before, after = text[max(0, start - DIGEST) : start], text[stop : stop + DIGEST]
    if before[-1:].isdigit() or after[:1].isdigit():
        return False
    left = re.search(r"[0-9a-fA-F]*$", before)
    right = re.match(r"[0-9a-fA-F]*", after)
    return (len(left[0]) if left else 0) + (stop - start) + (len(right[0]) if right else 0) < DIGEST
