"""Linkage tokens: records of one person in two hospitals meet inside one project, and nowhere else.

Both hospitals hold one secret of the project (32 random bytes, made by one, handed to the other under their transport
keys, kept in both keystores). Each makes tokens of its patients' normalised elements inside its node; tokens leave it.
A token is a keyed digest: another project has another secret and another key, so its tokens never meet these.

Two tokens per patient, for hospitals that do not know the same things of him:
- `link_id` of a national identifier: resident ids after GB 11643 (15 digits become 18, the check character must fit);
  other numbers by letters and digits alone. Placeholders (one digit repeated) are none.
- `link_person` of name, birth date and sex, all three or nothing.
How elements are normalised, because both sides must do the same (version 1, part of the key):
- text: NFKD, marks off, lower case; full-width forms thereby become plain ones.
- names with Han characters: letters only, in their order. Others: words of letters, sorted ("Meier, Ann" is
  "ann meier"), digits and titles dropped. Traditional and simplified forms are not folded into one another.
- birth date: a date, or text in ISO, Chinese or month-first form; sex: m or f, from English, Chinese or codes 1 and 2.
A token that two patients of one hospital share names nobody: both are left without. So two people of one name, birth
date and sex do not meet by it, and a clerk's favourite number does not either.

What remains: each hospital holds the secret and could try guesses against the other's tokens. So tokens go to the
project's enclave alone and are replaced by row numbers there (`linked`); they are never part of a file release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from hdex.deid.dates import read_date
from hdex.deid.errors import ArgumentInvalid, InputInvalid, LinkageRefused
from hdex.deid.identifiers import resident_id_15_valid, resident_id_check_character, resident_id_valid
from hdex.deid.pseudonym import derive, macs, require_key

VERSION = "linkage/v1"
LINK_ID, LINK_PERSON = "link_id", "link_person"
PREFIX = "k"  # in front of every token: no program takes it for a number
TOKEN_DIGITS = 40  # 160 bits
LEAST_PARTIES, LEAST_APPROVERS = 2, 2
HAN = r"\p{Han}"
TITLES = {"mr", "mrs", "ms", "miss", "dr", "prof", "jr", "sr"}
SEXES = {"m": "m", "male": "m", "男": "m", "1": "m", "f": "f", "female": "f", "女": "f", "2": "f"}
APART = "\x1f"  # between elements: no normalised element holds it


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two or more hospitals agreed to. approved_by: the people of this hospital who approved, two at least.

    The node builds it from documents whose signatures it has checked: this room only counts.
    """

    project: str
    parties: tuple[str, ...]
    approved_by: tuple[str, ...]
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        require_key(self.secret)
        if not self.project or len(set(self.parties)) < LEAST_PARTIES:
            raise LinkageRefused(f"{len(set(self.parties))} hospitals agreed, asked are a project and {LEAST_PARTIES}")
        if len(set(self.approved_by)) < LEAST_APPROVERS:
            raise LinkageRefused(
                f"{len(set(self.approved_by))} people of this hospital approved, asked are {LEAST_APPROVERS}: "
                "let a data steward and a privacy officer sign the agreement"
            )

    def key(self, kind: str) -> bytes:
        """The key of one kind of token; the same for all parties, whatever order they are named in."""
        return derive(self.secret, VERSION, kind, self.project, *sorted(set(self.parties)))


@dataclass(frozen=True, slots=True)
class Elements:
    """Which columns hold what. Each of the two tokens needs its own columns; one of them must be possible."""

    resident_id: str | None = None
    other_id: str | None = None  # a number without a known check: insurance, social security
    name: str | None = None
    birth_date: str | None = None
    sex: str | None = None

    def __post_init__(self) -> None:
        if self.resident_id and self.other_id:
            raise ArgumentInvalid("one identifier makes the token: name resident_id or other_id")
        if not self.has_id and not self.has_person:
            raise ArgumentInvalid("a token needs an identifier, or name, birth date and sex")

    @property
    def has_id(self) -> bool:
        """Whether there is an identifier."""
        return bool(self.resident_id or self.other_id)

    @property
    def has_person(self) -> bool:
        """Whether name, birth date and sex are all there."""
        return bool(self.name and self.birth_date and self.sex)


def linkage_tokens(persons: pl.DataFrame, elements: Elements, agreement: Agreement, *, patient: str) -> pl.DataFrame:
    """(patient, link_id, link_person), one row per patient in the order of `persons`; NULL where there is no token.

    persons: one row per patient. Raises InputInvalid for a missing column or a patient named twice.
    """
    named = [one for one in (elements.resident_id, elements.other_id) if one]
    named += [one for one in (elements.name, elements.birth_date, elements.sex) if one]
    missing = sorted({patient, *named} - set(persons.columns))
    if missing:
        raise InputInvalid(f"columns {', '.join(missing)} are not in the table of persons")
    if persons[patient].has_nulls() or persons[patient].is_duplicated().any():
        raise InputInvalid("a patient of the table of persons has two rows or no name")
    nothing = pl.repeat(None, persons.height, dtype=pl.String, eager=True)
    ids = identifiers_of(persons, elements) if elements.has_id else nothing
    people = people_of(persons, elements) if elements.has_person else nothing
    return pl.DataFrame(
        {
            patient: persons[patient],
            LINK_ID: tokens_of(ids, agreement.key(LINK_ID)),
            LINK_PERSON: tokens_of(people, agreement.key(LINK_PERSON)),
        }
    )


def linked(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """(left, right): row numbers of the records of one person, by identifier first, by person where that is silent.

    A pair by person is dropped where both sides have an identifier and these differ: two people of one name.
    """
    numbered = [side.select(LINK_ID, LINK_PERSON).with_row_index("row") for side in (left, right)]
    by_id = meet(numbered[0], numbered[1], LINK_ID)
    rest = [
        side.join(by_id.select(pl.col(name).alias("row")), on="row", how="anti")
        for side, name in zip(numbered, ("left", "right"), strict=True)
    ]
    by_person = meet(rest[0], rest[1], LINK_PERSON)
    return pl.concat([by_id, by_person]).sort("left")


def meet(left: pl.DataFrame, right: pl.DataFrame, column: str) -> pl.DataFrame:
    """Pairs of rows with equal tokens and no two different identifiers."""
    pairs = left.drop_nulls(column).join(right.drop_nulls(column), on=column, suffix="_right", maintain_order="left")
    if column != LINK_ID:
        other = pl.col(f"{LINK_ID}_right")
        pairs = pairs.filter(pl.col(LINK_ID).is_null() | other.is_null() | (pl.col(LINK_ID) == other))
    return pairs.select(pl.col("row").alias("left"), pl.col("row_right").alias("right"))


def tokens_of(elements: pl.Series, key: bytes) -> pl.Series:
    """A token per element; NULL where there is none or two patients share it."""
    alone = pl.select(pl.when(elements.is_unique()).then(elements)).to_series()
    return PREFIX + macs(alone, key).str.slice(0, TOKEN_DIGITS)


def identifiers_of(persons: pl.DataFrame, elements: Elements) -> pl.Series:
    """Normalised identifiers; NULL for what is none."""
    name = elements.resident_id or elements.other_id or ""
    plain = folded(persons[name]).str.replace_all(r"[^\p{L}\p{N}]", "").str.to_uppercase()
    is_placeholder = pl.Series([value is None or len(set(value)) < 2 for value in plain.to_list()], dtype=pl.Boolean)
    real = pl.select(pl.when(~is_placeholder).then(plain)).to_series()
    if not elements.resident_id:
        return real
    known = real.drop_nulls().unique()
    full = pl.Series([resident_id_of(value) for value in known], dtype=pl.String)
    return real.replace_strict(known, full, default=None, return_dtype=pl.String)


def resident_id_of(value: str) -> str | None:
    """18 characters of a valid resident id of 15 or 18; None for anything else."""
    if resident_id_valid(value):
        return value
    if not resident_id_15_valid(value):
        return None
    first17 = value[:6] + "19" + value[6:]
    return first17 + resident_id_check_character(first17)


def people_of(persons: pl.DataFrame, elements: Elements) -> pl.Series:
    """name, birth date and sex as one text; NULL where one of them is not known."""
    names = normal_names(persons[elements.name or ""])
    births = normal_dates(persons[elements.birth_date or ""])
    sexes = normal_sexes(persons[elements.sex or ""])
    return names + APART + births + APART + sexes


def folded(values: pl.Series) -> pl.Series:
    """Compatibility forms taken apart, marks off, lower case."""
    return values.cast(pl.String).str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()


def normal_names(values: pl.Series) -> pl.Series:
    """Names as the module says; NULL for one without letters."""
    known = values.cast(pl.String).drop_nulls().unique()
    plain = folded(known).str.replace_all(r"[^\p{L}]+", " ").str.strip_chars()
    has_han = plain.str.contains(HAN)
    words = [" ".join(sorted(set_aside(text.split()))) for text in plain]
    normal = pl.select(
        pl.when(has_han).then(plain.str.replace_all(" ", "")).otherwise(pl.Series(words, dtype=pl.String))
    )
    cleaned = pl.select(pl.when(normal.to_series() != "").then(normal.to_series())).to_series()
    return values.cast(pl.String).replace_strict(known, cleaned, default=None, return_dtype=pl.String)


def set_aside(words: Sequence[str]) -> list[str]:
    """Words without titles; a name of titles alone stays."""
    return [word for word in words if word not in TITLES] or list(words)


def normal_dates(values: pl.Series) -> pl.Series:
    """Dates as ISO text; NULL for what is none."""
    if values.dtype in (pl.Date, pl.Datetime):
        return values.dt.strftime("%Y-%m-%d")
    text = values.cast(pl.String)
    known = text.drop_nulls().unique()
    read: list[date | None] = [read_date(value) for value in known]
    iso = pl.Series([None if day is None else day.isoformat() for day in read], dtype=pl.String)
    return text.replace_strict(known, iso, default=None, return_dtype=pl.String)


def normal_sexes(values: pl.Series) -> pl.Series:
    """m, f or NULL."""
    plain = folded(values).str.strip_chars().str.replace_all(re.escape("."), "")
    return plain.replace_strict(SEXES, default=None, return_dtype=pl.String)
