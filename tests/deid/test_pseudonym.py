"""Keys are derived as RFC 5869 says; pseudonyms and shifts depend on recipient and project and are not invertible."""

import gc
import hmac
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import InputInvalid
from hdex.deid.pseudonym import (
    BLOCK,
    cap_age,
    derive,
    derive_column_key,
    derive_keys,
    hkdf,
    macs,
    pseudonyms,
    shift_dates,
    shift_days,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/hkdf_sha256.json").read_text())["cases"]
KEY = bytes(range(32))
ids = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['length']} bytes")
def test_hkdf_equals_rfc_5869(case: dict[str, str]) -> None:
    secret, salt, info = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info"))
    assert hkdf(secret, salt=salt, info=info, length=int(case["length"])).hex() == case["okm"]


def test_parts_of_a_context_cannot_run_into_each_other() -> None:
    assert derive(KEY, "ab", "c") != derive(KEY, "a", "bc")
    assert derive(KEY, "a") != derive(KEY, "a", "")


def test_every_purpose_recipient_and_project_has_its_own_key() -> None:
    sets = [derive_keys(KEY, recipient=r, project=p) for r in ("x", "y") for p in ("1", "2")]
    keys = [key for one in sets for key in (one.pseudonym, one.shift, one.surrogate)]
    assert len(set(keys)) == 12


@settings(max_examples=50, deadline=None)
@given(ids)
def test_pseudonyms_are_equal_exactly_where_ids_are(values: list[str]) -> None:
    series = pl.Series("id", values)
    made = pseudonyms(series, KEY)
    assert made.n_unique() == series.n_unique()
    assert dict(zip(values, made, strict=True)) == dict(zip(values, pseudonyms(series, KEY), strict=True))


def test_two_projects_have_no_pseudonym_in_common() -> None:
    series = pl.Series("id", [f"P{i}" for i in range(2000)])
    one, two = (derive_keys(KEY, recipient="buyer", project=p).pseudonym for p in ("a", "b"))
    assert not set(pseudonyms(series, one)) & set(pseudonyms(series, two))


def test_null_stays_null_and_numbers_count_as_their_text() -> None:
    assert pseudonyms(pl.Series("id", [None, 7]), KEY)[0] is None
    assert pseudonyms(pl.Series("id", [7]), KEY)[0] == pseudonyms(pl.Series("id", ["7"]), KEY)[0]
    assert pseudonyms(pl.Series("id", [], dtype=pl.String), KEY).to_list() == []


@settings(max_examples=50, deadline=None)
@given(ids, st.integers(1, 400))
def test_a_shift_is_within_its_bound_and_never_nothing(values: list[str], most: int) -> None:
    days = shift_days(pl.Series("id", values), KEY, most)
    assert all(1 <= abs(day) <= most for day in days)


def test_shifts_use_their_whole_range() -> None:
    days = shift_days(pl.Series("id", [str(i) for i in range(3000)]), KEY, 5)
    assert set(days) == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}
    assert days.value_counts()["count"].min() > 200  # type: ignore[operator]  # not empty


def test_intervals_of_one_patient_survive() -> None:
    days = shift_days(pl.Series("id", ["a", "a"]), KEY, 60)
    moved = shift_dates(pl.Series("d", [date(2024, 2, 28), date(2024, 3, 1)]), days)
    assert (moved[1] - moved[0]).days == 2
    assert moved[0] != date(2024, 2, 28)


def test_ages_over_eighty_nine_are_one() -> None:
    assert cap_age(pl.Series("age", [89, 90, 104, None])).to_list() == [89, 90, 90, None]


def test_short_keys_and_zero_shifts_are_refused() -> None:
    with pytest.raises(InputInvalid, match="asked are 32"):
        pseudonyms(pl.Series("id", ["a"]), b"short")
    with pytest.raises(InputInvalid, match="shift_days is 0"):
        shift_days(pl.Series("id", ["a"]), KEY, 0)
    with pytest.raises(InputInvalid, match="asked is a date"):
        shift_dates(pl.Series("d", ["2024-01-01"]), pl.Series([1]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.text(max_size=80), max_size=20), st.binary(min_size=32, max_size=48))
def test_digests_are_the_hmac_of_the_standard_library(values: list[str | None], key: bytes) -> None:
    expected = [v if v is None else hmac.new(key.hex().encode(), v.encode(), "sha256").hexdigest() for v in values]
    assert macs(pl.Series("id", values, dtype=pl.String), key).to_list() == expected


def test_a_column_of_several_blocks_is_hashed_like_its_values_one_by_one() -> None:
    rows = 2 * BLOCK + 3
    series = pl.Series("id", [str(row % 40_000) if row % 7 else None for row in range(rows)])
    made = pseudonyms(series, KEY)
    assert (len(made), made.null_count()) == (rows, series.null_count())
    for row in (1, BLOCK - 1, BLOCK, 2 * BLOCK, rows - 1):
        assert made[row] == pseudonyms(series[row : row + 1], KEY)[0]


def test_a_pseudonym_is_never_read_as_a_number() -> None:
    made = pseudonyms(pl.Series("id", [str(i) for i in range(500)]), KEY)
    assert made.str.contains("^p[0-9a-f]{30}$").all()


def test_a_patient_and_an_encounter_of_one_number_have_different_pseudonyms() -> None:
    keys = {
        derive_column_key(KEY, recipient=r, project=p, kind=kind)
        for r in ("x", "y")
        for p in ("1", "2")
        for kind in ("patient", "encounter")
    }
    assert len(keys) == 8
    assert len({pseudonyms(pl.Series(["7"]), key)[0] for key in keys}) == 8


def test_no_plan_with_the_key_is_left_behind() -> None:
    """polars keeps a plugin's arguments in its plans; the control shows that this search would find one."""
    kept = pl.LazyFrame({"value": ["a"]}).select(pl.col("value").chash.hmac_sha256(key=KEY.hex()))  # type: ignore[attr-defined]
    assert plans_with(KEY)
    del kept
    made = [
        pseudonyms(pl.Series("id", ["a", "b"]), KEY),
        shift_days(pl.Series("id", ["a"]), KEY, 9),
        macs(pl.Series(["a"]), KEY),
    ]
    assert plans_with(KEY) == []
    assert {type(one) for one in made} == {pl.Series}
    assert all(KEY.hex() not in repr(one) for one in made)


def plans_with(key: bytes) -> list[object]:
    """Return the expressions and lazy frames alive in this process that hold the key."""
    gc.collect()
    plans = [one for one in gc.get_objects() if isinstance(one, pl.Expr | pl.LazyFrame)]
    written = [one.meta.serialize() if isinstance(one, pl.Expr) else one.serialize() for one in plans]
    return [plan for plan, text in zip(plans, written, strict=True) if key.hex().encode() in text]


SPEAKS = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
import polars as pl
from hdex.deid.pseudonym import pseudonyms, shift_days
key = bytes(range(32))
print(pseudonyms(pl.Series("id", ["a"]), key), shift_days(pl.Series("id", ["a"]), key, 9))
for wrong in ([["a"]], [object()]):
    try:
        pseudonyms(pl.Series("id", wrong), key)
        sys.exit("not refused")
    except ValueError as error:
        print(repr(error), error.__cause__, error.__suppress_context__)
"""


def test_polars_does_not_speak_of_the_key_even_when_told_to_say_everything() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SPEAKS],
        env=os.environ | {"POLARS_VERBOSE": "1", "RUST_BACKTRACE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-500:]
    assert KEY.hex() not in run.stdout + run.stderr
    assert str(KEY) not in run.stdout + run.stderr
