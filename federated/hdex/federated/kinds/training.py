"""FedAvg and its kin: a small network trained at the sites; only the weighted sum of clipped updates is opened.

Round 1 takes moments of the columns (to scale them alike), then `rounds` rounds of training, then one of evaluation.
Loss and right answers are of all rows; trained on are all but those a site holds out. At the evaluation each site
attacks the model, and where its losses tell who was trained on the site refuses: the model is not released.
Vectors:  moments   n, dropped, sum y, sum x (p), sum x^2 (p)
          train     n, log-loss before training, right answers, n times the clipped update (weights)
          evaluate  n, log-loss, right answers
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_membership import membership_auc
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import model_breaches
from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.columns import complete_rows, design, design_names, read_columns
from hdex.federated.kinds.kind import (
    MOMENTS,
    Arrays,
    Asked,
    Cell,
    Encoding,
    Inquiry,
    require_arrays,
    require_no_point,
    require_options,
)
from hdex.federated.kinds.network import LocalTraining, Network, clipped
from hdex.federated.statistics import Floats, Local, Places

UPDATES = Encoding(48, 24)  # rows times clip up to 8.3 million, in steps of 6e-8
LEAST_HOLDOUT = 0.1
FOLDS = 5  # of a site's rows, to judge each by a network that did not see it
# Strategies that need no more than the mean update. Krum, medians and the like look at each one: they are not here.
STRATEGIES: Mapping[str, str] = {
    "fedavg": "FedAvg",
    "fedavgm": "FedAvgM",
    "fedprox": "FedProx",
    "fedadam": "FedAdam",
    "fedadagrad": "FedAdagrad",
    "fedyogi": "FedYogi",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """The options of a training study with their defaults."""

    hidden: tuple[int, ...] = (8,)
    rounds: int = 10
    epochs: int = 1
    batch: int = 32
    learning_rate: float = 0.1
    clip: float = 1.0  # largest norm of one site's update
    seed: int = 0
    holdout: float = 0.25  # share of a site's rows that are not trained on: what membership is judged against
    strategy: Mapping[str, float] | None = None  # arguments of Flower's strategy

    def __post_init__(self) -> None:
        whole = {"rounds": self.rounds, "epochs": self.epochs, "batch": self.batch}
        if bad := [name for name, value in whole.items() if type(value) is not int or value < 1]:
            raise StudyInvalid(f"{', '.join(bad)} must be whole numbers from 1")
        if type(self.seed) is not int or self.seed < 0:
            raise StudyInvalid("seed must be a whole number from 0")
        if any(type(size) is not int or not 1 <= size <= 512 for size in self.hidden) or len(self.hidden) > 4:
            raise StudyInvalid("hidden must be at most four layers of 1 to 512 units")
        if not isinstance(self.holdout, int | float) or not LEAST_HOLDOUT <= self.holdout <= 0.5:
            raise StudyInvalid(f"holdout must be between {LEAST_HOLDOUT} and 0.5")
        for name, value in (("learning_rate", self.learning_rate), ("clip", self.clip)):
            if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
                raise StudyInvalid(f"{name} must be a positive number")

    @classmethod
    def of(cls, asked: Asked) -> "Recipe":
        """Return the recipe in a study's options. Raises StudyInvalid."""
        options = dict(asked.options)
        options["hidden"] = tuple(options.get("hidden", cls.__dataclass_fields__["hidden"].default))
        return cls(**options)


@dataclass(frozen=True, slots=True)
class Training:
    """Target: 0 or 1. Options: those of Recipe."""

    name: str  # of STRATEGIES

    @property
    def algorithm(self) -> str:
        return f"{self.name}.network.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"moments": MOMENTS, "train": UPDATES, "evaluate": UPDATES}

    def check(self, asked: Asked) -> None:
        require_options(asked, allowed=tuple(Recipe.__dataclass_fields__))
        if not asked.features or not asked.target:
            raise StudyInvalid(f"kind {self.name} needs a target of 0 and 1 and at least one feature")
        recipe = Recipe.of(asked)
        if recipe.rounds + 2 > asked.max_rounds:
            raise StudyInvalid(f"{recipe.rounds} rounds of training need max_rounds of {recipe.rounds + 2} or more")

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return (*asked.features, asked.target)

    def length(self, asked: Asked, step: str) -> int:
        if step == "moments":
            return 3 + 2 * len(design_names(asked))
        return 3 + (network_of(asked).weights if step == "train" else 0)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        if step == "moments":
            return require_no_point(step, point)
        p = len(design_names(asked))
        sizes = {"weights": network_of(asked).weights, "centre": p, "scale": p, "mu": 1, "round": 1}
        arrays = require_arrays(point, sizes)
        if not (arrays["scale"] > 0).all() or arrays["mu"][0] < 0 or arrays["round"][0] < 0:
            raise StudyInvalid("a scale is not positive, or mu or round is negative")
        return None

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Local:
        columns, dropped = complete_rows(read_columns(frame, self.columns(asked), asked))
        y = columns[asked.target]
        if not np.isin(y, (0.0, 1.0)).all():
            raise StudyInvalid(f"column {asked.target} has values other than 0 and 1")
        ones = int(y.sum())
        x = design(columns, asked)
        return Local(x, y, dropped, np.zeros(len(y)), min(ones, len(y) - ones), network_of(asked).weights)

    def sums(self, rows: Local, asked: Asked, step: str, point: Arrays | None) -> Floats:
        if point is None:
            head = [float(rows.n), float(rows.dropped), rows.y.sum()]
            return np.concatenate([head, rows.x.sum(axis=0), (rows.x * rows.x).sum(axis=0)])
        network, x = network_of(asked), (rows.x - point["centre"]) / point["scale"]
        right = float(((network.probability(point["weights"], x) > 0.5) == (rows.y == 1)).sum())
        head = [float(rows.n), network.loss(point["weights"], x, rows.y), right]
        if step == "evaluate":
            return np.array(head)
        recipe, (member, _) = Recipe.of(asked), split(rows.n, asked)
        training = LocalTraining(recipe.epochs, recipe.batch, recipe.learning_rate, float(point["mu"][0]))
        seed = (recipe.seed, int(point["round"][0]))
        update = clipped(training.update(network, point["weights"], x[member], rows.y[member], seed), recipe.clip)
        return np.concatenate([head, rows.n * update])

    def breaches(self, rows: Local, asked: Asked, step: str, point: Arrays | None, floors: Regime) -> list[Breach]:
        """Return a breach where the model that is about to be released tells here who was in its training set."""
        if step != "evaluate" or point is None:
            return []
        network, x = network_of(asked), (rows.x - point["centre"]) / point["scale"]
        losses = network.losses(point["weights"], x, rows.y)
        member, other = split(rows.n, asked)
        found = membership_auc(losses, member, other, reference_losses(x, rows.y, asked))
        return model_breaches({"here": found}, floors, epsilon=None)

    def inquire(self, asked: Asked) -> Inquiry:
        from hdex.federated.apps.training import TrainingInquiry

        return TrainingInquiry(asked, STRATEGIES[self.name], Recipe.of(asked), network_of(asked))


def split(rows: int, asked: Asked) -> tuple[Places, Places]:
    """Return which rows are trained on and which are held out: drawn by the study's seed, the same in every round."""
    recipe = Recipe.of(asked)
    order = np.random.default_rng([recipe.seed, rows]).permutation(rows)
    held = round(recipe.holdout * rows)
    return np.sort(order[held:]), np.sort(order[:held])


def reference_losses(x: Floats, y: Floats, asked: Asked) -> Floats:
    """Return each row's loss under a network like the study's that the site trains on its other rows alone."""
    recipe, network, losses = Recipe.of(asked), network_of(asked), np.empty(len(y))
    training = LocalTraining(recipe.epochs * recipe.rounds, recipe.batch, recipe.learning_rate, mu=0.0)
    start, folds = network.start(recipe.seed), np.random.default_rng([recipe.seed, FOLDS]).integers(0, FOLDS, len(y))
    for fold in range(FOLDS):
        mine = folds == fold
        weights = start + training.update(network, start, x[~mine], y[~mine], (recipe.seed, fold))
        losses[mine] = network.losses(weights, x[mine], y[mine])
    return losses


def network_of(asked: Asked) -> Network:
    """Return the shape of the study's network."""
    return Network((len(design_names(asked)), *Recipe.of(asked).hidden, 1))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one pass over all rows found."""

    round: int
    n: int
    loss: float  # mean
    accuracy: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training study answers."""

    strategy: str
    names: tuple[str, ...]
    network: Network
    weights: Floats
    centre: Floats
    scale: Floats
    history: tuple[Lesson, ...]
    dropped: int

    def cells(self) -> Sequence[Cell]:
        """Return the rows it was trained on."""
        return (Cell("rows", self.history[-1].n, may_be_empty=False),)

    def probability(self, x: Floats) -> Floats:
        """Return the chance of class 1 for rows of raw design columns."""
        return self.network.probability(self.weights, (x - self.centre) / self.scale)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        model = {
            "inputs": list(self.names),
            "sizes": list(self.network.sizes),
            "weights": self.weights.tolist(),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
        }
        history = [{"round": one.round, "n": one.n, "loss": one.loss, "accuracy": one.accuracy} for one in self.history]
        n = self.history[-1].n
        return {
            "strategy": self.strategy, "model": model, "history": history, "n": n, "dropped": self.dropped,
            "warnings": [],
        }  # fmt: skip
