"""Figures of a trained model, each share with its n and 95 % Wilson interval."""

import math
from dataclasses import dataclass

import numpy as np

from training.calibration import Probabilities, log_loss
from training.dataset import Labels

_Z95 = 1.959963984540054
_BINS = 10


@dataclass(frozen=True, slots=True)
class Share:
    """So many right out of n."""

    right: int
    n: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval, which stays within 0 and 1 and is honest for small n."""
        z2 = _Z95**2
        centre = (self.right + z2 / 2) / (self.n + z2)
        half = _Z95 / (self.n + z2) * math.sqrt(self.right * (self.n - self.right) / self.n + z2 / 4)
        return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model does on rows that training did not see."""

    accuracy: Share
    per_class: tuple[Share, ...]
    calibration_error: float
    log_loss: float


def evaluate(probabilities: Probabilities, labels: Labels) -> Evaluation:
    """Judge probabilities against the truth."""
    right = probabilities.argmax(axis=1) == labels
    return Evaluation(
        accuracy=Share(int(right.sum()), len(labels)),
        per_class=tuple(
            Share(int(right[labels == digit].sum()), int((labels == digit).sum()))
            for digit in range(probabilities.shape[1])
        ),
        calibration_error=expected_calibration_error(probabilities, labels),
        log_loss=log_loss(probabilities, labels),
    )


def expected_calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean gap between confidence and accuracy over ten equal bins of confidence."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((right[bins == index] - confidence[bins == index]).sum())) for index in range(_BINS)]
    return sum(gaps) / len(labels)
