"""Infer role, category and level of every column, from its name and from its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from hdex.deid.codes import group_indexes
from hdex.deid.columns import Category, ColumnProfile, LevelDecision, Role
from hdex.deid.evidence import CERTAIN, by_value, percent
from hdex.deid.levels import decide_level
from hdex.deid.scheme import Catalogue, Element, Group, NameMatch, Scheme, load_catalogue, load_scheme
from hdex.deid.shapes import SAMPLE, SHORT, Shape, as_text, observe, sample_size

# A table with one of these is of patients, though its file be called after the hospital.
_OF_PATIENTS = frozenset(
    ("birth_date", "birth_year", "patient_key", "record_number", "resident_id", "ssn", "marital", "age")
)
_READ = 20_000  # characters of a cell searched for words of severe harm
_SHORT_CELL, _MOST_HELD = 40, 50_000  # characters of a cell, and cells, whose answer is kept for the next column
_TEXT_SHARE = 0.05  # a group named in fewer free texts than this is evidence, not a level
_AMBIGUOUS_NAMES = frozenset(("person_name", "kin_name"))  # `name` is also how drugs and wards are named
_TERMS = frozenset(("medication", "diagnosis", "procedure", "hospital", "employer", "unit", "kind", "code_system"))


@dataclass(frozen=True, slots=True)
class Judged:
    """One column with what it was judged on."""

    profile: ColumnProfile
    shape: Shape = field(repr=False)
    named: bool  # its name said something

    @property
    def element(self) -> str:
        """Code in the element catalogue, empty when unknown."""
        return self.profile.element or ""


def classify_columns(
    frame: pl.DataFrame, table: str = "", *, scheme: Scheme | None = None, catalogue: Catalogue | None = None
) -> list[ColumnProfile]:
    """Return one profile per column of `frame`, in its order."""
    return [judged.profile for judged in judge_columns(frame, table, scheme=scheme, catalogue=catalogue)]


def judge_columns(
    frame: pl.DataFrame, table: str = "", *, scheme: Scheme | None = None, catalogue: Catalogue | None = None
) -> list[Judged]:
    """Return profile and shape of every column of `frame`, in its order."""
    known = catalogue or load_catalogue()
    matches = (known.match(name) for name in frame.columns)
    people = any(match and match.sure and match.element.code in _OF_PATIENTS for match in matches)
    judge = _Judge(scheme or load_scheme(), known, table, sample=sample_size(frame.width), people=people)
    return [judge.judged(frame.get_column(name)) for name in frame.columns]


def classify_dataset(
    profiles: Sequence[ColumnProfile],
    *,
    inclusion: Sequence[str],
    k_without_suppression: int | None,
    scheme: Scheme | None = None,
    minor_under_14: bool = False,
) -> LevelDecision:
    """Return the level of a data set: the highest of its elements, its inclusion criterion and its uniqueness.

    inclusion: title, filter and code lists that chose the patients. k_without_suppression: None when not measured.
    minor_under_14: patients under the scheme's minor_age are in it.
    """
    return decide_level(
        profiles,
        inclusion=inclusion,
        k_without_suppression=k_without_suppression,
        scheme=scheme or load_scheme(),
        minor_under_14=minor_under_14,
    )


class _Judge:
    """Weighs the name of a column against its values."""

    def __init__(
        self, scheme: Scheme, catalogue: Catalogue, table: str, *, sample: int = SAMPLE, people: bool = False
    ) -> None:
        self._scheme = scheme
        self._catalogue = catalogue
        self._table = table
        self._sample = sample
        self._people = people
        self._held: dict[str, tuple[bool, ...]] = {}

    def judged(self, series: pl.Series) -> Judged:
        shape = observe(series, sample=self._sample)
        named = self._catalogue.match(series.name, self._table, people=self._people)
        element, evidence, confidence = self._element(named, shape)
        role, level = (
            (element.role, self._scheme.local(element.level)) if element else (Role.OTHER, self._scheme.unknown_level)
        )
        for group, share in self._groups(series, role, shape):
            evidence.append(f"{group.en}: {percent(share)} of the filled cells")
            if role is not Role.FREE_TEXT or share >= _TEXT_SHARE:
                level = max(level, group.level)
                role = Role.SENSITIVE if role is Role.OTHER else role
        profile = ColumnProfile(
            table=self._table,
            name=series.name,
            role=role,
            category=element.category if element else Category.HEALTH_STATUS,
            level=level,
            evidence=tuple(evidence),
            confidence=round(min(confidence, 0.99), 2),
            element=element.code if element else None,
        )
        return Judged(profile, shape, named is not None)

    def _element(self, named: NameMatch | None, shape: Shape) -> tuple[Element | None, list[str], float]:
        """Return the element, the evidence for it and the confidence."""
        found = by_value(shape, hinted=named is not None)
        other = self._catalogue.by_code.get(found[0]) if found else None
        if named is None:
            if found is None or other is None:
                return None, ["neither name nor values say what it is"], 0.2
            return other, [found[1]], found[2]
        evidence = [f"name fits '{named.pattern}'"]
        confidence = 0.95 if named.exact else 0.8
        if found is None or other is None:
            return named.element, evidence, confidence
        _, why, certainty = found
        if other.role is named.element.role:
            return named.element, [*evidence, why], confidence + 0.04
        if _overrules(named.element, other, shape, certainty):
            return other, [why, f"although the {evidence[0]}"], certainty * 0.9
        return named.element, [*evidence, f"values differ: {why}"], confidence - 0.15

    def _groups(self, series: pl.Series, role: Role, shape: Shape) -> list[tuple[Group, float]]:
        """Return the groups whose codes or words occur in the cells, with the share of filled cells."""
        if role in (Role.DIRECT, Role.QUASI) or not shape.filled or (shape.numeric and shape.share("snomed") < 0.5):
            return []
        counts = _counts(series)
        sure = [(size, self._holds(value)) for value, size in counts.items()]
        icd10 = shape.share("icd10") >= 0.5
        found = []
        for place, index in enumerate(group_indexes(self._scheme)):
            hits = sum(size for size, held in sure if held[place])
            if icd10:
                hits += sum(
                    size
                    for (value, size), (_, held) in zip(counts.items(), sure, strict=True)
                    if not held[place] and index.holds_icd10(value)
                )
            if hits:
                found.append((index.group, hits / shape.filled))
        return found

    def _holds(self, value: str) -> tuple[bool, ...]:
        """Say for every group whether a cell holds a code or a word of it; short cells come again in other columns."""
        held = self._held.get(value)
        if held is None:
            held = tuple(i.holds_code(value) or i.holds_words(value) for i in group_indexes(self._scheme))
            if len(value) <= _SHORT_CELL and len(self._held) < _MOST_HELD:
                self._held[value] = held
        return held


def _counts(series: pl.Series) -> Mapping[str, int]:
    """Count the filled cells of a column, as far as they are searched; a short column needs no query."""
    if series.dtype == pl.String and series.len() <= SHORT:
        return Counter(text[:_READ] for cell in series.to_list() if cell and (text := cell.strip()))
    counts = as_text(series).str.head(_READ).value_counts()
    return dict(zip(counts.get_column(series.name).to_list(), counts.get_column("count").to_list(), strict=True))


def _overrules(named: Element, other: Element, shape: Shape, certainty: float) -> bool:
    """Say whether values that speak of `other` beat a name that speaks of `named`."""
    if named.tables and named.role is Role.OTHER:  # facts of an organisation in its own table
        return False
    if other.code == "row_key":  # a reference to a payer or a ward is a key too, and still what its name says
        return named.code == "coded_item"
    if other.role is Role.DIRECT:
        certain = any(shape.kinds.get(kind, 0.0) >= 0.8 for kind in CERTAIN)
        return certain or (certainty >= 0.75 and named.role in (Role.OTHER, Role.SENSITIVE))
    if other.role is Role.FREE_TEXT:
        return named.role is not Role.DIRECT and certainty >= 0.8
    if named.code in _AMBIGUOUS_NAMES and other.code in _TERMS:
        return certainty >= 0.6 and not named.tables and shape.share("name_en", "name_zh", "name_synthetic") < 0.2
    # a column named like a text whose cells are terms of a list
    return named.role is Role.FREE_TEXT and other.role is Role.SENSITIVE and certainty >= 0.6
