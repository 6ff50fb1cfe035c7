"""Infer role, category and level of every column, from its name and from its values."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hdex.deid.codes import group_indexes
from hdex.deid.columns import Category, ColumnProfile, LevelDecision, Role
from hdex.deid.levels import decide_level
from hdex.deid.scheme import Catalogue, Element, Group, NameMatch, Scheme, load_catalogue, load_scheme
from hdex.deid.shapes import Shape, as_text, observe

# Forms that decide against any name: nobody writes these by chance in 8 of 10 cells.
_CERTAIN = frozenset(
    (
        "resident_id",
        "email",
        "udi",
        "ssn",
        "mobile_cn",
        "bank_card",
        "iban",
        "plate_cn",
        "dicom_uid",
        "trace_code",
        "vin",
    )
)
_TEXT_SHARE = 0.05  # a group named in fewer free texts than this is evidence, not a level


def classify_columns(
    frame: pl.DataFrame, table: str = "", *, scheme: Scheme | None = None, catalogue: Catalogue | None = None
) -> list[ColumnProfile]:
    """Return one profile per column of `frame`, in its order."""
    judge = _Judge(scheme or load_scheme(), catalogue or load_catalogue(), table)
    return [judge.profile(frame.get_column(name)) for name in frame.columns]


def classify_dataset(
    profiles: Sequence[ColumnProfile],
    *,
    inclusion: Sequence[str],
    k_without_suppression: int | None,
    scheme: Scheme | None = None,
) -> LevelDecision:
    """Return the level of a data set: the highest of its elements, its inclusion criterion and its uniqueness.

    inclusion: title, filter and code lists that chose the patients. k_without_suppression: None when not measured.
    """
    return decide_level(
        profiles, inclusion=inclusion, k_without_suppression=k_without_suppression, scheme=scheme or load_scheme()
    )


class _Judge:
    """Weighs the name of a column against its values."""

    def __init__(self, scheme: Scheme, catalogue: Catalogue, table: str) -> None:
        self._scheme = scheme
        self._catalogue = catalogue
        self._table = table

    def profile(self, series: pl.Series) -> ColumnProfile:
        shape = observe(series)
        named = self._catalogue.match(series.name, self._table)
        element, evidence, confidence = self._element(named, shape)
        role, level = (element.role, element.level) if element else (Role.OTHER, self._scheme.unknown_level)
        category = element.category if element else Category.HEALTH_STATUS
        groups = self._groups(series, role, shape)
        for group, share in groups:
            evidence.append(f"{group.en}: {_percent(share)} of the filled cells")
            if role is not Role.FREE_TEXT or share >= _TEXT_SHARE:
                level = max(level, group.level)
                role = Role.SENSITIVE if role is Role.OTHER else role
        return ColumnProfile(
            table=self._table,
            name=series.name,
            role=role,
            category=category,
            level=level,
            evidence=tuple(evidence),
            confidence=round(min(confidence, 0.99), 2),
            element=element.code if element else None,
        )

    def _element(self, named: NameMatch | None, shape: Shape) -> tuple[Element | None, list[str], float]:
        """Return the element, the evidence for it and the confidence."""
        by_value = self._by_value(shape, hinted=named is not None)
        if named is None:
            if by_value is None:
                return None, ["neither name nor values say what it is"], 0.2
            code, why, confidence = by_value
            return self._catalogue.by_code[code], [why], confidence
        evidence = [f"name fits '{named.pattern}'"]
        confidence = 0.95 if named.exact else 0.8
        if by_value is None:
            return named.element, evidence, confidence
        code, why, certainty = by_value
        other = self._catalogue.by_code[code]
        if other.role is named.element.role:
            return named.element, [*evidence, why], confidence + 0.04
        if _overrules(named.element, other, shape, certainty):
            return other, [why, f"although the {evidence[0]}"], certainty * 0.9
        return named.element, [*evidence, f"values differ: {why}"], confidence - 0.15

    def _by_value(self, shape: Shape, *, hinted: bool) -> tuple[str, str, float] | None:
        """Return (element code, evidence, confidence) when the values alone say something."""
        if not shape.filled:
            return None
        for judge in (_identifier, _text, _person, _demographic, _coded):
            if found := judge(shape):
                return found
        if hinted:
            return None
        return _key(shape) or _leftover(shape)

    def _groups(self, series: pl.Series, role: Role, shape: Shape) -> list[tuple[Group, float]]:
        """Return the groups whose codes or words occur in the cells, with the share of filled cells."""
        if role in (Role.DIRECT, Role.QUASI) or not shape.filled or (shape.numeric and shape.share("snomed") < 0.5):
            return []
        counts = as_text(series).value_counts()
        values, sizes = counts.get_column(series.name).to_list(), counts.get_column("count").to_list()
        found = []
        for index in group_indexes(self._scheme):
            icd10 = shape.share("icd10") >= 0.5
            hits = sum(
                size
                for value, size in zip(values, sizes, strict=True)
                if index.holds_code(value) or (icd10 and index.holds_icd10(value)) or index.holds_words(value)
            )
            if hits:
                found.append((index.group, hits / shape.filled))
        return found


def _overrules(named: Element, other: Element, shape: Shape, certainty: float) -> bool:
    """Say whether values that speak of `other` beat a name that speaks of `named`."""
    if named.tables and named.role is Role.OTHER:  # facts of an organisation in its own table
        return False
    if other.code == "row_key":  # a reference to a payer or a ward is a key too, and still what its name says
        return named.code == "coded_item"
    if other.role is Role.DIRECT:
        certain = any(shape.kinds.get(kind, 0.0) >= 0.8 for kind in _CERTAIN)
        return certain or (certainty >= 0.75 and named.role in (Role.OTHER, Role.SENSITIVE))
    if other.role is Role.FREE_TEXT:
        return named.role is not Role.DIRECT
    # a column named like a text whose cells are terms of a list
    return named.role is Role.FREE_TEXT and other.role is Role.SENSITIVE


def _identifier(shape: Shape) -> tuple[str, str, float] | None:
    """Checkable identifiers, most frequent kind first."""
    for kind, share in sorted(shape.kinds.items(), key=lambda item: -item[1]):
        element = load_catalogue().by_kind.get(kind)
        strong = kind in _CERTAIN
        if element is None or share < (0.6 if strong else 0.9):
            continue
        if not strong and (shape.distinct < 10 or shape.share("snomed") >= 0.5 or shape.share("date") >= 0.5):
            continue
        return element.code, f"{_percent(share)} of the values have the form {kind}", share * (0.97 if strong else 0.7)
    if shape.kinds.get("uuid", 0.0) >= 0.8:
        return "row_key", "values are universally unique identifiers", 0.75
    return None


def _text(shape: Shape) -> tuple[str, str, float] | None:
    if not shape.reads_as_text or shape.share("address_en") >= 0.5 or shape.share("address_zh") >= 0.5:
        return None
    return "note", f"values read as text: {shape.words:.0f} words on average", 0.85


def _person(shape: Shape) -> tuple[str, str, float] | None:
    """Names, addresses, coordinates, dates."""
    if shape.share("date") >= 0.8:
        born = shape.share("date_only") >= 0.95 and shape.uniqueness >= 0.5 and (shape.years or 0) >= 50
        return ("birth_date" if born else "event_date"), f"{_percent(shape.share('date'))} of the values are dates", 0.7
    for form in ("address_en", "address_zh"):
        if shape.share(form) >= 0.7 and shape.distinct >= 10:
            return "street_address", f"{_percent(shape.share(form))} of the values read as addresses", 0.8
    name = max(shape.share("name_zh") - 0.2, shape.share("name_en"), shape.share("name_synthetic"))
    if name >= 0.6 and shape.distinct >= 10:
        return "person_name", f"{_percent(name)} of the values read as names of persons", min(0.9, 0.4 + name / 2)
    if shape.numeric and shape.decimals >= 5 and shape.high is not None and shape.low is not None:
        near = shape.high - shape.low <= 30 and shape.low >= -180 and shape.high <= 180 and abs(shape.low) >= 1
        if near and shape.uniqueness >= 0.3:
            return "coordinates", "values are degrees with five decimals or more", 0.6
    return None


def _demographic(shape: Shape) -> tuple[str, str, float] | None:
    """Short lists of known words."""
    if shape.distinct > 60:
        return None
    checks = (
        ("sex", "sex_word", 2, 5, 0.85),
        ("marital", "marital", 3, 8, 0.7),
        ("race", "race", 2, 12, 0.7),
        ("state", "state_us", 5, 60, 0.6),
    )
    for code, form, least, most, confidence in checks:
        if shape.share(form) >= 0.8 and least <= shape.distinct <= most:
            return code, f"values are words for {code}", confidence
    return None


def _coded(shape: Shape) -> tuple[str, str, float] | None:
    """Code systems with check digits or a strict shape."""
    for form, code, least in (
        ("icd10", "diagnosis", 0.8),
        ("loinc", "measurement", 0.8),
        ("snomed", "coded_item", 0.8),
    ):
        if shape.share(form) >= least and shape.distinct >= 2:
            return code, f"{_percent(shape.share(form))} of the values are {form.upper()} codes", 0.85
    return None


def _key(shape: Shape) -> tuple[str, str, float] | None:
    """Keys without a name: one value per row, or long tokens that repeat."""
    if shape.filled < 10:
        return None
    token = shape.share("token") >= 0.95 and not (shape.numeric and shape.share("integer") < 0.95)
    if shape.share("zip") >= 0.98 and shape.one_length and shape.uniqueness < 0.9:
        return "postcode", "values have the form of postcodes", 0.5
    if shape.uniqueness >= 0.98 and (token or shape.share("integer") >= 0.99):
        return "row_key", "one value per row", 0.65
    if token and shape.distinct >= 10 and (shape.one_length or not shape.numeric) and shape.length >= 6:
        return "patient_key", "values are tokens that repeat over rows", 0.55
    return None


def _leftover(shape: Shape) -> tuple[str, str, float] | None:
    """Weak signs, for columns whose name says nothing."""
    if shape.numeric and shape.low is not None and shape.high is not None:
        ages = shape.share("integer") >= 0.99 and shape.low >= 0 and 60 <= shape.high <= 115 and shape.distinct >= 25
        if ages:
            return "age", "whole numbers in the range of ages", 0.35
        return "measurement", "numbers", 0.4
    if shape.distinct <= max(50, shape.filled // 20):
        return "coded_item", "a short list of terms", 0.3
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
