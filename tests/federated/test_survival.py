"""Kaplan-Meier, log-rank and Cox over sites equal the pooled ones; statsmodels is the oracle."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from hdex.federated.errors import FederatedError, NotConverged, StudyInvalid
from hdex.federated.simulate import simulate

BARS = {"plain": 1e-10, "paillier": 1e-9}
SECURE = ["plain", "paillier"]
GRID = list(range(1, 61))
ARMS = ("control", "drug", "both")
FEATURES = ("age", "bmi", "smoker")


def table() -> pl.DataFrame:
    """Return 600 patients followed in whole months up to five years, some lost, none beyond month 60."""
    random = np.random.default_rng(17)
    n = 600
    age, bmi, smoker = random.normal(66, 9, n), random.normal(27, 4, n), random.integers(0, 2, n)
    arm = random.integers(0, 3, n)
    hazard = 0.01 * np.exp(0.04 * (age - 66) + 0.5 * smoker - 0.3 * arm)
    time, lost = random.exponential(1 / hazard), random.uniform(5, 60, n)
    return pl.DataFrame(
        {
            "months": np.ceil(np.minimum(time, lost)),
            "died": (time <= lost).astype(float),
            "age": age, "bmi": bmi, "smoker": smoker, "arm": [ARMS[code] for code in arm],
        }
    )  # fmt: skip


TABLE = table()
FRAMES = {f"s{i}": TABLE.filter(pl.int_range(pl.len()) % 5 % 3 == i) for i in range(3)}
TIMES, DIED = TABLE["months"].to_numpy(), TABLE["died"].to_numpy()


def ask(kind: str, frames: dict[str, pl.DataFrame] | None = None, **asked: Any) -> Any:
    given = {"time": "months", "grid": GRID, **asked.pop("options", {})}
    options: dict[str, Any] = {"target": "died", "features": FEATURES, "secure": "plain", "bits": 2048, **asked}
    return simulate(FRAMES if frames is None else frames, kind=kind, options=given, **options).document()


def largest(found: Any, expected: Any) -> float:
    expected = np.asarray(expected)
    return float(np.max(np.abs(np.asarray(found) - expected) / np.maximum(1.0, np.abs(expected))))


@pytest.mark.parametrize("secure", SECURE)
def test_curves_and_log_rank_are_the_pooled_ones(secure: str) -> None:
    found = ask("kaplan-meier", features=("arm",), levels={"arm": ARMS}, secure=secure)
    assert found["rounds"] == 1
    for group in found["groups"]:
        mine = (TABLE["arm"] == group["name"]).to_numpy()
        oracle = SurvfuncRight(TIMES[mine], DIED[mine])
        rows = group["curve"]
        at = np.flatnonzero(np.isin(oracle.surv_times, [row["time"] for row in rows]))
        assert [row["time"] for row in rows] == oracle.surv_times[at].tolist()
        assert [row["events"] for row in rows] == oracle.n_events[at].tolist()
        assert [row["at_risk"] for row in rows] == oracle.n_risk[at].tolist()
        assert largest([row["survival"] for row in rows], oracle.surv_prob[at]) <= 1e-14
        assert largest([row["se"] for row in rows], oracle.surv_prob_se[at]) <= 1e-14
        assert all(row["ci_low"] <= row["survival"] <= row["ci_high"] for row in rows)
        middle = oracle.quantile(0.5)
        assert group["median"] == (None if np.isnan(middle) else middle)
    chi2, p = survdiff(TIMES, DIED, TABLE["arm"].to_numpy())
    assert largest([found["log_rank"]["statistic"], found["log_rank"]["p"]], [chi2, p]) <= 1e-10
    assert found["log_rank"]["df"] == 2


def test_one_curve_for_all_has_no_test() -> None:
    found = ask("kaplan-meier", features=())
    assert [group["name"] for group in found["groups"]] == ["all"]
    assert found["log_rank"] is None
    assert found["n"] == TABLE.height


def pooled_cox(times: np.ndarray, events: np.ndarray, strata: np.ndarray | None = None, *, scaled: bool) -> Any:
    x = TABLE.select(FEATURES).to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0) if scaled else x
    return PHReg(times, x, status=events, strata=strata, ties="breslow").fit(disp=0, tol=1e-14, maxiter=200)


def require_equal(found: Any, oracle: Any, bar: float) -> None:
    rows = found["coefficients"]
    assert [row["name"] for row in rows] == list(FEATURES)
    assert largest([row["estimate"] for row in rows], oracle.params) <= bar
    assert largest([row["se"] for row in rows], oracle.bse) <= bar
    assert largest([row["p"] for row in rows], oracle.pvalues) <= bar
    assert largest([row["hazard_ratio"] for row in rows], np.exp(oracle.params)) <= bar
    assert largest(found["log_likelihood"], oracle.llf) <= bar
    assert found["rounds"] <= 8


@pytest.mark.parametrize("standardize", ["none", "global"])
def test_cox_with_one_baseline_is_the_pooled_fit(standardize: str) -> None:
    found = ask("cox", standardize=standardize)
    require_equal(found, pooled_cox(TIMES, DIED, scaled=standardize == "global"), 1e-10)


@pytest.mark.parametrize("secure", SECURE)
def test_cox_within_sites_is_the_stratified_fit(secure: str) -> None:
    strata = (np.arange(TABLE.height) % 5 % 3).astype(int)
    found = ask("cox", secure=secure, options={"strata": "site"})
    require_equal(found, pooled_cox(TIMES, DIED, strata, scaled=False), BARS[secure])


@pytest.mark.parametrize("secure", SECURE)
def test_a_coarse_grid_is_the_pooled_fit_of_coarse_times_and_what_lies_beyond_is_censored(secure: str) -> None:
    grid = [3, 6, 12, 24, 36]
    found = ask("cox", options={"grid": grid}, secure=secure)
    cell = np.searchsorted(grid, TIMES)
    beyond = cell == len(grid)
    times = np.array(grid, dtype=float)[np.minimum(cell, len(grid) - 1)]
    require_equal(found, pooled_cox(times, np.where(beyond, 0.0, DIED), scaled=False), BARS[secure])


def test_missing_follow_up_is_left_out_and_an_empty_site_adds_nothing() -> None:
    frames = {**FRAMES, "s9": TABLE.head(0)}
    frames["s0"] = frames["s0"].with_columns(
        months=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise(pl.col("months"))
    )
    found = ask("cox", frames)
    assert (found["dropped"], found["n"]) == (7, TABLE.height - 7)
    assert ask("kaplan-meier", frames, features=())["dropped"] == 7


def test_a_site_without_any_event_is_no_matter() -> None:
    frames = {**FRAMES, "s9": TABLE.with_columns(died=pl.lit(0.0))}
    assert ask("cox", frames)["n"] == 2 * TABLE.height
    assert ask("cox", frames, options={"strata": "site"})["n"] == 2 * TABLE.height


@pytest.mark.parametrize(
    ("kind", "asked", "error", "says"),
    [
        ("cox", {"options": {"grid": [2, 1]}}, StudyInvalid, "rising"),
        ("cox", {"options": {"time": "absent"}}, StudyInvalid, "absent is absent"),
        ("cox", {"options": {"strata": "arm"}}, StudyInvalid, "strata must be"),
        ("cox", {"features": ()}, StudyInvalid, "at least one feature"),
        ("cox", {"target": "age", "features": ("bmi",)}, StudyInvalid, "other than 0 and 1"),
        ("cox", {"target": "never"}, NotConverged, "no event"),
        ("cox", {"features": ("perfect",)}, NotConverged, "l2 above 0"),
        ("kaplan-meier", {"features": ("arm",)}, StudyInvalid, "declared levels"),
        ("kaplan-meier", {"target": "never", "features": ()}, NotConverged, "no event"),
        ("kaplan-meier", {"options": {"time": "minus"}, "features": ()}, StudyInvalid, "negative"),
        ("kaplan-meier", {"options": {"grid": []}, "features": ()}, StudyInvalid, "rising"),
    ],
)
def test_what_cannot_be_followed_says_why(
    kind: str, asked: dict[str, Any], error: type[FederatedError], says: str
) -> None:
    extra = {"never": pl.lit(0.0), "minus": -pl.col("months"), "perfect": pl.col("died") * (61 - pl.col("months"))}
    frames = {name: frame.with_columns(**extra) for name, frame in FRAMES.items()}
    with pytest.raises(error, match=says):
        ask(kind, frames, **asked)
