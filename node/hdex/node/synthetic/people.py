"""Invented people: names, resident ids with valid check digits, phones, addresses, next of kin."""

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"
PREFIXES = ("133", "135", "137", "138", "139", "150", "151", "158", "177", "186", "188", "189")


@dataclass(frozen=True, slots=True)
class Person:
    """One invented patient's identifying facts."""

    family: str
    given: str
    name: str
    sex: str  # male, female
    birth: date
    resident_id: str
    phone: str
    address: str
    city: str
    postal_code: str
    contact_name: str
    contact_phone: str


@cache
def sources() -> dict[str, Any]:
    """Return the words of names.toml."""
    text = resources.files("hdex.node.synthetic").joinpath("names.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def check_character(seventeen: str) -> str:
    """Return the check character of a resident id. Source: ISO 7064 MOD 11-2 as in GB 11643-1999."""
    return CHECKS[sum(weight * int(digit) for weight, digit in zip(WEIGHTS, seventeen, strict=True)) % 11]


def people(rng: np.random.Generator, births: list[date], male: list[bool], script: str) -> list[Person]:
    """Return one person per birth date; script is zh, en or mixed. Record-linking values are unique in one call."""
    numbers = distinct(rng, 10_000_000, 100_000_000, 2 * len(births))
    prefixes = rng.integers(0, len(PREFIXES), 2 * len(births))
    phones = [PREFIXES[prefix] + str(number) for prefix, number in zip(prefixes, numbers, strict=True)]
    return [
        _person(rng, birth, is_male, (script, index, phones[2 * index], phones[2 * index + 1]))
        for index, (birth, is_male) in enumerate(zip(births, male, strict=True))
    ]


def distinct(rng: np.random.Generator, low: int, high: int, count: int) -> list[int]:
    """Return `count` different numbers of [low, high), in random order."""
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn |= dict.fromkeys(rng.integers(low, high, count).tolist())
    return list(drawn)[:count]


def _person(rng: np.random.Generator, birth: date, male: bool, drawn: tuple[str, int, str, str]) -> Person:
    script, index, phone, contact_phone = drawn
    written = script if script != "mixed" else ("zh" if rng.random() < 0.6 else "en")
    family, given, name = _name(rng, "male" if male else "female", written)
    kin_given = _name(rng, "female" if male else "male", written)
    contact = f"{family}{kin_given[1]}" if written == "zh" else f"{kin_given[1]} {family}"
    district = sources()["districts"][int(rng.integers(len(sources()["districts"])))]
    return Person(
        family=family,
        given=given,
        name=name,
        sex="male" if male else "female",
        birth=birth,
        resident_id=_resident_id(district["code"], birth, index, male),
        phone=phone,
        address=_address(rng, district, written),
        city=district[written][0],
        postal_code=district["postal"],
        contact_name=contact,
        contact_phone=contact_phone,
    )


def _name(rng: np.random.Generator, sex: str, written: str) -> tuple[str, str, str]:
    """Return (family, given, full). English-written people bear English names or pinyin."""
    origin = "chinese" if written == "zh" else ("english" if rng.random() < 0.5 else "chinese_as_pinyin")
    family, given = _one(rng, sources()[origin]["surnames"]), _one(rng, sources()[origin][sex])
    return family, given, f"{family}{given}" if written == "zh" else f"{given} {family}"


def _one(rng: np.random.Generator, words: str) -> str:
    found = words.split()
    return found[int(rng.integers(len(found)))]


def _resident_id(district: str, birth: date, index: int, male: bool) -> str:
    """Return 18 characters: district, birth date, order (odd for men), check character."""
    order = (index % 499) * 2 + (1 if male else 0)
    seventeen = f"{district}{birth:%Y%m%d}{order:03d}"
    return seventeen + check_character(seventeen)


def _address(rng: np.random.Generator, district: dict[str, Any], written: str) -> str:
    streets = sources()["streets"][written]
    street, number, unit, room = streets[int(rng.integers(len(streets)))], *(int(n) for n in rng.integers(1, 99, 3))
    if written == "zh":
        return f"{''.join(district['zh'])}{street}{number}号{unit}单元{room + 100}室"
    return f"Room {room + 100}, {number} {street}, {district['en'][1]}, {district['en'][0]}"
