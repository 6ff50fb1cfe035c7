"""The classification scheme and the element catalogue: data files, read once, checked key by key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from hdex.deid.columns import Category, Role
from hdex.deid.errors import PolicyInvalid

T = TypeVar("T")
HOUSE_LEVELS = 5  # the element catalogue is written in the five levels of the house scheme


@dataclass(frozen=True, slots=True)
class Level:
    """One level: who may receive it and how it may travel."""

    number: int
    en: str
    zh: str
    recipients: str
    release: str
    modes: tuple[str, ...]
    lowers_to: int  # what documented de-identification may reach
    conditional_modes: tuple[str, ...] = ()  # only where every patient's legal basis names the recipient


@dataclass(frozen=True, slots=True)
class CategoryName:
    """A data category in both languages. house: the categories of GB/T 39725 it stands for; empty: its own code."""

    code: str
    en: str
    zh: str
    house: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [category.value for category in Category]
        for name in self.house or (self.code,):
            if name not in known:
                raise PolicyInvalid(f"category {self.code}: house lists no known category; {hint(name, known)}")


@dataclass(frozen=True, slots=True)
class Group:
    """An element group that lifts whatever holds it, or is chosen by it, to `level`."""

    code: str
    en: str
    zh: str
    level: int
    icd10: tuple[str, ...]  # prefixes
    snomed: tuple[str, ...]
    loinc: tuple[str, ...]
    words: tuple[str, ...]
    words_zh: tuple[str, ...]
    not_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A classification scheme: levels, categories, groups and the rules that join them."""

    id: str
    en: str
    zh: str
    direct_level: int
    unique_level: int
    unique_k: int
    unknown_level: int
    category: tuple[CategoryName, ...] = field(repr=False)
    level: tuple[Level, ...] = field(repr=False)
    group: tuple[Group, ...] = field(default=(), repr=False)
    from_house: tuple[int, ...] = ()  # this scheme's level for the levels 1 to 5 of the element catalogue, in order
    minor_level: int = 0  # raw records of patients below minor_age; 0: direct_level
    minor_age: int = 14

    def __post_init__(self) -> None:
        numbers = sorted(level.number for level in self.level)
        if numbers != list(range(1, len(numbers) + 1)) or not 1 <= len(numbers) <= HOUSE_LEVELS:
            raise PolicyInvalid(f"scheme {self.id} has levels {numbers}, asked are 1 to n without a gap, n at most 5")
        if self.from_house and len(self.from_house) != HOUSE_LEVELS:
            raise PolicyInvalid(f"from_house has {len(self.from_house)} entries, asked are {HOUSE_LEVELS}")
        minor = (self.minor_level,) if self.minor_level else ()
        named = (self.direct_level, self.unique_level, self.unknown_level, *minor, *self.from_house)
        for number in (*named, *(g.level for g in self.group), *(one.lowers_to for one in self.level)):
            self.of(number)

    def local(self, house_level: int) -> int:
        """Return this scheme's level for a level of the element catalogue."""
        return self.from_house[house_level - 1] if self.from_house else min(house_level, self.highest)

    def category_code(self, category: Category) -> str:
        """Return this scheme's code for a category of GB/T 39725; that category's own where none stands for it."""
        return next((one.code for one in self.category if category.value in one.house), category.value)

    def of(self, number: int) -> Level:
        """Return the level with this number. Raises PolicyInvalid when the scheme has none."""
        for level in self.level:
            if level.number == number:
                return level
        raise PolicyInvalid(f"level asked is {number}, scheme {self.id} has {[level.number for level in self.level]}")

    @property
    def highest(self) -> int:
        """The most restricted level."""
        return max(level.number for level in self.level)


@dataclass(frozen=True, slots=True)
class Element:
    """One entry of the element catalogue."""

    code: str
    en: str
    zh: str
    category: Category
    level: int
    role: Role
    method: str
    hipaa: int  # number in 45 CFR 164.514(b)(2)(i), 0 for none
    pipl: bool  # sensitive personal information after PIPL article 28
    names: tuple[str, ...] = field(repr=False)
    tables: tuple[str, ...] = field(default=(), repr=False)
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameMatch:
    """An element found by the name of a column."""

    element: Element
    pattern: str
    exact: bool

    @property
    def sure(self) -> bool:
        """Say whether the pattern is the whole name, or words of Chinese, which say what they say inside a name."""
        return self.exact or not self.pattern.isascii()


class Catalogue:
    """The element catalogue with an index over its name patterns."""

    def __init__(self, elements: tuple[Element, ...]) -> None:
        self.elements = elements
        self.by_code = {element.code: element for element in elements}
        self.by_kind = {kind: element for element in elements for kind in element.kinds}
        patterns = [(_Pattern.parse(name), element) for element in elements for name in element.names]
        self._open = _Index([(pattern, element) for pattern, element in patterns if not pattern.exact])
        self._exact: dict[str, list[tuple[_Pattern, Element]]] = {}
        for pattern, element in patterns:
            if pattern.exact:
                self._exact.setdefault(pattern.text, []).append((pattern, element))
        self._tables = {element.code: [_Pattern.parse(t) for t in element.tables] for element in elements}
        self._known: dict[tuple[tuple[str, ...], str, bool], NameMatch | None] = {}

    def match(self, column: str, table: str = "", *, people: bool = False) -> NameMatch | None:
        """Return the element whose pattern says most about `column` of `table`, or None.

        people: the table's rows are patients, whatever the file is called: no name in it is that of an organisation.
        """
        asked = (_keys(column), table, people)
        if asked not in self._known:
            self._known[asked] = self._best(asked[0], _keys(table), people=people)
        return self._known[asked]

    def _best(self, keys: tuple[str, ...], tables: tuple[str, ...], *, people: bool) -> NameMatch | None:
        best: tuple[int, NameMatch] | None = None
        exact = [entry for key in keys for entry in self._exact.get(key, ())]
        for pattern, element in [*exact, *self._open.fitting(keys)]:
            if people and element.tables and element.role is not Role.DIRECT:
                continue
            if element.tables and not any(p.fits(key) for p in self._tables[element.code] for key in tables):
                continue
            weight = pattern.weight + _standing(element, pattern)
            if best is None or weight > best[0]:
                best = (weight, NameMatch(element, pattern.source, pattern.exact))
        return best[1] if best else None


@dataclass(frozen=True, slots=True)
class _Pattern:
    source: str
    text: str
    open_left: bool
    open_right: bool

    @classmethod
    def parse(cls, source: str) -> _Pattern:
        return cls(source, source.strip("*"), source.startswith("*"), source.endswith("*"))

    @property
    def exact(self) -> bool:
        return not (self.open_left or self.open_right)

    @property
    def weight(self) -> int:
        """More literal text says more, the end of a name is its noun, a whole name says most."""
        return len(self.text) + 100 * self.exact + 20 * (self.open_left and not self.open_right)

    def fits(self, key: str) -> bool:
        if self.open_left and self.open_right:
            return self.text in key
        if self.open_left:
            return key.endswith(self.text)
        if self.open_right:
            return key.startswith(self.text)
        return key == self.text


class _Index:
    """Open patterns by their text: the pieces of a name are looked up, not every pattern tried."""

    def __init__(self, entries: list[tuple[_Pattern, Element]]) -> None:
        self._entries = entries
        self._by_text: dict[str, list[int]] = {}
        for place, (pattern, _) in enumerate(entries):
            self._by_text.setdefault(pattern.text, []).append(place)
        self._lengths = sorted({len(text) for text in self._by_text})

    def fitting(self, keys: tuple[str, ...]) -> list[tuple[_Pattern, Element]]:
        """Return the patterns that fit one of the names, in their order."""
        pieces = {key[i : i + size] for key in keys for size in self._lengths for i in range(len(key) - size + 1)}
        places = sorted(place for piece in pieces for place in self._by_text.get(piece, ()))
        return [self._entries[place] for place in places if any(self._entries[place][0].fits(key) for key in keys)]


def _standing(element: Element, pattern: _Pattern) -> int:
    """A pattern of one table beats all others; severe harm beats a longer word; a generic ending says least."""
    generic = element.code == "coded_item" and not pattern.exact
    return 300 * bool(element.tables) + 40 * (element.level == 5) - 60 * generic


@cache
def _abbreviations() -> Mapping[str, str]:
    """Return what the abbreviated words of column names stand for."""
    return dict(pair.split("=") for pair in str(_read(None, "words.toml")["abbreviations"]).split())


def _keys(name: str) -> tuple[str, ...]:
    """Return the normalised spellings of a column or table name, without repeats.

    `maritalStatus.coding[0].code` gives `marital_status_coding_code` and `maritalstatus_coding_code`.
    """
    plain = _joined(name)
    split = _joined(re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name))
    stems = [re.sub(r"(?<=\D)\d+$", "", key) for key in (plain, split)]
    whole = ["_".join(_abbreviations().get(word, word) for word in key.split("_")) for key in stems]
    return tuple(dict.fromkeys([plain, split, *stems, *whole]))


def _joined(name: str) -> str:
    words = [w for w in re.split(r"[^0-9a-z\u3400-\u9fff]+", name.strip().lower()) if w and not w.isdigit()]
    return "_".join(words)


@cache
def load_scheme(path: Path | None = None) -> Scheme:
    """Return the scheme of a file, or the house's own. Unknown or missing keys raise PolicyInvalid."""
    raw = _read(path, "levels.toml")
    for name, kind in (("category", CategoryName), ("level", Level), ("group", Group)):
        entries = raw.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise PolicyInvalid(f"scheme: {name} is no list of tables, asked is [[{name}]]")
        raw[name] = tuple(
            _build(kind, entry, f"{name} {entry.get('code', entry.get('number', ''))}") for entry in entries
        )
    return _build(Scheme, raw, "scheme")


@cache
def load_catalogue(path: Path | None = None) -> Catalogue:
    """Return the element catalogue of a file, or the house's own. Unknown or missing keys raise PolicyInvalid."""
    raw = _read(path, "elements.toml")
    if wrong := sorted(set(raw) - {"element"}):
        raise PolicyInvalid(f"element catalogue has the unknown key {wrong[0]}; {hint(wrong[0], ['element'])}")
    if not raw:
        raise PolicyInvalid("element catalogue has no [[element]]")
    elements = tuple(_element(entry) for entry in raw["element"])
    if len({element.code for element in elements}) != len(elements):
        raise PolicyInvalid("element catalogue has one code twice")
    return Catalogue(elements)


@cache
def load_gazetteer() -> Mapping[str, frozenset[str]]:
    """Return the name lists: given_en, surnames_en (lower case), surnames_zh, not_names_zh."""
    raw = _read(None, "gazetteer.toml")
    return {
        "given_en": frozenset(raw["given_en"].split()),
        "surnames_en": frozenset(raw["surnames_en"].split()),
        "surnames_zh": frozenset(raw["surnames_zh"]) | frozenset(raw["compound_surnames_zh"]),
        "not_names_zh": frozenset(raw["not_names_zh"]),
    }


def modes(level: int, scheme: Scheme | None = None) -> tuple[str, ...]:
    """Return the delivery modes a product of `level` may use; empty for a level that does not leave."""
    return (scheme or load_scheme()).of(level).modes


def _element(entry: dict[str, Any]) -> Element:
    try:
        typed = {**entry, "category": Category(str(entry.get("category"))), "role": Role(str(entry.get("role")))}
    except ValueError as error:
        raise PolicyInvalid(f"element {entry.get('code')}: {error}") from error
    return _build(Element, typed, f"element {entry.get('code')}")


def _build(kind: type[T], entry: Mapping[str, Any], where: str) -> T:
    """Construct a frozen dataclass from a TOML table; lists become tuples."""
    known = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]  # T is always one of our dataclasses
    if unknown := sorted(set(entry) - set(known)):
        raise PolicyInvalid(f"{where} has the unknown key {unknown[0]}; {hint(unknown[0], known)}")
    for key, value in entry.items():
        if not isinstance(value, _TOML_KINDS.get(known[key], object)) or (
            isinstance(value, bool) and known[key] == "int"
        ):
            raise PolicyInvalid(f"{where}: {key} is of type {type(value).__name__}, asked is {known[key]}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})
    except TypeError as error:
        lacking = sorted(f.name for f in fields(kind) if f.name not in entry and f.default is MISSING)  # type: ignore[arg-type]
        raise PolicyInvalid(f"{where} lacks {', '.join(lacking)}") from error


_TOML_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "tuple[str, ...]": (list, tuple),
    "tuple[int, ...]": (list, tuple),
}


def hint(found: str, known: Iterable[str]) -> str:
    """Return how to mend an unknown key: the nearest known one, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(found, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"


def _read(path: Path | None, default: str) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8") if path else files("hdex.deid").joinpath("data", default).read_text("utf-8")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise PolicyInvalid(f"{path or default}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyInvalid(f"{path or default} cannot be read as UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid(f"{path or default}: {error}") from error
