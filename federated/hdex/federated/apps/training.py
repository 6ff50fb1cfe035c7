"""A Flower strategy over encrypted sums: to the strategy, the pooled sum of all sites is one node that replies."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from hdex.federated.apps.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Grid,
    Message,
    MetricRecord,
    RecordDict,
    Run,
)
from hdex.federated.errors import NotConverged, StudyInvalid
from hdex.federated.kinds.columns import design_names
from hdex.federated.kinds.kind import Arrays, Asked
from hdex.federated.kinds.network import Network
from hdex.federated.kinds.training import Lesson, Recipe, Trained
from hdex.federated.statistics import Floats

_POOL = 2  # the node id of the pooled sum
OWN_MESSAGES = "the strategy sends messages of its own; the one node it has here is the sum over all sites"


class PooledGrid(Grid):
    """A Grid with one node, the pooled sum; the strategy's message is kept for the inquiry to answer."""

    def __init__(self) -> None:
        self._run = Run.create_empty(0)

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return [_POOL]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise StudyInvalid(OWN_MESSAGES)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise StudyInvalid(OWN_MESSAGES)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        raise StudyInvalid(OWN_MESSAGES)


def strategy_named(name: str, arguments: Mapping[str, Any]) -> Strategy:
    """Return Flower's strategy over one node. Raises StudyInvalid for arguments that it does not take."""
    if any(not isinstance(value, int | float) for value in arguments.values()):
        raise StudyInvalid("a strategy's arguments must be numbers")
    one = {"min_train_nodes": 1, "min_evaluate_nodes": 1, "min_available_nodes": 1, "fraction_evaluate": 0.0}
    try:
        found: Strategy = getattr(flower, name)(**one, **arguments)
    except TypeError as error:
        raise StudyInvalid(f"{name} does not take the arguments {', '.join(sorted(arguments))}") from error
    return found


class TrainingInquiry:
    """Moments, training rounds, evaluation."""

    def __init__(self, asked: Asked, name: str, recipe: Recipe, network: Network) -> None:
        self._asked = asked
        self._name = name
        self._recipe = recipe
        self._network = network
        self._strategy = strategy_named(name, recipe.strategy or {})
        self._grid = PooledGrid()
        self._weights = network.start(recipe.seed)
        self._history: list[Lesson] = []
        self._dropped = 0
        self._message: Message | None = None  # what the strategy has sent and the pool has not answered
        self.round = 1
        self.step = "moments"

    @property
    def settled(self) -> bool:
        return len(self._history) > self._recipe.rounds

    @property
    def point(self) -> Arrays | None:
        if self.step == "moments":
            return None
        config = self._configured().content.config_records["config"] if self.step == "train" else ConfigRecord()
        mu = config.get("proximal-mu", 0.0)
        return {
            "weights": self._weights,
            "centre": self._centre,
            "scale": self._scale,
            "mu": np.array([float(mu) if isinstance(mu, int | float) else 0.0]),
            "round": np.array([float(len(self._history))]),
        }

    def absorb(self, total: Floats) -> None:
        if self.step == "moments":
            self._scale_by(total)
        else:
            n = max(round(float(total[0])), 1)
            lesson = Lesson(len(self._history) + 1, n, float(total[1]) / n, float(total[2]) / n)
            if self.step == "train":
                self._weights = self._aggregated(self._weights + total[3:] / n, n)
            self._history.append(lesson)
        self.step = "train" if len(self._history) < self._recipe.rounds else "evaluate"
        self.round += 1

    def answer(self) -> Trained:
        return Trained(
            strategy=self._name,
            names=design_names(self._asked),
            network=self._network,
            weights=self._weights,
            centre=self._centre,
            scale=self._scale,
            history=tuple(self._history),
            dropped=self._dropped,
        )

    def _scale_by(self, total: Floats) -> None:
        n, p = float(total[0]), len(design_names(self._asked))
        if not 0 < total[2] < n:
            raise NotConverged("the pooled rows hold one outcome class only; choose a target that varies")
        self._dropped = round(float(total[1]))
        self._centre = total[3 : 3 + p] / n
        spread = np.sqrt(np.maximum(total[3 + p :] / n - self._centre**2, 0.0))
        self._scale = np.where(spread > 0, spread, 1.0)

    def _configured(self) -> Message:
        """Return the strategy's message of this round, asked for once."""
        if self._message is None:
            arrays = ArrayRecord({"weights": Array(self._weights)})
            number = len(self._history) + 1
            (self._message,) = self._strategy.configure_train(number, arrays, ConfigRecord(), self._grid)
        return self._message

    def _aggregated(self, mean: Floats, n: int) -> Floats:
        """Return the weights that the strategy makes of the pooled mean."""
        arrays, metrics = ArrayRecord({"weights": Array(mean)}), MetricRecord({"num-examples": n})
        reply = Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=self._configured())
        self._message = None
        found, _ = self._strategy.aggregate_train(len(self._history) + 1, [reply])
        if found is None:
            raise NotConverged(f"{self._name} made no weights of the pooled sum")
        weights: Floats = found["weights"].numpy().astype(np.float64)
        return weights
