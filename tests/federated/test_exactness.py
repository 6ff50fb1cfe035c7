"""The federated fit equals the pooled fit: statsmodels and an independent ridge as oracles."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from tests.federated.samples import FEATURES, TARGET, consortium, tables

from hdex.federated.coefficients import Coefficient, Regressed
from hdex.federated.draft import Question
from hdex.federated.errors import DesignSingular, FederatedError, NotConverged, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.kind import Answer
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate

BARS = {"plain": 1e-10, "paillier": 1e-9}
HEART = Path(__file__).resolve().parents[2].parent / "shared/data/uci_heart"


def pooled(
    frames: dict[str, pl.DataFrame], features: tuple[str, ...], *, scaled: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled design with intercept, and the target."""
    table = pl.concat(list(frames.values())).drop_nulls()
    x = table.select(features).to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0) if scaled else x
    return np.column_stack([np.ones(len(x)), x]), table[TARGET].to_numpy()


def oracle(x: np.ndarray, y: np.ndarray, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (coefficients, SE) of a plain Newton on pooled rows, in no way ours."""
    beta = np.zeros(x.shape[1])
    for _ in range(60):
        mean = 1 / (1 + np.exp(-x @ beta))
        hessian = (x.T * (mean * (1 - mean))) @ x + np.diag(penalty)
        beta = beta + np.linalg.inv(hessian) @ (x.T @ (y - mean) - penalty * beta)
    return beta, np.sqrt(np.diag(np.linalg.inv(hessian)))


def columns(rows: tuple[Coefficient, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.array([getattr(row, name) for row in rows]) for name in ("estimate", "se", "p"))  # type: ignore[return-value]


def largest(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())


def run(secure: str, question: Question | None = None) -> tuple[Regressed, int]:
    """Run through the admission, limits and key holder of real sites."""
    party = consortium(secure=secure, question=question)
    journal = MemoryJournal()
    grid = InprocGrid(party.handlers())
    result = run_study(party.envelope, grid=grid, decryptor=party.decryptor, journal=journal)
    return regressed(result.answer), result.rounds


def regressed(answer: Answer) -> Regressed:
    assert isinstance(answer, Regressed)
    return answer


@pytest.mark.parametrize("secure", ["plain", "paillier"])
def test_coefficients_errors_and_p_equal_the_pooled_fit_on_both_scales(secure: str) -> None:
    result, rounds = run(secure)
    assert [row.name for row in result.coefficients] == ["intercept", *FEATURES]
    assert result.coefficients == result.coefficients_standardized
    assert rounds <= 8
    for rows, scaled in ((result.coefficients_standardized, True), (result.coefficients_raw, False)):
        x, y = pooled(tables(), FEATURES, scaled=scaled)
        fit = sm.Logit(y, x).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
        estimate, se, p = columns(rows)
        assert largest(estimate, fit.params) <= BARS[secure]
        assert largest(se, fit.bse) <= BARS[secure]
        assert largest(p, fit.pvalues) <= BARS[secure]
        interval = np.exp(fit.conf_int())
        assert largest(np.array([row.ci_low for row in rows]) / interval[:, 0], np.ones(5)) <= 1e-8
        assert largest(np.array([row.ci_high for row in rows]) / interval[:, 1], np.ones(5)) <= 1e-8
        assert largest(np.array([row.ratio for row in rows]), np.exp(fit.params)) <= 1e-8
        assert abs(result.log_likelihood - fit.llf) <= 1e-8
    assert (result.n, result.events) == (len(y), int(y.sum()))


@pytest.mark.parametrize("secure", ["plain", "paillier"])
@pytest.mark.parametrize("standardize", ["global", "none"])
def test_a_penalised_fit_equals_the_pooled_one_on_the_asked_scale(secure: str, standardize: str) -> None:
    result, _ = run(secure, Question(TARGET, FEATURES, "DUO:0000006", standardize, 1.0))
    x, y = pooled(tables(), FEATURES, scaled=standardize == "global")
    beta, se = oracle(x, y, np.array([0.0, 1.0, 1.0, 1.0, 1.0]))
    found = columns(result.coefficients)
    assert largest(found[0], beta) <= BARS[secure]
    assert largest(found[1], se) <= BARS[secure]


def test_columns_far_from_zero_lose_nothing() -> None:
    """Raw second moments of years cancel in the fifth digit: the refining round repairs them."""
    frames = {site: frame.with_columns(pl.col("age") + 200_000.0) for site, frame in tables().items()}
    result = simulate(frames, target=TARGET, features=FEATURES, standardize="global", secure="paillier", bits=2048)
    x, y = pooled(tables(), FEATURES, scaled=True)
    beta, se = oracle(x, y, np.zeros(5))
    assert largest(columns(regressed(result.result.answer).coefficients)[0], beta) <= 1e-9
    assert largest(columns(regressed(result.result.answer).coefficients)[1], se) <= 1e-9


def test_a_strong_effect_and_a_rare_outcome_still_settle_within_eight_rounds() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(3000, 2))
    y = (random.random(3000) < 1 / (1 + np.exp(-(-4.5 + 2.5 * x[:, 0])))).astype(float)
    table = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], TARGET: y})
    frames = {f"s{i}": table[i::3] for i in range(3)}
    result = simulate(frames, target=TARGET, features=["a", "b"], secure="plain").result
    fit = sm.Logit(y, sm.add_constant(x)).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    assert largest(columns(regressed(result.answer).coefficients)[0], fit.params) <= 1e-10
    assert result.rounds <= 8


def test_rows_with_a_missing_value_are_left_out_and_counted() -> None:
    frames = dict(tables())
    holes = frames["hospital-b"].with_columns(
        pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise(pl.col("bmi")).alias("bmi")
    )
    frames["hospital-b"] = holes
    result = simulate(frames, target=TARGET, features=FEATURES, secure="paillier", bits=2048).result
    answer = regressed(result.answer)
    x, y = pooled(frames, FEATURES, scaled=False)
    assert answer.dropped == 7
    assert answer.n == len(y)
    assert largest(columns(answer.coefficients)[0], oracle(x, y, np.zeros(5))[0]) <= 1e-9


def broken(**columns: pl.Expr) -> dict[str, pl.DataFrame]:
    return {site: frame.with_columns(**columns) for site, frame in tables().items()}


@pytest.mark.parametrize(
    ("frames", "error", "names"),
    [
        (broken(bmi=pl.lit(25.0)), DesignSingular, "bmi"),
        (broken(bmi=pl.col("age") * 2 - 5), DesignSingular, "age, bmi"),
        (broken(bmi=(pl.col(TARGET) * 2 - 1) * (1 + pl.col("age") / 100)), NotConverged, "separate"),
        (broken(**{TARGET: pl.lit(1.0)}), NotConverged, "one outcome class"),
        (broken(**{TARGET: pl.col(TARGET) + 1}), StudyInvalid, "other than 0 and 1"),
        (broken(bmi=pl.lit("fat")), StudyInvalid, "bmi"),
        (broken(bmi=pl.lit(float("inf"))), StudyInvalid, "infinite"),
        ({site: frame.drop("bmi") for site, frame in tables().items()}, StudyInvalid, "bmi is absent"),
    ],
    ids=["constant", "collinear", "separated", "one class", "not binary", "text", "infinite", "absent"],
)
def test_what_cannot_be_fitted_is_an_error_that_names_the_column(
    frames: dict[str, pl.DataFrame], error: type[FederatedError], names: str
) -> None:
    with pytest.raises(error, match=names):
        simulate(frames, target=TARGET, features=FEATURES, secure="plain")


def test_sites_without_rows_or_with_one_class_only_warn_in_simulation() -> None:
    frames = dict(tables())
    frames["hospital-c"] = frames["hospital-c"].filter(pl.col(TARGET) == 0)
    frames["hospital-d"] = frames["hospital-a"].head(0)
    done = simulate(frames, target=TARGET, features=FEATURES, secure="plain")
    assert any(w.startswith("hospital-c: events_per_parameter") for w in done.warnings)
    assert any(w.startswith("hospital-d: min_rows") for w in done.warnings)
    x, y = pooled(frames, FEATURES, scaled=False)
    assert largest(columns(regressed(done.result.answer).coefficients)[0], oracle(x, y, np.zeros(5))[0]) <= 1e-9


def heart(hospital: str) -> pl.DataFrame:
    """Return one hospital's complete rows without ca, slope, thal; y = num > 0; cp and restecg one-hot."""
    before, after = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"], ["thalach", "exang", "oldpeak"]
    names = [*before, *after, "slope", "ca", "thal", "num"]
    text = (HEART / f"processed.{hospital}.data").read_text()
    cells = [line.split(",") for line in text.split()]
    values = [[None if cell in {"?", "NaN"} else float(cell) for cell in row] for row in cells]
    frame = (
        pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64), orient="row")
        .drop("ca", "slope", "thal")
        .drop_nulls()
    )
    dummies = [(pl.col("cp") == k).cast(pl.Float64).alias(f"cp_{k}") for k in (2, 3, 4)]
    dummies += [(pl.col("restecg") == k).cast(pl.Float64).alias(f"restecg_{k}") for k in (1, 2)]
    return frame.with_columns(*dummies, (pl.col("num") > 0).cast(pl.Float64).alias(TARGET)).drop("cp", "restecg", "num")


@pytest.mark.parametrize("secure", ["plain", "paillier"])
def test_the_heart_data_of_three_hospitals_give_the_pooled_coefficients(secure: str) -> None:
    if not HEART.exists():
        pytest.skip("../shared/data is absent")
    frames = {name: heart(name) for name in ("cleveland", "hungarian", "switzerland")}
    features = tuple(name for name in frames["cleveland"].columns if name != TARGET)
    result = simulate(frames, target=TARGET, features=features, standardize="global", l2=1.0, secure=secure, bits=2048)
    x, y = pooled(frames, features, scaled=True)
    beta, se = oracle(x, y, np.array([0.0, *[1.0] * len(features)]))
    estimate, error, _ = columns(regressed(result.result.answer).coefficients)
    assert largest(estimate, beta) <= BARS[secure]
    assert largest(error, se) <= BARS[secure]
    assert result.result.rounds <= 8
