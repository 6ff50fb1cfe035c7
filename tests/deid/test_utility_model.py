"""The downstream model: the fit against statsmodels, the score against pairs counted by hand."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from hdex.deid.utility import describe
from hdex.deid.utility_model import area_under_curve, fit_logistic, held_out, model_scores


def patients(rows: int = 900) -> pl.DataFrame:
    generator = np.random.default_rng(2)
    age = generator.integers(20, 90, rows)
    risk = 1 / (1 + np.exp(-(age - 55) / 5))
    return pl.DataFrame(
        {
            "age": age,
            "zone": generator.choice(list("abc"), rows),
            "ill": np.where(generator.random(rows) < risk, "yes", "no"),
            "stage": pl.Series(age // 30).cast(pl.String),
            "cost": age * 10.0 + generator.normal(0, 20, rows),
            "who": np.arange(rows) // 3,
        }
    )


def scores(after: pl.DataFrame, target: str, features: list[str], **asked: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", model_scores(patients(), after, target, features, **asked))


def test_newton_finds_the_maximum_likelihood() -> None:
    generator = np.random.default_rng(4)
    x = np.hstack([np.ones((400, 1)), generator.normal(size=(400, 3))])
    y = (generator.random(400) < 1 / (1 + np.exp(-x @ np.array([0.3, 1.0, -2.0, 0.0])))).astype(float)
    expected = sm.Logit(y, x).fit(disp=0).params
    assert fit_logistic(x, y, ridge=1e-9) == pytest.approx(expected, abs=1e-5)


def test_separable_data_has_an_answer() -> None:
    x = np.hstack([np.ones((100, 1)), np.arange(100.0)[:, None] - 50])
    weights = fit_logistic(x, (np.arange(100) >= 50).astype(float))
    assert np.isfinite(weights).all()
    assert weights[1] > 0


def test_the_area_counts_pairs() -> None:
    generator = np.random.default_rng(8)
    margins = generator.integers(0, 9, 60).astype(float)
    truth = generator.random(60) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in margins[truth] for b in margins[~truth]]
    assert area_under_curve(margins, truth) == pytest.approx(sum(pairs) / len(pairs))


def test_a_score_falls_with_what_generalisation_takes() -> None:
    before = patients()
    coarse = before.with_columns(age=pl.lit("*"))
    fine = before.with_columns(age=(pl.col("age") // 10 * 10).cast(pl.String))
    same = scores(before, "ill", ["age", "zone"])
    assert (same["metric"], same["baseline"]) == ("auc", 0.5)
    assert same["score_before"] == same["score_after"] > 0.9
    kept, lost = (scores(after, "ill", ["age", "zone"])["score_after"] for after in (fine, coarse))
    assert same["score_before"] > kept - 0.02 > 0.85
    assert 0.4 < lost < 0.62


def test_classes_and_numbers_have_their_own_metric() -> None:
    before = patients()
    stage = scores(before, "stage", ["age"])
    assert (stage["metric"], stage["score_after"] > 0.9) == ("accuracy", True)
    assert stage["baseline"] == pytest.approx(before["stage"].value_counts()["count"].max() / 900, abs=1e-4)  # type: ignore[operator]
    cost = scores(before.with_columns(age=pl.lit("*")), "cost", ["age"])
    assert (cost["metric"], cost["baseline"]) == ("r2", 0.0)
    assert cost["score_before"] > 0.98
    assert cost["score_after"] < 0.05


def test_a_patient_falls_on_one_side() -> None:
    frame = patients()
    held = held_out(frame, "who", 3)
    assert frame.with_columns(held=held).group_by("who").agg(pl.col("held").n_unique())["held"].max() == 1
    assert 0.2 < held.mean() < 0.4  # type: ignore[operator]
    assert held.equals(held_out(frame, "who", 3))


@pytest.mark.parametrize("target", ["who", "one"])
def test_what_cannot_be_learned_has_no_score(target: str) -> None:
    frame = patients().with_columns(one=pl.lit("same"), who=pl.col("who").cast(pl.String))
    assert model_scores(frame, frame, target, ["age"]) is None
    assert model_scores(frame, frame.clear(), "ill", ["age"]) is None
    assert model_scores(frame.head(20), frame.head(20), "ill", ["age"]) is None
    assert model_scores(frame, frame, "ill", []) is None


def test_describe_carries_the_model() -> None:
    frame = patients()
    found = cast("dict[str, Any]", describe(frame, frame, quasi=["age"], target="ill", seed=1, patient="who"))["model"]
    assert list(found) == ["target", "metric", "score_before", "score_after", "baseline"]
    again = describe(frame, frame, quasi=["age"], target="ill", seed=1, patient="who")["model"]
    assert again == found
