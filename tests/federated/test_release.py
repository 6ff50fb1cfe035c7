"""A real run tells no number that stands on too few; a simulation says that it would not."""

from typing import Any

import polars as pl
import pytest
from tests.federated.samples import TARGET, consortium, tables

from hdex.federated.disclosure import Limits
from hdex.federated.draft import Question
from hdex.federated.errors import DisclosureRefused
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.kind import Cell
from hdex.federated.release import cell_breaches
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate

MALE = ("0", "1")


def thin() -> dict[str, pl.DataFrame]:
    """Return the tables with a column that marks two rows of each."""
    rare = (pl.int_range(pl.len()) < 2).cast(pl.Float64)
    return {site: frame.with_columns(rare=rare) for site, frame in tables().items()}


def run(kind: str, target: str = "", features: tuple[str, ...] = (), **asked: Any) -> StudyResult:
    party = consortium(thin(), secure="plain", question=Question(target, features, "DUO:0000006", kind=kind, **asked))
    grid = InprocGrid(party.handlers())
    return run_study(party.envelope, grid=grid, decryptor=party.decryptor, journal=MemoryJournal())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a thin bin": ({"kind": "histogram", "features": ("age",), "options": {"edges": {"age": [0, 44, 70, 120]}}},
                   "age, 0 to 44"),
    "a thin cell": ({"kind": "crosstab", "features": ("male", "rare"), "levels": {"male": MALE, "rare": MALE}},
                    "rare=1"),
    "a thin tail": ({"kind": "quantile", "features": ("age",), "options": {"probabilities": [0.99]}}, "thinner side"),
    "a thin step": ({"kind": "kaplan-meier", "target": TARGET,
                     "options": {"time": "age", "grid": [46, 70, 80]}}, "events at 46"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_number_on_too_few_is_not_released_and_its_count_is_not_told(case: str) -> None:
    asked, says = REFUSED[case]
    with pytest.raises(DisclosureRefused, match=says) as caught:
        run(**asked)
    assert caught.value.rule == "small_cell"
    found = simulate(thin(), secure="plain", **{"target": "", "features": (), **asked})
    assert any("small_cell" in warning for warning in found.warnings)


def test_what_stands_on_enough_is_released() -> None:
    assert run("mean", features=("age",)).document()["columns"][0]["n"] == 840
    assert run("crosstab", features=("male", TARGET), levels={"male": MALE, TARGET: MALE}).rounds == 1
    assert run("quantile", features=("age",), options={"probabilities": [0.5], "resolution": 1}).rounds <= 8


def test_the_limit_counts_nobody_as_fine_where_a_cell_may_be_empty() -> None:
    cells = [Cell("a", 0), Cell("b", 9), Cell("c", 10), Cell("d", 19, factor=2), Cell("e", 0, may_be_empty=False)]
    found = cell_breaches(cells, Limits())
    assert [breach.detail.partition(":")[0] for breach in found] == ["b", "d", "e"]
    assert not any("9" in breach.detail for breach in found)
