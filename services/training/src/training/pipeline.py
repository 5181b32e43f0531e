"""One training run: rows to a released package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from training.augmentation import augment, distort_some
from training.calibration import cooled, fit_temperature
from training.classifier import EpochRows, Recipe, train
from training.contract import read_contract
from training.dataset import Dataset, Rows
from training.drawing import draw
from training.evaluation import Evaluation, Share, evaluate
from training.export import export, infer, require_parity
from training.golden import golden_file, golden_inputs
from training.package import Release, write_package
from training.provenance import code_commit

MODEL = "digits"

# Drawn digits are bent already; some distortion on top keeps the network from learning them by heart.
_DISTORTED_DRAWN = 0.3


@dataclass(frozen=True, slots=True)
class Run:
    """What a run made and what it found."""

    release: Release
    temperature: float
    parity: float
    before: Evaluation
    after: Evaluation


def run(dataset: Dataset, recipe: Recipe, *, models: Path, say: Callable[[str], None]) -> Run:
    """Train, calibrate, export, evaluate once on the holdout, and write the package."""
    contract = read_contract(models / MODEL / "model.yaml")
    raw = train(_epoch_rows(dataset.train, recipe), recipe, progress=_progress(recipe, say))
    temperature = _temperature(raw, dataset.validation, recipe)
    calibrated = cooled(raw, temperature)
    graph = export(calibrated, contract)
    parity = require_parity(graph, calibrated, pixels=_probe(dataset))
    before = evaluate(raw.predict_proba(dataset.holdout.pixels), dataset.holdout.labels)
    after = evaluate(infer(graph, dataset.holdout.pixels)[1], dataset.holdout.labels)
    files = {
        contract.model_file: graph,
        contract.golden_file: golden_file(graph, contract, pixels=golden_inputs(dataset.train)),
    }
    provenance = {
        "dataset": {"name": "scikit-learn digits", "digest": dataset.digest},
        "code_commit": code_commit(),
        "seed": recipe.seed,
        "metrics": _metrics(after, before),
    }
    release = write_package(models / MODEL, files, provenance=provenance)
    return Run(release, temperature, parity, before, after)


def _epoch_rows(rows: Rows, recipe: Recipe) -> EpochRows:
    drawn = draw(recipe.drawn, np.random.default_rng(recipe.seed))

    def fresh(rng: np.random.Generator) -> Rows:
        augmented = augment(rows, rng)
        pixels = distort_some(drawn.pixels, rng, share=_DISTORTED_DRAWN)
        return Rows(np.vstack([augmented.pixels, pixels]), np.concatenate([augmented.labels, drawn.labels]))

    return fresh


def _temperature(raw: Pipeline, rows: Rows, recipe: Recipe) -> float:
    """Fit on distorted rows too: what people draw is rougher than the dataset, and the model should know that."""
    rougher = augment(rows, np.random.default_rng(recipe.seed))
    return fit_temperature(raw.predict_proba(rougher.pixels), rougher.labels)


def _progress(recipe: Recipe, say: Callable[[str], None]) -> Callable[[int, float], None]:
    def report(epoch: int, loss: float) -> None:
        if epoch % max(1, recipe.epochs // 6) == 0:
            say(f"epoch {epoch}/{recipe.epochs}  loss {loss:.4f}")

    return report


def _probe(dataset: Dataset) -> np.ndarray:
    """Return pictures to compare the graph on: seen ones and pure noise, which finds what tidy pictures miss."""
    noise = np.random.default_rng(0).integers(0, 17, (200, dataset.train.pixels.shape[1])).astype(np.float32)
    return np.vstack([dataset.train.pixels, noise])


def _metrics(after: Evaluation, before: Evaluation) -> dict[str, object]:
    return {
        "rows": "holdout, the last 25 % in file order",
        "accuracy": _share(after.accuracy),
        "per_class": {str(digit): _share(share) for digit, share in enumerate(after.per_class)},
        "log_loss": round(after.log_loss, 4),
        "expected_calibration_error": {
            "n": after.accuracy.n,
            "before": round(before.calibration_error, 4),
            "after": round(after.calibration_error, 4),
        },
    }


def _share(share: Share) -> dict[str, object]:
    low, high = share.interval
    return {"value": round(share.value, 4), "n": share.n, "interval95": [round(low, 4), round(high, 4)]}
