"""Linear and Poisson regression, categorical columns and penalties equal the pooled fit; statsmodels is the oracle."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from tests.federated.samples import consortium

from hdex.federated.coefficients import Regressed
from hdex.federated.draft import Question
from hdex.federated.errors import DesignSingular, FederatedError, NotConverged, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate

BARS = {"plain": 1e-10, "paillier": 1e-9}
FEATURES = ("age", "bmi", "dose")
LEVELS = {"centre": ("north", "south", "east"), "stage": ("1", "2", "3")}


def table() -> pl.DataFrame:
    """Return 900 patients with a cost, a count of visits, person-years and two categorical columns."""
    random = np.random.default_rng(11)
    n = 900
    age, bmi, dose = random.normal(66, 9, n), random.normal(27, 4, n), random.normal(5, 1, n)
    years = random.uniform(0.5, 9, n)
    rate = 0.05 * np.exp(0.03 * (age - 66) + 0.1 * (dose - 5))
    return pl.DataFrame(
        {
            "age": age, "bmi": bmi, "dose": dose, "years": years,
            "cost": 9000 + 120 * age - 40 * bmi + random.normal(0, 800, n),
            "visits": random.poisson(np.exp(0.02 * (age - 60) + 0.1 * dose)).astype(float),
            "relapses": random.poisson(years * rate).astype(float),
            "event": (random.random(n) < 1 / (1 + np.exp(-0.1 * (age - 66)))).astype(float),
            "centre": random.choice(["north", "south", "east"], n),
            "stage": random.integers(1, 4, n),
        }
    )  # fmt: skip


TABLE = table()
FRAMES = {f"s{i}": TABLE[i::3] for i in range(3)}


def fitted(frames: dict[str, pl.DataFrame] | None = None, **asked: Any) -> tuple[Regressed, int]:
    options: dict[str, Any] = {"features": FEATURES, "secure": "plain", "bits": 2048, **asked}
    result = simulate(FRAMES if frames is None else frames, **options).result
    assert isinstance(result.answer, Regressed)
    return result.answer, result.rounds


def largest(found: Any, expected: Any) -> float:
    expected = np.asarray(expected)
    return float(np.max(np.abs(np.asarray(found) - expected) / np.maximum(1.0, np.abs(expected))))


def design(*columns: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(TABLE.height), TABLE.select(FEATURES).to_numpy(), *columns])


def oracle(kind: str) -> tuple[str, dict[str, str], Any]:
    """Return (target, options, statsmodels' fit)."""
    strict = {"tol": 1e-14, "maxiter": 100}
    if kind == "linear":
        return "cost", {}, sm.OLS(TABLE["cost"].to_numpy(), design()).fit()
    if kind == "poisson":
        return "visits", {}, sm.GLM(TABLE["visits"].to_numpy(), design(), sm.families.Poisson()).fit(**strict)
    y, years = TABLE["relapses"].to_numpy(), TABLE["years"].to_numpy()
    fit = sm.GLM(y, design(), sm.families.Poisson(), exposure=years).fit(**strict)
    return "relapses", {"exposure": "years"}, fit


@pytest.mark.parametrize("secure", ["plain", "paillier"])
@pytest.mark.parametrize("kind", ["linear", "poisson", "poisson with exposure"])
def test_the_federated_table_equals_the_pooled_one(kind: str, secure: str) -> None:
    target, options, fit = oracle(kind)
    answer, rounds = fitted(target=target, kind=kind.split(maxsplit=1)[0], options=options, secure=secure)
    rows, bar = answer.coefficients, BARS[secure]
    assert rounds <= 8
    assert [row.name for row in rows] == ["intercept", *FEATURES]
    assert largest([row.estimate for row in rows], fit.params) <= bar
    assert largest([row.se for row in rows], fit.bse) <= bar
    assert largest([row.p for row in rows], fit.pvalues) <= bar
    assert largest([row.z for row in rows], fit.tvalues) <= bar
    assert largest([(row.estimate_low, row.estimate_high) for row in rows], fit.conf_int()) <= bar
    assert largest(answer.log_likelihood, fit.llf) <= bar
    if kind == "linear":
        assert answer.more["df_residual"] == fit.df_resid
        assert largest([answer.more["sigma"], answer.more["r_squared"]], [fit.mse_resid**0.5, fit.rsquared]) <= bar


def test_a_linear_fit_takes_three_rounds_and_no_ratio_is_told() -> None:
    answer, rounds = fitted(target="cost", kind="linear")
    assert rounds == 3
    assert not any(name.endswith("ratio") for row in answer.document()["coefficients"] for name in row)
    assert "rate_ratio" in fitted(target="visits", kind="poisson")[0].document()["coefficients"][0]


def test_a_ridge_penalty_is_that_of_the_normal_equations() -> None:
    answer, _ = fitted(target="cost", kind="linear", l2=7.0, standardize="global")
    x = TABLE.select(FEATURES).to_numpy()
    x = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    hessian = x.T @ x + np.diag([0.0, 7.0, 7.0, 7.0])
    beta = np.linalg.solve(hessian, x.T @ TABLE["cost"].to_numpy())
    assert largest([row.estimate for row in answer.coefficients], beta) <= 1e-10


@pytest.mark.parametrize("secure", ["plain", "paillier"])
def test_declared_levels_become_the_same_columns_at_every_site(secure: str) -> None:
    features = (*FEATURES, "centre", "stage")
    answer, _ = fitted(target="event", features=features, levels=LEVELS, secure=secure)
    extra = [(TABLE["centre"] == "south"), (TABLE["centre"] == "east"), (TABLE["stage"] == 2), (TABLE["stage"] == 3)]
    x = design(*(column.to_numpy().astype(float) for column in extra))
    fit = sm.Logit(TABLE["event"].to_numpy(), x).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    names = ["centre=south", "centre=east", "stage=2", "stage=3"]
    assert [row.name for row in answer.coefficients] == ["intercept", *FEATURES, *names]
    assert largest([row.estimate for row in answer.coefficients], fit.params) <= BARS[secure]
    assert largest([row.se for row in answer.coefficients], fit.bse) <= BARS[secure]


def test_levels_that_one_site_lacks_are_no_matter_and_levels_nobody_has_are_left_out_with_a_warning() -> None:
    frames = {name: TABLE.filter(pl.col("centre") == name) for name in ("north", "south", "east")}
    levels = {"centre": ("west", "north", "south", "east", "overseas")}
    answer, _ = fitted(frames, target="cost", kind="linear", features=(*FEATURES, "centre"), levels=levels)
    assert [row.name for row in answer.coefficients][-2:] == ["centre=south", "centre=east"]
    assert answer.warnings == (
        "centre=overseas: no row has this level; it is left out",
        "centre: no row has the reference level; centre=north is the reference",
    )
    x = design(*((TABLE["centre"] == name).to_numpy().astype(float) for name in ("south", "east")))
    fit = sm.OLS(TABLE["cost"].to_numpy(), x).fit()
    assert largest([row.estimate for row in answer.coefficients], fit.params) <= 1e-10
    assert largest([row.p for row in answer.coefficients], fit.pvalues) <= 1e-10


def test_a_missing_category_is_a_missing_value() -> None:
    holes = TABLE.with_columns(centre=pl.when(pl.int_range(pl.len()) < 9).then(pl.lit(" NA ")).otherwise("centre"))
    answer, _ = fitted(
        {"s0": holes}, target="cost", kind="linear", features=("centre",), levels={"centre": LEVELS["centre"]}
    )
    assert (answer.n, answer.dropped) == (891, 9)


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"features": ("centre",), "levels": {"centre": ("north", "south")}}, StudyInvalid, "centre holds a level"),
        ({"features": ("stage",), "levels": {"stage": ("one", "two")}}, StudyInvalid, "declares levels that are text"),
        ({"features": ("centre",)}, StudyInvalid, "declare its levels"),
        ({"levels": {"centre": ("north",)}}, StudyInvalid, "does not read"),
        ({"features": ("centre",), "levels": {"centre": ("north", "north")}}, StudyInvalid, "without repetition"),
        ({"features": ("centre",), "levels": {"centre": ("north ", "x")}}, StudyInvalid, "surrounding spaces"),
        ({"options": {"exposure": "years"}}, StudyInvalid, "knows no option exposure"),
        ({"kind": "poisson"}, StudyInvalid, "no counts"),
        ({"kind": "poisson", "target": "visits", "options": {"exposure": "dull"}}, StudyInvalid, "not positive"),
        ({"kind": "poisson", "target": "dull"}, NotConverged, "no event"),
        ({"target": "dull"}, NotConverged, "does not vary"),
        ({"features": ("age", "twice")}, DesignSingular, "age, twice"),
        ({"features": ("age", "dull")}, DesignSingular, "dull"),
        ({"features": ()}, StudyInvalid, "at least one feature"),
        ({"target": ""}, StudyInvalid, "needs a target"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_says_why_and_what_to_do(
    asked: dict[str, Any], error: type[FederatedError], says: str
) -> None:
    frames = {name: frame.with_columns(dull=pl.lit(0.0), twice=2 * pl.col("age")) for name, frame in FRAMES.items()}
    with pytest.raises(error, match=says):
        fitted(frames, **({"target": "cost", "kind": "linear"} | asked))


def test_no_message_carries_a_value_that_was_found() -> None:
    frames = {"s0": TABLE.with_columns(centre=pl.lit("Patient Zero"))}
    with pytest.raises(StudyInvalid) as caught:
        fitted(frames, target="cost", kind="linear", features=("centre",), levels={"centre": ("north", "south")})
    assert "Zero" not in str(caught.value)


def test_sites_answer_a_linear_study_with_their_floors_on() -> None:
    question = Question("cost", FEATURES, "DUO:0000006", "global", 0.0, kind="linear")
    party = consortium(FRAMES, question=question)
    grid = InprocGrid(party.handlers())
    result = run_study(party.envelope, grid=grid, decryptor=party.decryptor, journal=MemoryJournal())
    assert isinstance(result.answer, Regressed)
    assert result.answer.n == TABLE.height


def test_a_site_without_rows_adds_nothing() -> None:
    answer, _ = fitted({**FRAMES, "s9": TABLE.head(0)}, target="cost", kind="linear")
    expected, _ = fitted(target="cost", kind="linear")
    assert largest([row.estimate for row in answer.coefficients], [row.estimate for row in expected.coefficients]) == 0
    with pytest.raises(NotConverged, match="none"):
        fitted({"s0": TABLE.head(0)}, target="event")


def test_complete_separation_is_an_error_that_names_a_way_out_and_a_penalty_is_one() -> None:
    frames = {name: frame.with_columns(event=(pl.col("age") > 66).cast(pl.Float64)) for name, frame in FRAMES.items()}
    with pytest.raises(NotConverged, match="l2 above 0"):
        fitted(frames, target="event")
    answer, _ = fitted(frames, target="event", l2=1.0, standardize="global")
    assert np.isfinite([row.se for row in answer.coefficients]).all()
