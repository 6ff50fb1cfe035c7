"""A real run tells no number that stands on too few; a simulation says that it would not."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.federated.samples import TARGET, consortium, tables

from hdex.federated.disclosure_regimes import strictest
from hdex.federated.draft import Question
from hdex.federated.errors import DisclosureRefused
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.kind import Cell
from hdex.federated.release import cell_breaches, floors_of
from hdex.federated.report import as_text
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate

MALE = ("0", "1")


def thin() -> dict[str, pl.DataFrame]:
    """Return the tables with a column that marks two rows of each."""
    rare, rarer = ((pl.int_range(pl.len()) < few).cast(pl.Float64) for few in (2, 1))
    return {site: frame.with_columns(rare=rare, rarer=rarer) for site, frame in tables().items()}


def run(
    kind: str,
    target: str = "",
    features: tuple[str, ...] = (),
    frames: dict[str, pl.DataFrame] | None = None,
    **asked: Any,
) -> StudyResult:
    party = consortium(
        frames or thin(), secure="plain", question=Question(target, features, "DUO:0000006", kind=kind, **asked)
    )
    grid = InprocGrid(party.handlers())
    return run_study(party.envelope, grid=grid, decryptor=party.decryptor, journal=MemoryJournal())


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a thin bin": ({"kind": "histogram", "features": ("age",), "options": {"edges": {"age": [0, 44, 70, 120]}}},
                   "small_cell", "age, 0 to 44"),
    "many bins": ({"kind": "histogram", "features": ("age",), "options": {"edges": {"age": list(range(100, 200))}}},
                  "bins", "wider bins"),
    "a thin tail": ({"kind": "quantile", "features": ("age",), "options": {"probabilities": [0.99]}},
                    "small_cell", "thinner side of 0.99: fewer than 20"),
    "cells that nothing can protect": (
        {"kind": "crosstab", "features": ("male", "rarer"), "levels": {"male": MALE, "rarer": MALE}},
        "secondary_suppression", "coarser table"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_number_on_too_few_is_not_released_and_its_count_is_not_told(case: str) -> None:
    asked, rule, says = REFUSED[case]
    with pytest.raises(DisclosureRefused, match=says) as caught:
        run(**asked)
    assert caught.value.rule == rule


@pytest.mark.parametrize("case", ["a thin bin", "a thin tail"])
def test_a_simulation_warns_of_what_a_run_refuses(case: str) -> None:
    found = simulate(thin(), secure="plain", **{"target": "", "features": (), **REFUSED[case][0]})
    assert any("small_cell" in warning for warning in found.warnings)


def test_a_thin_cell_is_blank_with_those_that_would_give_it_away_and_no_chi_square() -> None:
    few = pl.when(pl.col("male") == 0).then(pl.int_range(pl.len()) < 4).otherwise(pl.int_range(pl.len()) % 3 == 0)
    frames = {site: frame.with_columns(few=few.cast(pl.Float64)) for site, frame in tables().items()}
    asked: dict[str, Any] = {"features": ("male", "few"), "levels": {"male": MALE, "few": MALE}}
    whole = simulate(frames, kind="crosstab", target="", secure="plain", **asked)
    told = run("crosstab", frames=frames, **asked).document()
    counts = np.array(whole.document()["table"]["counts"])
    assert 0 < counts.min() < 11
    assert any("small_cell" in warning for warning in whole.warnings)
    blank = sum(value is None for row in told["table"]["counts"] for value in row)
    assert blank >= 2
    for row, row_counts in zip(told["table"]["counts"], counts.tolist(), strict=True):
        assert all(value in (None, count) for value, count in zip(row, row_counts, strict=True))
    assert told["chi2"] is None
    assert "chi2_yates" not in told
    assert "blank" in as_text(told)
    assert len(told["table"]["row_totals"]) == len(told["table"]["column_totals"]) == 2


def test_a_thin_step_is_joined_with_the_next() -> None:
    asked: dict[str, Any] = {"target": TARGET, "options": {"time": "age", "grid": [46, 70, 80]}}
    (group,) = run("kaplan-meier", **asked).document()["groups"]
    assert [row["time"] for row in group["curve"]] == [70.0, 80.0]
    assert min(row["events"] for row in group["curve"]) >= 11


def test_the_studys_own_floor_raises_the_regimes() -> None:
    floors = floors_of(consortium().study)
    assert (floors.cell, floors.min_rows) == (11, 10)
    raised = floors_of(replace(consortium().study, min_rows=20))
    assert (raised.cell, raised.min_rows) == (20, 20)
    assert floors_of(replace(consortium().study, min_rows=1)) == floors


def test_what_stands_on_enough_is_released() -> None:
    assert run("mean", features=("age",)).document()["columns"][0]["n"] == 840
    assert run("crosstab", features=("male", TARGET), levels={"male": MALE, TARGET: MALE}).rounds == 1
    assert run("quantile", features=("age",), options={"probabilities": [0.5], "resolution": 1}).rounds <= 8


def test_the_limit_counts_nobody_as_fine_where_a_cell_may_be_empty() -> None:
    cells = [
        Cell("a", 0),
        Cell("b", 9),
        Cell("c", 11),
        Cell("d", 19, "quantile_side"),
        Cell("e", 0, may_be_empty=False),
    ]
    found = cell_breaches(cells, strictest())
    assert [breach.detail.partition(":")[0] for breach in found] == ["b", "d", "e"]
    assert not any("9" in breach.detail for breach in found)
