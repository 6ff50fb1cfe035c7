"""What the generated hospitals write in notes leaves without a day, an age or a number of the patient."""

from pathlib import Path

import polars as pl
import pytest

from hdex.deid.detector_presidio import PresidioDetector
from hdex.deid.notes import NoteInput, ages_in_decades, redact
from hdex.deid.pseudonym import shift_days
from hdex.node.harmonize import apply, propose
from hdex.node.hospital.people import identities
from hdex.node.sources import read_export
from hdex.node.synthetic import generate
from hdex.node.views import build_view, load_view

KEY = b"k" * 32
DAYS = r"\d{4}-\d{2}-\d{2}|\d{4}年\d{1,2}月\d{1,2}日|\d{2}/\d{2}/\d{4}|\d{2}\.\d{2}\.\d{4}"
AGES = r"(^|[^0-9-])\d{2}(\s?周?岁| years)|aged \d{2}([^0-9-]|$)"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    generate(folder, seed=11, patients=300)
    return folder


@pytest.mark.parametrize("hospital", ["hospital-a", "hospital-b", "hospital-c"])
def test_no_day_no_age_no_number_of_a_note_leaves_as_it_was(exports: Path, hospital: str) -> None:
    export = read_export(exports / hospital)
    common = apply(export, propose(export))
    rows = build_view(common, load_view("carotid_stent")).frame.drop_nulls("notes")
    notes = NoteInput(identities(rows, common["person"]), PresidioDetector())
    shift = shift_days(rows["person_id"], KEY, 3650)
    told = ages_in_decades(redact(rows, ["notes"], notes, key=KEY, shift=shift)).texts[0]
    assert rows["notes"].str.contains(DAYS).all()
    assert not shared(rows["notes"], told, DAYS)
    assert not told.str.contains(AGES).any()
    for name in ("record_number", "resident_id", "phone", "name"):
        assert not any(value in text for value, text in zip(rows[name], told, strict=True) if value)


def shared(before: pl.Series, after: pl.Series, pattern: str) -> bool:
    """Return whether any note still holds a match that it held before."""
    found = zip(before.str.extract_all(pattern), after.str.extract_all(pattern), strict=True)
    return any(set(one) & set(other) for one, other in found)
