"""How a release is prepared and what it must meet: presets by level, or one's own TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import date, datetime
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Self

from hdex.deid.errors import PolicyInvalid
from hdex.deid.pseudonym import WEEK
from hdex.deid.scheme import hint


class FreeText(StrEnum):
    """What becomes of notes."""

    REDACT = "redact"
    DROP = "drop"


class Dates(StrEnum):
    """What becomes of dates: moved by the patient's secret shift, or moved and told no finer than a step."""

    SHIFT = "shift"
    MONTH = "month"
    QUARTER = "quarter"
    HALF = "half"
    YEAR = "year"
    DROP = "drop"


class Finest(StrEnum):
    """The finest a quasi-identifying date, or a date of a patient with several rows, may read."""

    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    HALF = "half"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Policy:
    """How identifiers are removed from one data element, and the ceilings the result must meet."""

    name: str
    level: int  # level the release is to have
    k: int  # smallest number of patients of a class that may leave the node
    max_prosecutor: float  # 1 / smallest class
    max_average: float
    suppression: float  # share of rows that may be left out
    pseudonyms: bool  # the patient column stays, as a pseudonym of this recipient and project
    free_text: FreeText
    dates: Dates
    quasi_dates: Finest
    age_cap: int
    shift_days: int  # every date of one patient moves by one secret offset in +-shift_days, never 0
    l: int | None = None  # noqa: E741  distinct sensitive values of a class; one of l and t suffices
    t: float | None = None
    unique_rows: int | None = None  # None: reported, no ceiling
    cap_births: bool = True  # a birth that tells an age of age_cap or more is told as the day that age was reached
    ages_at: date | None = None  # the day of that age; None: the patient's death, else the last date of the table
    keep_weekday: bool = False  # shifts are whole weeks: rhythms of the week survive, a seventh of the offsets is left
    round_digits: Mapping[str, int] = field(default_factory=dict)  # column -> decimals; other numbers stay unaltered
    longitudinal: bool = False  # a patient may have several rows; k still counts patients
    event_dates: Finest = Finest.QUARTER  # the finest his dates may read then; coarser where the attack asks it

    def __post_init__(self) -> None:
        if self.k < 2:
            raise PolicyInvalid(f"k is {self.k}; below 2 every row singles someone out")
        if not 1 <= self.level <= 3:
            raise PolicyInvalid(f"level is {self.level}; a release has level 1 to 3")
        for name in ("max_prosecutor", "max_average", "suppression"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise PolicyInvalid(f"{name} is {getattr(self, name):g}, asked is a share from 0 to 1")
        if self.shift_days < 1:
            raise PolicyInvalid(f"shift_days is {self.shift_days}, asked is 1 or more")
        if self.keep_weekday and self.shift_days < WEEK:
            raise PolicyInvalid(f"shift_days is {self.shift_days}, asked is {WEEK} or more to keep the day of the week")
        if self.level <= 2 and (self.pseudonyms or self.free_text is FreeText.REDACT or self.dates is Dates.SHIFT):
            raise PolicyInvalid(f"level {self.level} releases no pseudonym, no notes and no exact dates")

    def with_changes(self, **changes: object) -> Self:
        """The same policy with some values replaced; unknown names are errors."""
        return replace(self, **checked(changes, self.name))  # type: ignore[arg-type]  # checked one line up

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        day = None if self.ages_at is None else self.ages_at.isoformat()
        return {**asdict(self), "ages_at": day, "round_digits": dict(self.round_digits)}


KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "level": (int,),
    "k": (int,),
    "max_prosecutor": (int, float),
    "max_average": (int, float),
    "suppression": (int, float),
    "pseudonyms": (bool,),
    "free_text": (str,),
    "dates": (str,),
    "quasi_dates": (str,),
    "age_cap": (int,),
    "shift_days": (int,),
    "cap_births": (bool,),
    "ages_at": (date,),
    "keep_weekday": (bool,),
    "l": (int,),
    "t": (int, float),
    "unique_rows": (int,),
    "round_digits": (dict,),
    "longitudinal": (bool,),
    "event_dates": (str,),
}
ENUMS: dict[str, type[StrEnum]] = {"free_text": FreeText, "dates": Dates, "quasi_dates": Finest, "event_dates": Finest}


def preset(name: str) -> Policy:
    """The house preset of that name. Raises PolicyInvalid, listing the names there are."""
    table = presets()
    if name not in table:
        raise PolicyInvalid(f"preset {name} is not known; there are {', '.join(sorted(table))}; {hint(name, table)}")
    return build(table[name], name)


def presets() -> dict[str, dict[str, object]]:
    """The presets as written in the data file."""
    return tomllib.loads(files("hdex.deid").joinpath("data/presets.toml").read_text("utf-8"))


def load_policy(path: Path) -> Policy:
    """A policy file: `preset = "..."` and what differs from it, or every value."""
    try:
        return parse_policy(path.read_text("utf-8"), name=path.stem)
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{path.name} is not UTF-8 text") from error
    except OSError as error:
        raise PolicyInvalid(f"{path.name} cannot be read") from error


def parse_policy(text: str, *, name: str = "policy") -> Policy:
    """A policy from TOML text; unknown keys are errors."""
    try:
        table: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyInvalid(f"{name} is not TOML: {error}") from error
    base = table.pop("preset", None)
    if base is None:
        return build(table, name)
    return preset(str(base)).with_changes(**{"name": name, **table})


def build(table: Mapping[str, object], name: str) -> Policy:
    """A policy from a full table of values."""
    values = checked({"name": name, **table}, name)
    needed = {one.name for one in fields(Policy) if one.default is MISSING and one.default_factory is MISSING}
    missing = sorted(needed - set(values))
    if missing:
        raise PolicyInvalid(f"policy {name} lacks {', '.join(missing)}")
    return Policy(**values)  # type: ignore[arg-type]  # checked one line up


def checked(values: Mapping[str, object], name: str) -> dict[str, object]:
    """Values of the right kind under known names, or PolicyInvalid."""
    unknown = sorted(set(values) - set(KINDS))
    if unknown:
        raise PolicyInvalid(f"policy {name} has unknown keys {', '.join(unknown)}; {hint(unknown[0], KINDS)}")
    return {key: converted(key, value, name) for key, value in values.items()}


def converted(key: str, value: object, name: str) -> object:
    """One value in our type."""
    is_other = (isinstance(value, bool) and bool not in KINDS[key]) or isinstance(value, datetime)
    if not isinstance(value, KINDS[key]) or is_other:
        wanted = " or ".join(kind.__name__ for kind in KINDS[key])
        raise PolicyInvalid(f"policy {name}: {key} is of type {type(value).__name__}, asked is {wanted}")
    if key not in ENUMS:
        return value
    try:
        return ENUMS[key](str(value))
    except ValueError as error:
        raise PolicyInvalid(f"policy {name}: {key} is one of {', '.join(ENUMS[key])}") from error
