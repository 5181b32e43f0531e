"""The network: a small perceptron behind a fixed scaling, trained on fresh distortions in every epoch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from training.augmentation import FULL, SIDE
from training.dataset import Rows

CLASSES = np.arange(10)

Progress = Callable[[int, float], None]
EpochRows = Callable[[np.random.Generator], Rows]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, besides the rows, decides the weights; `drawn` pictures of each digit are added to the rows."""

    seed: int = 20261121
    epochs: int = 90
    drawn: int = 600
    hidden: tuple[int, ...] = (128, 64)
    batch: int = 128
    weight_decay: float = 1e-4
    averaged_share: float = 0.4


def train(epoch_rows: EpochRows, recipe: Recipe, *, progress: Progress) -> Pipeline:
    """Return scaling and network as one pipeline; one thread, so that sums add up in the same order every time."""
    rng = np.random.default_rng(recipe.seed)
    scaling = fixed_scaling()
    network = MLPClassifier(recipe.hidden, batch_size=recipe.batch, alpha=recipe.weight_decay, random_state=recipe.seed)
    average = _Average()
    with threadpool_limits(limits=1):
        for epoch in range(1, recipe.epochs + 1):
            rows = epoch_rows(rng)
            network.partial_fit(scaling.transform(rows.pixels), rows.labels, classes=CLASSES)
            if epoch > recipe.epochs * (1 - recipe.averaged_share):
                average.add(network)
            progress(epoch, network.loss_)
    average.put_into(network)
    return make_pipeline(scaling, network)


def fixed_scaling() -> MinMaxScaler:
    """Return the scaling by 16, which is fitted to the range of a count and never to data."""
    return MinMaxScaler().fit(np.array([[0.0] * SIDE**2, [FULL] * SIDE**2], dtype=np.float32))


class _Average:
    """The mean of the weights over the last epochs, which does what a falling learning rate would."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: list[np.ndarray] = []

    def add(self, network: MLPClassifier) -> None:
        weights = [*network.coefs_, *network.intercepts_]
        self._sums = [total + weight for total, weight in zip(self._sums, weights, strict=bool(self._sums))] or weights
        self._count += 1

    def put_into(self, network: MLPClassifier) -> None:
        means = [(total / self._count).astype(total.dtype) for total in self._sums]
        network.coefs_, network.intercepts_ = means[: len(network.coefs_)], means[len(network.coefs_) :]
