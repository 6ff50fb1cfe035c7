"""A patient's own structured values and every way a note may spell them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from hdex.deid.dates import read_date, spellings
from hdex.deid.folding import compact_key, key_of
from hdex.deid.identifiers import digits_of, email_valid, kind_of
from hdex.deid.pinyin import latin_spellings
from hdex.deid.scheme import Catalogue, load_catalogue, load_gazetteer

_HAN = re.compile(r"[\u3400-\u9fff]")
_TITLES_ZH = ("先生", "女士", "小姐", "同志", "老师", "阿姨", "大爷", "大娘", "某某", "某")
# Words that are names and everyday words too: matched only where the note writes them with a capital.
_WORDS_TEXT = """
    may june april august will grace hope faith joy rose ivy dawn mark bill grant gene art frank earnest brown
    black white gray green young long short small little day page price hand hall wood woods stone field
    fields banks brook rice bell cook baker fisher hunter mason miller carter parker walker turner porter king
    knight best love lane ford park hill summer rich chase miles lance wells cross noble early moody strong
    sharp swift case may patience prudence amber hazel olive pearl ruby iris lily violet daisy heather holly
    basil sage
"""
_WORDS = frozenset(_WORDS_TEXT.split())

MATCH_FLOWING, MATCH_COMPACT = "flowing", "compact"
_SHORT = 7  # letters: a shorter spelling may be a word
_KEPT = 4096  # values whose spellings are remembered: one patient has many notes, a node makes many releases
_TITLE = re.compile(r"(?:Dr|Mrs?|Ms|Miss|Jr|Sr|II|III|MD)\.?", re.I)


@dataclass(frozen=True, slots=True)
class Variant:
    """One spelling, as it is searched for."""

    key: str = field(repr=False)  # text in the view
    view: str
    type: str
    rule: str
    value: str = field(repr=False)  # what it is a spelling of
    form: str = "other"  # full, given, family, other
    needs_capital: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What the hospital's tables say about one patient. Nothing of it is ever shown.

    patient: key under which surrogates are consistent. names: full names, given first (Latin) or family first (Han);
    an entry of one Latin word stands alone. kin: names of relatives and contacts. ids: record numbers, resident id,
    card numbers, serials ... dates: days that identify, birth first. shift_days: how far dates in his notes move.
    """

    patient: str = field(repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)
    ids: tuple[str, ...] = field(default=(), repr=False)
    phones: tuple[str, ...] = field(default=(), repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    addresses: tuple[str, ...] = field(default=(), repr=False)
    dates: tuple[date, ...] = field(default=(), repr=False)
    kin: tuple[str, ...] = field(default=(), repr=False)
    shift_days: int = field(default=0, repr=False)

    @classmethod
    def from_row(
        cls,
        patient: str,
        row: Mapping[str, object],
        *,
        table: str = "patients",
        shift_days: int = 0,
        catalogue: Catalogue | None = None,
    ) -> Identity:
        """Return the identity a structured row tells, its columns understood by name and by value."""
        known = catalogue or load_catalogue()
        parts: dict[str, list[str]] = {}
        for column, cell in row.items():
            text = str(cell).strip() if cell is not None else ""
            if text:
                parts.setdefault(_field_of(known, column, text, table), []).append(text)
        given, family = parts.get("given", []), parts.get("family", [])
        names = [*parts.get("names", []), *_joined_names(given, family)]
        return cls(
            patient=patient,
            names=tuple(dict.fromkeys(names)),
            ids=tuple(parts.get("ids", [])),
            phones=tuple(parts.get("phones", [])),
            emails=tuple(parts.get("emails", [])),
            addresses=tuple(parts.get("addresses", [])),
            dates=tuple(day for text in parts.get("dates", []) if (day := read_date(text))),
            kin=tuple(parts.get("kin", [])),
            shift_days=shift_days,
        )

    def variants(self) -> list[Variant]:
        """Return every spelling to look for, longest first, without repeats."""
        unique = {(v.key, v.view): v for v in (*self.date_variants(), *reversed(self.value_variants())) if v.key}
        return sorted(unique.values(), key=lambda v: (-len(v.key), v.key, v.view))

    def value_variants(self) -> list[Variant]:
        """Return the spellings of everything but dates; two values may share one."""
        found = [v for name in self.names for v in name_variants(name, "own_name")]
        found += [v for name in self.kin for v in name_variants(name, "own_kin")]
        found += [v for text in self.ids for v in _id_variants(text)]
        found += [v for text in self.phones for v in _phone_variants(text)]
        found += [v for text in self.emails for v in _email_variants(text)]
        found += [v for text in self.addresses for v in _address_variants(text)]
        return found

    def date_variants(self, text: str | None = None) -> list[Variant]:
        """Return the spellings of dates. text: leave out years of which it does not hold the last two digits."""
        days = (day for day in self.dates if text is None or f"{day.year % 100:02d}" in text)
        return [v for day in days for v in _date_variants(day)]

    def sweep_values(self) -> list[str]:
        """Return the values that may stand nowhere in any output: long enough to belong to one person.

        Single given names and surnames, dates and places are left out: they belong to many.
        """
        names = [n for n in (*self.names, *self.kin) if _names_one_person(n)]
        return [*names, *self.ids, *self.phones, *self.emails, *(a for a in self.addresses if len(compact_key(a)) >= 8)]


@lru_cache(_KEPT)
def name_variants(name: str, rule: str) -> Sequence[Variant]:
    """Return the spellings of one person's name."""
    if _HAN.search(name):
        return _han_name(re.sub(r"\s", "", name), rule)
    parts = [p for p in re.split(r"[\s,]+", name.strip()) if p and not _TITLE.fullmatch(p)]
    if not parts:
        return []
    plain = [re.sub(r"\d+$", "", p) for p in parts]
    found: list[Variant] = []
    for words in dict.fromkeys((tuple(parts), tuple(plain))):
        found += _latin_name(list(words), " ".join(parts), rule)
    return found


def _latin_name(words: Sequence[str], value: str, rule: str) -> list[Variant]:
    first, last = words[0], words[-1]
    if len(words) == 1:
        return [_single(first, value, "family", rule)] if len(first) >= 2 else []
    found = [
        Variant(compact_key(text), MATCH_COMPACT, "NAME", rule, value, "full")
        for text in (" ".join(words), first + last, last + first)
    ]
    if len(words) > 2:
        found.append(Variant(compact_key(last + "".join(words[:-1])), MATCH_COMPACT, "NAME", rule, value, "full"))
        found.append(Variant(compact_key(first + words[1]), MATCH_COMPACT, "NAME", rule, value, "full"))
        found += [
            Variant(key_of(f"{first} {words[1][0]}{dot} {last}"), MATCH_FLOWING, "NAME", rule, value, "full")
            for dot in ("", ".")
        ]
    for initial in (
        f"{first[0]}. {last}",
        f"{first[0]}.{last}",
        f"{first[0]} {last}",
        f"{last}, {first[0]}",
        f"{last} {first[0]}.",
        f"{first} {last[0]}.",
    ):
        found.append(Variant(key_of(initial), MATCH_FLOWING, "NAME", rule, value, "full", needs_capital=True))
    found += [_single(word, value, "family" if word is last else "given", rule) for word in words if len(word) >= 3]
    return found


def _single(word: str, value: str, form: str, rule: str) -> Variant:
    key = key_of(word)
    ordinary = key in _WORDS or len(word) < 4 or key != word.lower()  # peña without its tilde is a word of its own
    return Variant(key, MATCH_FLOWING, "NAME", rule, value, form, needs_capital=ordinary)


def _han_name(name: str, rule: str) -> list[Variant]:
    compound = name[:2] in load_gazetteer()["surnames_zh"] and len(name) > 2
    family, given = (name[:2], name[2:]) if compound else (name[:1], name[1:])
    if not given:
        return []
    found = [Variant(name, MATCH_COMPACT, "NAME", rule, name, "full")]
    found += [Variant(family + title, MATCH_FLOWING, "NAME", rule, name, "titled") for title in _TITLES_ZH]
    masked = {
        family + "某" + given[-1],
        family + "*" + given[-1],
        family + "*" * len(given),
        name[:-1] + "*",
        family + "×" * len(given),
    }
    found += [Variant(text, MATCH_FLOWING, "NAME", rule, name, "full") for text in masked if text != name]
    found += [Variant(prefix + family, MATCH_FLOWING, "NAME", rule, name, "full") for prefix in "老小" if not compound]
    if len(given) >= 2:
        found.append(Variant(given, MATCH_FLOWING, "NAME", rule, name, "given"))
    found += [
        Variant(text, MATCH_COMPACT, "NAME", rule, name, "full", needs_capital=len(text) < _SHORT)
        for text in latin_spellings(family, given)
    ]
    return found


@lru_cache(_KEPT)
def _date_variants(day: date) -> Sequence[Variant]:
    return [Variant(way, MATCH_FLOWING, "DATE", "own_date", day.isoformat()) for way in spellings(day)]


@lru_cache(_KEPT)
def _email_variants(value: str) -> Sequence[Variant]:
    return [Variant(key_of(value), MATCH_FLOWING, "EMAIL", "own_email", value)] if len(value) > 4 else []


@lru_cache(_KEPT)
def _id_variants(value: str) -> Sequence[Variant]:
    key = compact_key(value)
    if len(key) < 4:
        return []
    kind = "RESIDENT_ID" if re.fullmatch(r"[1-9]\d{16}[\dx]", key) else "ID"
    found = [Variant(key, MATCH_COMPACT, kind, "own_id", value)]
    if len(key) == 18 and digits_of(key[:17]) == key[:17]:
        for head, tail in ((6, 4), (3, 4), (4, 4), (10, 4), (6, 2), (1, 1)):
            for mask in "*x":
                found.append(
                    Variant(
                        key[:head] + mask * (18 - head - tail) + key[-tail:],
                        MATCH_FLOWING,
                        kind,
                        "own_id_masked",
                        value,
                    )
                )
    return found


@lru_cache(_KEPT)
def _phone_variants(value: str) -> Sequence[Variant]:
    digits = digits_of(value)
    if len(digits) < 7:
        return []
    local = re.sub(r"^(?:0086|86)(?=1[3-9]\d{9}$)|^1(?=\d{10}$)(?=1[2-9])", "", digits)
    found = [Variant(text, MATCH_COMPACT, "PHONE", "own_phone", value) for text in {digits, local}]
    if len(local) == 11:
        found += [
            Variant(local[:3] + mask * 4 + local[-4:], MATCH_FLOWING, "PHONE", "own_phone_masked", value)
            for mask in "*x"
        ]
    return found


@lru_cache(_KEPT)
def _address_variants(value: str) -> Sequence[Variant]:
    """Return the whole address and its parts that say more than a town."""
    texts = [value, *(part for part in re.split(r"[,，;；]", value))]
    if _HAN.search(value):
        tail = re.split(r"(?:省|自治区|市|区|县)", value)[-1]
        texts.append(tail)
    else:
        texts.append(re.sub(r"(?i)[ ,]+(?:apt|suite|ste|unit|#).*$", "", value))
    found = []
    for text in dict.fromkeys(t.strip() for t in texts):
        key = compact_key(text)
        if len(key) >= (4 if _HAN.search(text) else 8) and any(c.isdigit() for c in key):
            found.append(Variant(key, MATCH_COMPACT, "LOCATION", "own_address", value))
    if len(compact_key(value)) >= (5 if _HAN.search(value) else 12):
        found.append(Variant(compact_key(value), MATCH_COMPACT, "LOCATION", "own_address", value))
    return found


def _names_one_person(name: str) -> bool:
    if _HAN.search(name):
        bare = re.sub(r"\s", "", name)
        return len(bare) >= 2 and bare[:2] not in load_gazetteer()["not_names_zh"]
    return len(name.split()) >= 2 and len(compact_key(name)) >= 6


def _joined_names(given: Sequence[str], family: Sequence[str]) -> list[str]:
    """Return full names of given and family columns; further surnames (maiden) give further full names."""
    if given and family and _HAN.search(family[0]):
        return [f"{family[0]}{given[0]}"]
    if not given or not family:
        return [*given, *family]
    return [" ".join([*given, family[0]]), *(f"{given[0]} {other}" for other in family)]


_FIELD_OF_ELEMENT = {
    "given_name": "given",
    "family_name": "family",
    "person_name": "names",
    "pinyin_name": "names",
    "kin_name": "kin",
    "phone": "phones",
    "fax": "phones",
    "email": "emails",
    "street_address": "addresses",
    "birth_date": "dates",
    "death_date": "dates",
    "event_date": "dates",
}
_FIELD_OF_KIND = {
    "email": "emails",
    "mobile_cn": "phones",
    "landline_cn": "phones",
    "phone_us": "phones",
    "resident_id": "ids",
    "ssn": "ids",
}
_NOT_IDS = frozenset({"coordinates", "url", "photo", "staff_name_ref", "user_account"})


def _field_of(catalogue: Catalogue, column: str, text: str, table: str) -> str:
    """Return the field of Identity a cell belongs to; "" for none."""
    found = catalogue.match(column, table)
    if found and found.element.code in _FIELD_OF_ELEMENT:
        return _FIELD_OF_ELEMENT[found.element.code]
    if email_valid(text):
        return "emails"
    if found and found.element.role.value == "direct":
        return "" if found.element.code in _NOT_IDS else "ids"
    return _FIELD_OF_KIND.get(kind_of(text) or "", "") if found is None else ""
