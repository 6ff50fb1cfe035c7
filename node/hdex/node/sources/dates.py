"""Dates as hospitals write them: recognise the pattern of a column, parse it with polars.

A pattern is what a person would write (`YYYY-MM-DD`, `MM/DD/YYYY HH:MM`, `YYYY年MM月DD日`, `DD-Mon-YYYY`, `YYYYMMDD`).
Parsing takes the ORDER of its parts and is lenient about separators, leading zeros and a time of day.
"""

import re

import polars as pl

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FOREIGN_MONTHS = {
    "mai": "05",
    "okt": "10",
    "dez": "12",
    "mrz": "03",
    "mär": "03",
    "ene": "01",
    "abr": "04",
    "ago": "08",
}
TIME = (
    r"(?:[T ,]+(?P<H>\d{1,2})[:时点](?P<M>\d{1,2})(?:[:分](?P<S>\d{1,2})?(?:\.\d+)?)?秒?"
    r"\s?(?P<half>[AaPp][Mm])?\s?(?:Z|[+-]\d{2}:?\d{2})?)?$"
)
SHAPES = {
    "YMD": r"^(?P<Y>\d{4})\s?[-/.年]\s?(?P<m>\d{1,2})\s?[-/.月]\s?(?P<d>\d{1,2})日?" + TIME,
    "MDY": r"^(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<Y>\d{4})" + TIME,
    "DMY": r"^(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<Y>\d{4})" + TIME,
    "DbY": r"^(?P<d>\d{1,2})\.?[- ](?P<b>\pL{3})\pL*\.?[- ,]+(?P<Y>\d{4})" + TIME,
    "bDY": r"^(?P<b>\pL{3})\pL*\.?[- ](?P<d>\d{1,2})(?:st|nd|rd|th)?,?[- ](?P<Y>\d{4})" + TIME,
    "compact": r"^(?P<Y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})(?:T?(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?)?$",
}
FAMILY = ("YMD", "compact", "DMY", "DbY", "bDY")  # MDY has the shape of DMY; numbers decide between them
CLOCKS = (("HH:MM:SS", r"\d:\d{2}:\d{2}"), ("HH:MM", r"\d:\d{2}"))
ENOUGH = 0.9  # share of the sample that must have the shape


def order_of(pattern: str) -> str:
    """Return the shape a pattern stands for. Raises ValueError for a pattern without day, month and year."""
    places = {"Y": pattern.find("YYYY"), "b": pattern.find("Mon"), "m": pattern.find("MM"), "d": pattern.find("DD")}
    if places["Y"] < 0 or places["d"] < 0 or max(places["m"], places["b"]) < 0:
        raise ValueError("a date pattern names YYYY, MM or Mon, and DD")
    if "YYYYMMDD" in pattern:
        return "compact"
    if places["b"] >= 0:
        return "bDY" if places["b"] < places["d"] else "DbY"
    if places["Y"] < places["d"]:
        return "YMD"
    return "MDY" if places["m"] < places["d"] else "DMY"


def parse_datetime(text: pl.Expr, pattern: str) -> pl.Expr:
    """Return the moment as naive Datetime; null where the text does not fit or names no day of the calendar.

    A zone is dropped, the clock of the hospital kept: the calendar day is the one that was written down.
    """
    shape = SHAPES[order_of(pattern)]
    groups = text.str.strip_chars().str.extract_groups(shape)
    month = _month(groups) if "(?P<b>" in shape else groups.struct.field("m").str.zfill(2)
    day = pl.concat_str([groups.struct.field("Y"), month, groups.struct.field("d").str.zfill(2)], separator="-")
    clock = pl.concat_str([_part(groups, name) for name in ("H", "M", "S")], separator=":")
    moment = pl.concat_str([day, clock], separator=" ").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    return moment if "(?P<half>" not in shape else _half_day(moment, groups)


def parse_date(text: pl.Expr, pattern: str) -> pl.Expr:
    """Return the calendar day; null where the text does not fit."""
    return parse_datetime(text, pattern).dt.date()


def _month(groups: pl.Expr) -> pl.Expr:
    numbers = {name: f"{index:02d}" for index, name in enumerate(MONTHS, 1)} | FOREIGN_MONTHS
    return groups.struct.field("b").str.to_lowercase().replace_strict(numbers, default=None, return_dtype=pl.String)


def _part(groups: pl.Expr, name: str) -> pl.Expr:
    return groups.struct.field(name).fill_null("0").str.zfill(2)


def _half_day(moment: pl.Expr, groups: pl.Expr) -> pl.Expr:
    half, hour = groups.struct.field("half").str.to_lowercase(), moment.dt.hour()
    shift = pl.when((half == "pm") & (hour < 12)).then(12).when((half == "am") & (hour == 12)).then(-12).otherwise(0)
    return moment + pl.duration(hours=shift)


def recognise(values: pl.Series) -> tuple[str, bool] | None:
    """Return (pattern, ambiguous) of a text column, None when it holds no dates.

    Looks at a sample for the shape and at the whole column for the order of day and month; ambiguous means that
    no value tells them apart (then day first after dots, month first after slashes is taken).
    """
    sample = values.drop_nulls().head(5_000).unique(maintain_order=True).head(500)
    if sample.is_empty():
        return None
    for shape in FAMILY:
        if sample.str.strip_chars().str.contains(SHAPES[shape]).mean() >= ENOUGH:  # type: ignore[operator]  # bool mean
            return _confirmed(shape, values, sample)
    return None


def _confirmed(shape: str, values: pl.Series, sample: pl.Series) -> tuple[str, bool] | None:
    """Return the pattern once the values are days of the calendar."""
    order, ambiguous = _day_or_month_first(values, sample) if shape == "DMY" else (shape, False)
    pattern = _written(order, sample)
    parsed = sample.to_frame("t").select(parse_datetime(pl.col("t"), pattern)).to_series()
    return (pattern, ambiguous) if parsed.is_not_null().mean() >= ENOUGH else None  # type: ignore[operator]  # bool mean


def _day_or_month_first(values: pl.Series, sample: pl.Series) -> tuple[str, bool]:
    halves = pl.col("t").str.strip_chars().str.extract_groups(r"^(\d{1,2})[-/.](\d{1,2})[-/.]")
    parts = values.to_frame("t").select(halves)
    numbers = parts.unnest("t").cast(pl.Int32, strict=False)
    first_over, second_over = ((numbers[column] > 12).sum() for column in numbers.columns)
    if first_over != second_over:
        return ("DMY", False) if first_over > second_over else ("MDY", False)
    return ("DMY" if "." in sample[0] else "MDY"), True


def _written(order: str, sample: pl.Series) -> str:
    """Return the pattern as a person would write it, separators taken from the first value."""
    text = sample[0].strip()
    clock = next((f" {form}" for form, digits in CLOCKS if re.search(digits, text)), "")
    mark = next((character for character in text if not character.isalnum()), "-")
    return {
        "YMD": "YYYY年MM月DD日" if "年" in text else f"YYYY{mark}MM{mark}DD",
        "MDY": f"MM{mark}DD{mark}YYYY",
        "DMY": f"DD{mark}MM{mark}YYYY",
        "DbY": f"DD{mark}Mon{mark}YYYY",
        "bDY": "Mon DD, YYYY",
        "compact": "YYYYMMDD" + ("HHMM" if len(text) > 8 else ""),
    }[order] + ("" if order == "compact" else clock)
