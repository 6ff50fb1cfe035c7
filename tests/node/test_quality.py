"""Quality is told in counts: what is missing, outside closed words, implausible."""

import json
from datetime import date

import polars as pl

from hdex.node.quality import quality

ROWS = pl.DataFrame(
    {
        "person_id": ["a", "b", "b", "c"],
        "birth_date": [date(1950, 1, 1), date(1960, 1, 1), None, date(1970, 1, 1)],
        "sex": ["male", "female", "F", None],
        "systolic": [120.0, 999.0, None, 80.0],
        "last_visit": [date(2020, 1, 1), date(1959, 1, 1), date(1900, 1, 1), None],
    }
)


def test_each_family_counts_what_fails_it() -> None:
    found = {column.name: column for column in quality(ROWS).columns}
    assert (found["sex"].missing, found["sex"].nonconforming) == (1, 1)
    assert (found["systolic"].missing, found["systolic"].implausible) == (1, 1)
    assert found["last_visit"].implausible == 1
    assert quality(ROWS).duplicates == 2


def test_the_report_is_json_and_holds_no_value() -> None:
    text = json.dumps(quality(ROWS).document())
    assert json.loads(text)["scores"] == {"completeness": 0.8, "conformance": 0.95, "plausibility": 0.9}
    assert "999" not in text
    assert "1959" not in text


def test_no_rows_have_no_faults() -> None:
    assert quality(ROWS.clear()).document()["scores"] == {"completeness": 1.0, "conformance": 1.0, "plausibility": 1.0}
