"""Counts, sums, means, variances, histograms, quantiles, crosstabs and t-tests equal the pooled ones.

Whole numbers bit for bit (Python's own exact statistics, numpy), tests against scipy.
"""

import statistics
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.distributions import chi2_p, t_p, t_quantile
from hdex.federated.errors import FederatedError, NotConverged, StudyInvalid
from hdex.federated.kinds.quantile import ordinals, value_of
from hdex.federated.simulate import simulate

SECURE = ["plain", "paillier"]
SEX, ARM = ("f", "m"), ("control", "drug", "other")


def table() -> pl.DataFrame:
    random = np.random.default_rng(5)
    n = 777
    days = random.integers(0, 4000, n).astype(float)
    days[random.random(n) < 0.05] = np.nan
    return pl.DataFrame(
        {
            "days": days,
            "big": random.integers(10**9, 10**9 + 50, n),
            "weight": random.normal(80, 12, n),
            "sex": random.choice(SEX, n),
            "arm": random.choice(ARM[:2], n),
        },
        nan_to_null=True,
    )


TABLE = table()
FRAMES = {f"s{i}": TABLE[i::3] for i in range(3)}


def ask(kind: str, features: tuple[str, ...], frames: dict[str, pl.DataFrame] | None = None, **asked: Any) -> Any:
    options: dict[str, Any] = {"target": "", "secure": "plain", "bits": 2048, **asked}
    done = simulate(FRAMES if frames is None else frames, kind=kind, features=features, **options)
    return done.document()


def close(found: float, expected: float, bar: float = 1e-12) -> bool:
    return abs(found - expected) <= bar * max(1e-300, abs(expected))


@pytest.mark.parametrize("secure", SECURE)
def test_whole_numbers_are_summed_bit_for_bit(secure: str) -> None:
    for name in ("days", "big") if secure == "plain" else ("big",):
        values = [int(v) for v in TABLE[name].drop_nulls()]
        assert ask("count", (name,), secure=secure)["columns"] == [
            {"name": name, "n": len(values), "missing": TABLE.height - len(values)}
        ]
        assert ask("sum", (name,), secure=secure)["columns"][0]["sum"] == sum(values)
        assert ask("mean", (name,), secure=secure)["columns"][0]["mean"] == statistics.mean(values)
        row = ask("variance", (name,), secure=secure)["columns"][0]
        assert row["variance"] == statistics.variance(values)
        assert row["mean"] == statistics.mean(values)


def test_only_what_was_asked_is_told() -> None:
    assert set(ask("mean", ("days",))["columns"][0]) == {"name", "n", "missing", "mean"}
    assert set(ask("sum", ("days",))["columns"][0]) == {"name", "n", "missing", "sum"}


@pytest.mark.parametrize("secure", SECURE)
def test_measured_values_lose_nothing_to_their_size(secure: str) -> None:
    frames = {name: frame.with_columns(far=pl.col("weight") + 1e7) for name, frame in FRAMES.items()}
    values = pl.concat(list(frames.values()))["far"].to_list()
    row = ask("variance", ("far",), frames, secure=secure)["columns"][0]
    assert close(row["variance"], statistics.variance(values))
    interval = scipy.stats.t.interval(0.95, len(values) - 1, statistics.mean(values), scipy.stats.sem(values))
    assert close(row["ci_low"], interval[0])
    assert close(row["ci_high"], interval[1])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=20), min_size=1, max_size=4))
def test_any_whole_numbers_give_the_exact_mean_and_variance(sites: list[list[int]]) -> None:
    frames = {f"s{i}": pl.DataFrame({"x": values}) for i, values in enumerate(sites)}
    pooled = [value for values in sites for value in values]
    row = ask("variance", ("x",), frames)["columns"][0]
    assert row["mean"] == statistics.mean(pooled)
    assert row["variance"] == (statistics.variance(pooled) if len(pooled) > 1 else None)


@pytest.mark.parametrize("secure", SECURE)
def test_a_histogram_is_numpys(secure: str) -> None:
    edges = [0.0, 100.0, 1000.0, 2500.0, 4000.0]
    found = ask("histogram", ("days",), options={"edges": {"days": edges}}, secure=secure)["histograms"][0]
    values = TABLE["days"].drop_nulls().to_numpy()
    assert found["counts"] == np.histogram(values, edges)[0].tolist()
    assert (found["below"], found["above"], found["missing"]) == (0, 0, TABLE["days"].null_count())
    narrow = ask("histogram", ("days",), options={"edges": {"days": [100, 200]}})["histograms"][0]
    assert (narrow["below"], narrow["above"]) == ((values < 100).sum(), (values > 200).sum())


@pytest.mark.parametrize("secure", SECURE)
def test_quantiles_are_numpys_bit_for_bit_within_eight_rounds(secure: str) -> None:
    wanted, names = ([0.1, 0.25, 0.5, 0.9], ("days", "weight")) if secure == "plain" else ([0.75], ("days",))
    found = ask("quantile", names, options={"probabilities": wanted}, secure=secure)
    assert found["rounds"] <= 8
    for row in found["columns"]:
        values = TABLE[row["name"]].drop_nulls().to_numpy()
        assert [one["value"] for one in row["quantiles"]] == np.quantile(values, wanted).tolist()


def test_a_resolution_makes_quantiles_coarse_and_quick() -> None:
    found = ask("quantile", ("days",), options={"probabilities": [0.5], "resolution": 1})
    assert found["rounds"] <= 4
    assert found["columns"][0]["quantiles"][0]["value"] == np.quantile(TABLE["days"].drop_nulls().to_numpy(), 0.5)
    coarse = ask("quantile", ("days",), options={"probabilities": [0.5], "resolution": 100})
    assert coarse["columns"][0]["quantiles"][0]["value"] % 50 == 0


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    st.floats(min_value=0.001, max_value=0.999),
)
def test_any_doubles_have_numpys_quantiles(values: list[float], q: float) -> None:
    values = [value / 4 for value in values]  # numpy's own interpolation overflows near the largest double
    frames = {"s0": pl.DataFrame({"x": values[::2]}), "s1": pl.DataFrame({"x": values[1::2]}, schema={"x": pl.Float64})}
    found = ask("quantile", ("x",), frames, options={"probabilities": [q]})["columns"][0]["quantiles"][0]["value"]
    assert found == np.quantile(values, q)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30))
def test_ordinals_keep_the_order_of_doubles(values: list[float]) -> None:
    numbers = ordinals(np.array(values))
    assert np.array_equal(np.argsort(numbers, kind="stable"), np.argsort(values, kind="stable"))
    assert [value_of(int(number)) for number in numbers] == values


@pytest.mark.parametrize("secure", SECURE)
def test_a_crosstab_has_scipys_chi_square(secure: str) -> None:
    found = ask("crosstab", ("sex", "arm"), levels={"sex": SEX, "arm": ARM}, secure=secure)
    expected = [[TABLE.filter((pl.col("sex") == s) & (pl.col("arm") == a)).height for a in ARM] for s in SEX]
    assert found["table"]["counts"] == expected
    filled = np.array(expected)[:, :2]
    for key, correction in (("chi2", False), ("chi2_yates", True)):
        oracle = scipy.stats.chi2_contingency(filled, correction=correction)
        assert close(found[key]["statistic"], oracle.statistic)
        assert close(found[key]["p"], oracle.pvalue)
        assert found[key]["df"] == 1


def test_a_thin_table_says_so() -> None:
    frames = {"s0": pl.DataFrame({"sex": ["f", "f", "m", "m"], "arm": ["drug", "control", "drug", "drug"]})}
    assert "below 5" in ask("crosstab", ("sex", "arm"), frames, levels={"sex": SEX, "arm": ARM})["warnings"][0]
    one = ask("crosstab", ("sex", "arm"), {"s0": frames["s0"].head(2)}, levels={"sex": SEX, "arm": ARM})
    assert one["chi2"] is None


@pytest.mark.parametrize("secure", SECURE)
def test_both_t_tests_are_scipys(secure: str) -> None:
    found = ask("t-test", ("sex",), target="weight", levels={"sex": SEX}, secure=secure)
    groups = [TABLE.filter(pl.col("sex") == level)["weight"].to_numpy() for level in SEX]
    for key, equal in (("welch", False), ("pooled", True)):
        oracle = scipy.stats.ttest_ind(*groups, equal_var=equal)
        interval = oracle.confidence_interval(0.95)
        assert close(found[key]["t"], oracle.statistic, 1e-11)
        assert close(found[key]["p"], oracle.pvalue, 1e-11)
        assert close(found[key]["df"], oracle.df, 1e-11)
        assert close(found[key]["ci_low"], interval.low, 1e-10)
        assert close(found[key]["ci_high"], interval.high, 1e-10)


@pytest.mark.parametrize(
    ("kind", "asked", "error", "says"),
    [
        ("mean", {"target": "days"}, StudyInvalid, "no target"),
        ("mean", {"features": ("sex",)}, StudyInvalid, "sex is String"),
        ("mean", {"features": ("empty",)}, NotConverged, "no value"),
        ("mean", {"options": {"edges": 1}}, StudyInvalid, "knows no option"),
        ("histogram", {}, StudyInvalid, "needs the option edges"),
        ("histogram", {"options": {"edges": {"days": [2, 1]}}}, StudyInvalid, "rising"),
        ("histogram", {"options": {"edges": {"weight": [1, 2]}}}, StudyInvalid, "exactly the features"),
        ("quantile", {"options": {"probabilities": [0]}}, StudyInvalid, "minimum and maximum"),
        ("quantile", {"options": {"probabilities": [0.5], "resolution": -1}}, StudyInvalid, "resolution"),
        ("quantile", {"features": ("empty",), "options": {"probabilities": [0.5]}}, NotConverged, "no value"),
        ("quantile", {"options": {"probabilities": [0.5]}, "levels": {"days": ("1",)}}, StudyInvalid, "takes numbers"),
        ("crosstab", {}, StudyInvalid, "two features"),
        ("crosstab", {"features": ("sex", "arm")}, StudyInvalid, "declared levels"),
        ("t-test", {"features": ("sex",), "target": "days"}, StudyInvalid, "declared levels"),
        ("t-test", {"features": ("arm",), "target": "days", "levels": {"arm": ARM}}, StudyInvalid, "two groups"),
        ("t-test", {"features": ("sex",), "target": "flat", "levels": {"sex": SEX}}, NotConverged, "does not vary"),
        ("median", {}, StudyInvalid, "known are count"),
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_says_what_to_do(
    kind: str, asked: dict[str, Any], error: type[FederatedError], says: str
) -> None:
    flat = {name: frame.with_columns(flat=pl.lit(3.0), empty=pl.lit(None)) for name, frame in FRAMES.items()}
    asked = {"features": ("days",), **asked}
    with pytest.raises(error, match=says):
        ask(kind, asked.pop("features"), flat, **asked)


def test_an_empty_site_changes_nothing() -> None:
    frames = {**FRAMES, "s9": TABLE.head(0)}
    for kind, options in (("variance", {}), ("quantile", {"probabilities": [0.5]})):
        with_empty, without = ask(kind, ("days",), frames, options=options), ask(kind, ("days",), options=options)
        assert with_empty["columns"] == without["columns"]


@pytest.mark.parametrize("df", [1, 2, 3.7, 29.9, 61, 1e3, 1e6])
def test_tail_probabilities_are_scipys(df: float) -> None:
    for t in (0.01, 1.0, 1.96, 8.0, 30.0):
        assert close(t_p(-t, df), 2 * scipy.stats.t.sf(t, df), 1e-11)
    assert close(t_quantile(0.95, df), scipy.stats.t.ppf(0.975, df), 1e-12)
    for x in (0.1, 3.84, 50.0, 600.0):
        if df < 1e3:
            assert close(chi2_p(x, df), scipy.stats.chi2.sf(x, df), 1e-11)
    assert close(t_p(0, df), 1.0)
    assert chi2_p(0, df) == 1.0
