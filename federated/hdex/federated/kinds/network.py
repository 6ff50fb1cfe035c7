"""A small neural network in numpy: tanh layers and one logistic output, trained by plain minibatch gradient steps.

Weights are one flat vector, layer by layer, each matrix (inputs, outputs) row by row and then its biases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hdex.federated.statistics import Floats


@dataclass(frozen=True, slots=True)
class Network:
    """The shape: inputs, hidden layers, one output."""

    sizes: tuple[int, ...]

    @property
    def weights(self) -> int:
        """Length of the flat vector."""
        return sum(before * after + after for before, after in self._pairs())

    def start(self, seed: int) -> Floats:
        """Return first weights: small, the same for everyone who knows the seed; biases 0."""
        random = np.random.default_rng(seed)
        parts = []
        for before, after in self._pairs():
            parts += [random.normal(0.0, 1.0 / np.sqrt(before), before * after), np.zeros(after)]
        return np.concatenate(parts)

    def probability(self, weights: Floats, x: Floats) -> Floats:
        """Return the chance of class 1 for each row of x, shape (n,)."""
        return self._activations(weights, x)[-1][:, 0]

    def losses(self, weights: Floats, x: Floats, y: Floats) -> Floats:
        """Return the log-loss of each row, shape (n,)."""
        chance = np.clip(self.probability(weights, x), 1e-12, 1 - 1e-12)
        return np.asarray(-(y * np.log(chance) + (1 - y) * np.log1p(-chance)))

    def loss(self, weights: Floats, x: Floats, y: Floats) -> float:
        """Return the summed log-loss."""
        return float(self.losses(weights, x, y).sum())

    def gradient(self, weights: Floats, x: Floats, y: Floats) -> Floats:
        """Return the gradient of the mean log-loss."""
        layers, activations = self._layers(weights), self._activations(weights, x)
        error = (activations[-1] - y[:, None]) / len(y)
        parts: list[Floats] = []
        for (matrix, _), inputs in zip(reversed(layers), reversed(activations[:-1]), strict=True):
            parts = [(inputs.T @ error).ravel(), error.sum(axis=0), *parts]
            error = (error @ matrix.T) * (1.0 - inputs * inputs)  # of tanh; unused for the input layer
        return np.concatenate(parts)

    def _pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    def _layers(self, weights: Floats) -> list[tuple[Floats, Floats]]:
        layers, at = [], 0
        for before, after in self._pairs():
            matrix = weights[at : at + before * after].reshape(before, after)
            layers.append((matrix, weights[at + before * after : at + before * after + after]))
            at += before * after + after
        return layers

    def _activations(self, weights: Floats, x: Floats) -> list[Floats]:
        found, layers = [x], self._layers(weights)
        for number, (matrix, bias) in enumerate(layers, 1):
            eta = found[-1] @ matrix + bias
            found.append(np.tanh(eta) if number < len(layers) else 0.5 * (1.0 + np.tanh(0.5 * eta)))
        return found


@dataclass(frozen=True, slots=True)
class LocalTraining:
    """How a site trains between two rounds."""

    epochs: int
    batch: int
    learning_rate: float
    mu: float  # FedProx: pull towards where the round began

    def update(self, network: Network, begin: Floats, x: Floats, y: Floats, seed: Sequence[int]) -> Floats:
        """Return new minus old weights after local training; zero without rows."""
        weights, random = begin.copy(), np.random.default_rng(list(seed))
        for _ in range(self.epochs):
            order = random.permutation(len(y))
            for start in range(0, len(y), self.batch):
                rows = order[start : start + self.batch]
                gradient = network.gradient(weights, x[rows], y[rows]) + self.mu * (weights - begin)
                weights = weights - self.learning_rate * gradient
        return weights - begin


def clipped(update: Floats, bound: float) -> Floats:
    """Return the update shortened to the norm `bound`."""
    size = float(np.linalg.norm(update))
    return update if size <= bound else update * (bound / size)
