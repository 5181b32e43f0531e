"""Temperature calibration: one number that makes the probabilities as sure as they are right."""

import copy

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from training.dataset import Labels

Probabilities = NDArray[np.float64]

_CANDIDATES = np.geomspace(0.2, 10.0, 500)


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """Return the temperature with the lowest log loss on rows that training did not see."""
    logits = np.log(np.clip(probabilities, 1e-12, 1))
    losses = [log_loss(softmax(logits / temperature), labels) for temperature in _CANDIDATES]
    return round(float(_CANDIDATES[np.argmin(losses)]), 4)


def cooled(pipeline: Pipeline, temperature: float) -> Pipeline:
    """Return the pipeline with the temperature folded into the last layer, so that the graph needs no extra step."""
    result = copy.deepcopy(pipeline)
    network = result[-1]
    network.coefs_[-1] = (network.coefs_[-1] / temperature).astype(network.coefs_[-1].dtype)
    network.intercepts_[-1] = (network.intercepts_[-1] / temperature).astype(network.intercepts_[-1].dtype)
    return result


def softmax(logits: Probabilities) -> Probabilities:
    """Return probabilities row by row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return result


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean negative log of the probability that was given to the truth."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean())
