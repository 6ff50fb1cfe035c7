"""What the values of a column look like: shares of forms, never a value."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from hdex.deid.codes import icd10_shaped, loinc_valid, snomed_valid
from hdex.deid.identifiers import kind_of
from hdex.deid.scheme import load_gazetteer

SAMPLE = 400  # distinct values looked at; enough for a share to 5 points, cheap on a wide export

_DATE = re.compile(
    r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}[-\s](?:[A-Za-z]{3,9})[-\s]\d{4}"
    r"|(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?P<time>[T\s]?\d{1,2}[:时]?\d{2}.*)?"
)
_YEAR = re.compile(r"(?:18|19|20)\d{2}")
_NAME_EN = re.compile(r"[A-Z][A-Za-zÀ-ÿ'’-]*\d{0,4}(?:,? [A-Z][A-Za-zÀ-ÿ.'’-]*\d{0,4}){0,3}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_ADDRESS_EN = re.compile(r"\d{1,6}[A-Za-z]? [A-Z][\w'’.-]*.*|P\.? ?O\.? Box \d+.*", re.IGNORECASE)
_ADDRESS_ZH = re.compile(
    r"(?:[\u4e00-\u9fff]{2,}(?:省|市|区|县|镇|乡|村|街道)){1,}.*(?:路|街|巷|弄|号|室|栋|幢|单元|村|小区)"
)
_TOKEN = re.compile(r"[A-Za-z0-9_-]*\d[A-Za-z0-9_-]*")


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SEX = _words_of("m f male female man woman 男 女 男性 女性 unknown other u o 未知 x 1 2 0 9")
_STATES = _words_of(
    """al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa
    ri sc sd tn tx ut vt va wa wv wi wy dc"""
)
_RACES = _words_of(
    "white black asian native hawaiian other hispanic nonhispanic caucasian latino 汉 汉族 回族 满族 壮族"
)
_MARITAL = _words_of("married single divorced widowed separated never-married s m d w 已婚 未婚 离异 离婚 丧偶")


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts and shares over the filled cells of one column. Shares are 0-1 over a sample of distinct values."""

    rows: int
    filled: int
    distinct: int
    shares: Mapping[str, float]  # form -> share
    kinds: Mapping[str, float]  # checkable identifier -> share
    low: float | None  # smallest and largest number, when the column is numeric
    high: float | None
    decimals: float  # median count of decimals
    length: float  # median characters
    words: float  # mean words, a Han character counts one half
    one_length: bool
    years: int | None  # span of years, when dates

    @property
    def uniqueness(self) -> float:
        """Distinct values per filled cell, 0-1."""
        return self.distinct / self.filled if self.filled else 0.0

    def share(self, form: str) -> float:
        """Return the share of the sample with this form."""
        return self.shares.get(form, 0.0)

    @property
    def numeric(self) -> bool:
        """Say whether nearly all values are numbers."""
        return self.share("number") >= 0.95

    @property
    def reads_as_text(self) -> bool:
        """Say whether the values are sentences rather than terms of a list."""
        varied = self.uniqueness >= 0.3 or self.length >= 200 or self.share("sentence") >= 0.5
        return self.words >= 9 and self.length >= 25 and varied and self.distinct > 2


def observe(series: pl.Series) -> Shape:
    """Return the shape of a column."""
    text = as_text(series)
    distinct = text.unique(maintain_order=True)
    step = max(1, distinct.len() // SAMPLE)
    sample: list[str] = distinct.gather_every(step).head(SAMPLE).to_list()
    forms = Counter(form for value in sample for form, check in _FORMS.items() if check(value))
    kinds = Counter(kind for value in sample if (kind := kind_of(value)))
    size = max(1, len(sample))
    numbers = [float(v) for v in sample if _is_number(v)]
    return Shape(
        rows=series.len(),
        filled=text.len(),
        distinct=distinct.len(),
        shares={form: count / size for form, count in forms.items()},
        kinds={kind: count / size for kind, count in kinds.items()},
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        decimals=statistics.median([len(v.partition(".")[2]) for v in sample] or [0]),
        length=statistics.median([len(v) for v in sample] or [0]),
        words=sum(_words(v) for v in sample) / size,
        one_length=len({len(v) for v in sample}) == 1,
        years=_year_span(sample),
    )


def as_text(series: pl.Series) -> pl.Series:
    """Return the filled cells as stripped text; empty strings count as not filled."""
    if series.dtype in (pl.List, pl.Struct, pl.Array, pl.Object):
        series = pl.Series(series.name, [None if v is None else str(v) for v in series.to_list()], dtype=pl.String)
    text = series.cast(pl.String, strict=False).str.strip_chars()
    return text.filter(text.is_not_null() & (text != ""))


def _words(value: str) -> float:
    han = len(_HAN.findall(value))
    return len(value.split()) + han / 2 if han else len(value.split())


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[-+]?\d{1,15}(?:\.\d+)?(?:[eE][-+]?\d+)?", value, re.ASCII))


def _is_name_en(value: str) -> bool:
    if len(value) > 40 or not _NAME_EN.fullmatch(value):
        return False
    known = load_gazetteer()
    parts = [re.sub(r"[\d.,]", "", word).lower() for word in value.split()]
    return any(part in known["given_en"] or part in known["surnames_en"] for part in parts)


def _is_name_zh(value: str) -> bool:
    value = re.sub(r"[\s·*某]", "", value) if len(value) <= 8 else value
    if not 2 <= len(value) <= 4 or len(_HAN.findall(value)) != len(value):
        return False
    known = load_gazetteer()
    return value[:2] not in known["not_names_zh"] and (
        value[0] in known["surnames_zh"] or value[:2] in known["surnames_zh"]
    )


def _is_synthetic_name(value: str) -> bool:
    """A capitalised word with digits at its end, as generators of test people write names."""
    return bool(re.fullmatch(r"[A-ZÀ-Ý][a-zà-ÿ'’]+\d{1,4}(?: [A-ZÀ-Ý][A-Za-zà-ÿ'’]+\d{1,4})*", value))


def _is_date_only(value: str) -> bool:
    found = _DATE.fullmatch(value)
    return found is not None and (found["time"] or "").strip("T 0:.Z") == ""


def _year_span(sample: list[str]) -> int | None:
    years = [int(m[0]) for v in sample if _DATE.fullmatch(v) and (m := _YEAR.search(v))]
    return max(years) - min(years) if years else None


_FORMS: dict[str, Callable[[str], bool]] = {
    "number": _is_number,
    "integer": lambda v: bool(re.fullmatch(r"-?\d{1,15}(?:\.0+)?", v, re.ASCII)),
    "date": lambda v: bool(_DATE.fullmatch(v)),
    "date_only": _is_date_only,
    "name_en": _is_name_en,
    "name_synthetic": _is_synthetic_name,
    "name_zh": _is_name_zh,
    "address_en": lambda v: len(v.split()) >= 3 and bool(_ADDRESS_EN.fullmatch(v)) and "(" not in v and "/" not in v,
    "address_zh": lambda v: len(v) >= 6 and bool(_ADDRESS_ZH.match(v)),
    "icd10": icd10_shaped,
    "loinc": loinc_valid,
    "snomed": snomed_valid,
    "token": lambda v: len(v) >= 5 and bool(_TOKEN.fullmatch(v)),
    "sex": lambda v: v.lower() in _SEX,
    "sex_word": lambda v: v.lower() in _SEX and not v.isdigit(),
    "state_us": lambda v: v.lower() in _STATES,
    "race": lambda v: v.lower() in _RACES,
    "marital": lambda v: v.lower() in _MARITAL,
    "zip": lambda v: bool(re.fullmatch(r"\d{5}(?:-?\d{4})?|[1-8]\d{5}", v, re.ASCII)),
    "sentence": lambda v: bool(re.search(r"[。；！？]|[a-z)][.;!?](?:\s|$)", v)),
    "boolean": lambda v: v.lower() in {"0", "1", "true", "false", "yes", "no", "y", "n", "是", "否", "有", "无"},
}
