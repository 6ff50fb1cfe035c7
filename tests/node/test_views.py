"""A declared view gives one row per patient, as of the right day, and counts whom it leaves out."""

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from hdex.node.harmonize import Common, apply, propose
from hdex.node.harmonize.model import MODEL, empty, schema_of
from hdex.node.sources import ViewImpossible, ViewInvalid, read_export
from hdex.node.views import build_view, load_view, parse_view, view_names

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
SMALL = """
format = "hdex-view/1"
id = "small"
version = 1
title = { en = "Small" }
description = { en = "Small" }
inclusion = ["adults"]
anchor = "index"
min_age = 18
complete = ["systolic"]
[study]
target = "diabetes"
features = ["age", "systolic"]
[[column]]
name = "person_id"
kind = "person"
field = "person_id"
datatype = "string"
title = { en = "Key" }
[[column]]
name = "age"
kind = "age"
datatype = "integer"
title = { en = "Age" }
[[column]]
name = "systolic"
kind = "measurement"
codes = ["8480-6"]
datatype = "number"
title = { en = "Systolic" }
[[column]]
name = "diabetes"
kind = "condition"
prefixes = ["E11"]
datatype = "integer"
title = { en = "Diabetes" }
"""


def common(**rows: list[dict[str, object]]) -> Common:
    tables = {name: pl.DataFrame(rows[name], schema=schema_of(name)) if name in rows else empty(name) for name in MODEL}
    return Common(tables, (), pl.DataFrame())


def person(key: str, birth: date, **more: object) -> dict[str, object]:
    return {"person_id": key, "birth_date": birth, "sex": "male"} | more


def systolic(key: str, time: datetime, value: float | None) -> dict[str, object]:
    return {"person_id": key, "code": "8480-6", "time": time, "value": value}


RECORD = common(
    person=[
        person("old", date(1950, 3, 2)),
        person("dead", date(1950, 3, 2), death_date=date(2015, 3, 1)),
        person("child", date(2010, 1, 1)),
        person("bare", date(1970, 1, 1)),
        person("unborn", date(2021, 1, 1)),
    ],
    measurement=[
        systolic("old", datetime(2019, 1, 1), 120.0),
        systolic("old", datetime(2020, 1, 1, 8), 130.0),
        systolic("old", datetime(2020, 1, 1, 8), 140.0),
        systolic("old", datetime(2020, 1, 2), None),
        systolic("old", datetime(2020, 6, 1), 999.0),
        systolic("dead", datetime(2010, 1, 1), 150.0),
        systolic("child", datetime(2019, 1, 1), 100.0),
    ],
    condition=[
        {"person_id": "old", "code": "E11.9", "start_date": date(2020, 1, 31)},
        {"person_id": "dead", "code": "E119", "start_date": date(2020, 1, 31)},
        {"person_id": "dead", "code": "I10", "start_date": date(2001, 1, 31)},
    ],
)


def test_values_are_taken_as_of_the_index_or_the_death_before_it() -> None:
    result = build_view(RECORD, parse_view(SMALL), date(2020, 3, 1))
    assert result.frame.rows() == [("old", 69, 135.0, 1), ("dead", 64, 150.0, 0)]
    assert result.counts.excluded == {"younger than 18": 1, "without systolic": 1}
    assert (result.counts.persons, result.counts.included) == (5, 2)


def test_a_birthday_on_the_index_day_counts() -> None:
    result = build_view(RECORD, parse_view(SMALL), date(2020, 3, 2))
    assert result.frame.filter(pl.col("person_id") == "old")["age"].item() == 70


def test_an_outcome_counts_only_in_its_time_after_the_anchor() -> None:
    days = {"before": date(2019, 12, 31), "same": date(2020, 1, 1), "in": date(2020, 12, 31), "late": date(2021, 1, 1)}
    record = common(
        person=[person(key, date(1950, 1, 1), smoking="never") for key in days],
        device=[{"person_id": key, "implant_date": date(2020, 1, 1), "size": 7.0} for key in days],
        condition=[{"person_id": key, "code": "T82.856A", "start_date": day} for key, day in days.items()],
        measurement=[
            {"person_id": key, "code": code, "time": datetime(2019, 1, 1), "value": 3.0}
            for key in days
            for code in ("13457-7", "8480-6")
        ],
    )
    frame = build_view(record, load_view("carotid_stent")).frame
    assert dict(frame.select("person_id", "restenosis_12m").iter_rows()) == {"before": 0, "same": 0, "in": 1, "late": 0}
    assert frame["implant_date"].unique().to_list() == [date(2020, 1, 1)]


def test_what_was_never_asked_is_unknown_not_no() -> None:
    record = common(
        person=[person("a", date(1950, 1, 1), smoking="unknown")],
        device=[{"person_id": "a", "implant_date": date(2020, 1, 1)}],
    )
    text = SMALL.replace('"index"', '"device"').replace('complete = ["systolic"]', "")
    flag = '[[column]]\nname = "smoker"\nkind = "flag"\nfield = "smoking"\nwords = ["current"]\ndatatype = "integer"\n'
    result = build_view(record, parse_view(text + flag + 'title = { en = "S" }\n'))
    assert result.frame.row(0, named=True) == {
        "person_id": "a",
        "age": 70,
        "systolic": None,
        "diabetes": 0,
        "smoker": None,
    }
    assert result.counts.missing == {"systolic": 1, "smoker": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('format = "hdex-view/1"', 'format = "x"'),
        ('kind = "age"', 'kind = "colour"'),
        ('field = "person_id"', 'field = "shoe_size"'),
        ('codes = ["8480-6"]', ""),
        ('features = ["age", "systolic"]', 'features = ["bmi"]'),
        ('title = { en = "Key" }', 'title = "Key"'),
        ("min_age = 18", "min_age = 18\nmax_age = 9"),
        ('id = "small"', ""),
    ],
)
def test_a_view_with_a_mistake_is_refused(old: str, new: str) -> None:
    assert old in SMALL
    with pytest.raises(ViewInvalid):
        parse_view(SMALL.replace(old, new))


def test_a_record_that_lacks_what_the_view_needs_is_refused() -> None:
    with pytest.raises(ViewImpossible, match="devices"):
        build_view(RECORD, load_view("carotid_stent"))
    with pytest.raises(ViewImpossible, match="index date"):
        build_view(common(person=[person("a", date(1950, 1, 1))]), parse_view(SMALL))
    with pytest.raises(ViewImpossible, match="no patient"):
        build_view(common(), parse_view(SMALL), date(2020, 1, 1))
    with pytest.raises(ViewInvalid):
        load_view("../secrets")


def test_every_view_that_ships_loads_and_names_its_study_in_two_languages() -> None:
    assert {"carotid_stent", "hypertension", "hiv_subcohort"} == set(view_names())
    for name in view_names():
        view = load_view(name)
        assert view.id == name
        assert view.target not in view.features
        assert all({"en", "zh"} <= set(column.title) for column in view.columns)
        assert {"name", "resident_id", "record_number", "phone"} <= set(view.released())
        assert "male" not in view.released()


@pytest.mark.parametrize(
    ("folder", "adults", "events"),
    [
        pytest.param("hospitals_csv/hospital_a", 223, 64, marks=pytest.mark.soak),
        pytest.param("hospitals_csv/hospital_b", 362, 109, marks=pytest.mark.soak),
        ("hospitals_fhir/hospital_a", 83, 36),
    ],
)
def test_the_shared_exports_answer_the_hypertension_question(folder: str, adults: int, events: int) -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is absent")
    export = read_export(SHARED / folder)
    result = build_view(apply(export, propose(export)), load_view("hypertension"))
    assert (result.frame.height, result.frame["hypertension"].sum()) == (adults, events)
    assert result.frame.select(result.view.features).null_count().sum_horizontal().item() == 0
    assert result.frame["person_id"].is_unique().all()
