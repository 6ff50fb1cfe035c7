"""Questions of other kinds over real processes: the same key holder, journal and admission as a regression's."""

import statistics
from typing import Any

import polars as pl
import pytest
from tests.journeys.stage import Stage, silent

from hdex.node.demo import rows
from hdex.node.demo.setting import HOSPITALS

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("stage")]


def asked(stage: Stage, study_id: str, **question: Any) -> dict[str, Any]:
    """Return the answer of a study by the story's own buyer."""
    memory = stage.reach("federate")
    contracts = {hospital: memory.contracts[hospital] for hospital in HOSPITALS}
    whole = {"id": study_id, "purpose": memory.plot.purpose, "contracts": contracts, **question}
    return memory.cast.buyer.study(whole, silent)


def pooled(stage: Stage) -> pl.DataFrame:
    memory = stage.reach("federate")
    columns = [*memory.features, memory.target]
    frames = rows.study_rows(memory).values()
    return pl.concat([frame.select(columns).cast(pl.Float64) for frame in frames])


def test_a_variance_over_three_hospitals_is_the_pooled_one(stage: Stage) -> None:
    frame = pooled(stage)
    names = list(stage.memory.features)
    found = asked(stage, "study-variance", kind="variance", target="", features=names)
    assert found["rounds"] == 2
    for row in found["columns"]:
        values = frame[row["name"]].drop_nulls().to_list()
        assert row["n"] == len(values)
        assert abs(row["variance"] - statistics.variance(values)) <= 1e-9 * row["variance"]


def test_a_crosstab_over_three_hospitals_is_the_pooled_one(stage: Stage) -> None:
    frame = pooled(stage)
    binary = [name for name in frame.columns if set(frame[name].drop_nulls().unique()) == {0.0, 1.0}]
    assert len(binary) >= 2
    down, across = binary[0], binary[-1]
    levels = {down: ["0", "1"], across: ["0", "1"]}
    found = asked(stage, "study-table", kind="crosstab", target="", features=[down, across], levels=levels)
    whole = frame.drop_nulls([down, across])
    expected = [[whole.filter((pl.col(down) == i) & (pl.col(across) == j)).height for j in (0, 1)] for i in (0, 1)]
    assert found["table"]["counts"] == expected
