"""What a downstream model still learns: one model fitted to the table before and after, scored on rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.hierarchy import as_text
from hdex.deid.numbering import number_values

Matrix = NDArray[np.float64]
Kind = Literal["auc", "accuracy", "r2"]
MOST_ROWS = 20_000  # rows a model is fitted and scored on
HELD_OUT = 0.3
MOST_CLASSES = 10
MOST_LEVELS = 20  # categories of one column a model sees; the rest is the base
LEAST_ROWS = 10  # of a category
RIDGE = 1.0  # penalty, so that separable data has an answer


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned from which columns."""

    target: str
    features: tuple[str, ...]
    metric: Kind
    classes: tuple[str, ...]  # of a nominal target, in order; empty for numbers


def model_scores(
    before: pl.DataFrame,
    after: pl.DataFrame,
    target: str,
    features: Sequence[str],
    *,
    patient: str | None = None,
    seed: int = 0,
) -> dict[str, object] | None:
    """Return {target, metric, score_before, score_after, baseline}; None where nothing can be learned.

    Two classes: area under the ROC curve of a logistic regression (baseline .5). Up to ten: accuracy of one such model
    per class (baseline: the largest class). Numbers: R² of a linear regression (baseline 0). Each table is split into
    70 % to fit and 30 % to score, by patient where one is named; suppressed rows are in neither part of the second.
    """
    task = choose(before, target, features)
    if task is None or after.height == 0:
        return None
    scored = [score(frame, task, patient, seed) for frame in (before, after)]
    if scored[0] is None or scored[1] is None:
        return None
    share = as_text(before[target]).drop_nulls().value_counts(name="n")["n"].max()
    total = before[target].drop_nulls().len()
    base = {"auc": 0.5, "accuracy": float(share) / total if isinstance(share, int) else 0.0, "r2": 0.0}
    return {
        "target": target,
        "metric": task.metric,
        "score_before": round(scored[0], 4),
        "score_after": round(scored[1], 4),
        "baseline": round(base[task.metric], 4),
    }


def choose(before: pl.DataFrame, target: str, features: Sequence[str]) -> Task | None:
    """The task that fits the target: classes, numbers, or none."""
    chosen = tuple(name for name in features if name != target)
    present = as_text(before[target]).drop_nulls()
    classes = tuple(str(value) for value in present.unique().sort())
    if len(classes) < 2 or not chosen:
        return None
    if len(classes) <= MOST_CLASSES:
        return Task(target, chosen, "auc" if len(classes) == 2 else "accuracy", classes)
    return Task(target, chosen, "r2", ()) if before[target].dtype.is_numeric() else None


def score(frame: pl.DataFrame, task: Task, patient: str | None, seed: int) -> float | None:
    """Fit to one part of the table, score on the other; None where a part holds too little."""
    if task.classes:
        frame = frame.filter(as_text(frame[task.target]).is_in(task.classes))
    else:
        if not frame[task.target].dtype.is_numeric():
            return None
        frame = frame.filter(frame[task.target].is_not_null())
    if frame.height > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, seed=seed)
    held = held_out(frame, patient, seed)
    parts = frame.filter(~held), frame.filter(held)
    if min(part.height for part in parts) < 2 * LEAST_ROWS:
        return None
    fitted, scored = design(parts[0], parts[1], task.features)
    if task.metric == "r2":
        return linear_score(fitted, scored, *(numbers(part[task.target]) for part in parts))
    answers = [as_text(part[task.target]).to_numpy() for part in parts]
    return class_score(fitted, scored, answers[0], answers[1], task.classes)


def held_out(frame: pl.DataFrame, patient: str | None, seed: int) -> pl.Series:
    """Which rows are scored: all rows of a patient fall on one side."""
    is_named = patient is not None and patient in frame.columns
    ids, count = number_values(frame[patient]) if patient and is_named else (np.arange(frame.height), frame.height)
    return pl.Series(np.random.default_rng(seed).random(count)[ids] < HELD_OUT, dtype=pl.Boolean)


def design(train: pl.DataFrame, test: pl.DataFrame, features: Sequence[str]) -> tuple[Matrix, Matrix]:
    """Columns a linear model can use, learned from `train`: numbers with steps at fifths, categories as indicators."""
    left, right = [np.ones((train.height, 1))], [np.ones((test.height, 1))]
    for name in features:
        pair = numeric_block if train[name].dtype.is_numeric() and test[name].dtype.is_numeric() else nominal_block
        one, other = pair(train[name], test[name])
        left.append(one)
        right.append(other)
    return np.hstack(left), np.hstack(right)


def numbers(values: pl.Series) -> Matrix:
    """Numbers, NULL as NaN."""
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def numeric_block(train: pl.Series, test: pl.Series) -> tuple[Matrix, Matrix]:
    """Standardised value, missing or not, above each fifth or not."""
    known = numbers(train)
    present = known[~np.isnan(known)]
    if len(present) == 0:
        return np.zeros((len(train), 0)), np.zeros((len(test), 0))
    centre, scale = present.mean(), present.std() or 1.0
    steps = np.unique(np.quantile(present, [0.2, 0.4, 0.6, 0.8]))

    def block(values: Matrix) -> Matrix:
        filled = np.where(np.isnan(values), centre, values)
        above = filled[:, None] > steps[None, :]
        return np.hstack([((filled - centre) / scale)[:, None], np.isnan(values)[:, None], above]).astype(np.float64)

    return block(known), block(numbers(test))


def nominal_block(train: pl.Series, test: pl.Series) -> tuple[Matrix, Matrix]:
    """One indicator for each frequent category."""
    counted = as_text(train).fill_null("\0").value_counts(sort=True, name="n")
    common = [value for value, count in counted.rows() if count >= LEAST_ROWS][:MOST_LEVELS]
    if not common:
        return np.zeros((len(train), 0)), np.zeros((len(test), 0))

    def block(values: pl.Series) -> Matrix:
        texts = as_text(values).fill_null("\0")
        return np.stack([(texts == value).to_numpy() for value in common], axis=1).astype(np.float64)

    return block(train), block(test)


def class_score(
    fitted: Matrix, scored: Matrix, known: NDArray[np.object_], truth: NDArray[np.object_], classes: Sequence[str]
) -> float | None:
    """Area under the curve for two classes, accuracy for more."""
    if len(classes) == 2:
        if len(set(known)) < 2 or len(set(truth)) < 2:
            return None
        weights = fit_logistic(fitted, (known == classes[1]).astype(np.float64))
        return area_under_curve(scored @ weights, truth == classes[1])
    margins = [scored @ fit_logistic(fitted, (known == one).astype(np.float64)) for one in classes]
    guess = np.array(classes, dtype=object)[np.argmax(np.stack(margins, axis=1), axis=1)]
    return float((guess == truth).mean())


def fit_logistic(x: Matrix, y: Matrix, *, ridge: float = RIDGE, steps: int = 30) -> Matrix:
    """Weights of a logistic regression by Newton's method; the first column of `x` (ones) is not penalised."""
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 1e-8
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (y - chance) - penalty * weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(penalty + 1e-10)
        move = np.linalg.solve(curve, slope)
        weights += move / max(1.0, float(np.abs(move).max()) / 5)  # a long step may overshoot
        if float(np.abs(move).max()) < 1e-8:
            break
    return weights


def area_under_curve(margins: Matrix, is_positive: NDArray[np.bool_]) -> float:
    """Chance that a positive row has the larger margin, ties half (Mann-Whitney)."""
    ranks = pl.Series(margins).rank("average").to_numpy()
    positive = int(is_positive.sum())
    negative = len(margins) - positive
    return float((ranks[is_positive].sum() - positive * (positive + 1) / 2) / (positive * negative))


def linear_score(fitted: Matrix, scored: Matrix, known: Matrix, truth: Matrix) -> float:
    """R² of a ridge regression on the rows held out; below 0 when it is worse than their mean."""
    penalty = np.full(fitted.shape[1], RIDGE)
    penalty[0] = 1e-8
    weights = np.linalg.solve(fitted.T @ fitted + np.diag(penalty), fitted.T @ known)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - scored @ weights) ** 2).sum()) / spread if spread else 0.0
