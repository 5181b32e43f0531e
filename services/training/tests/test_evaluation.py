import numpy as np
import pytest
from training.calibration import cooled, fit_temperature, log_loss
from training.classifier import Recipe, train
from training.dataset import Dataset
from training.evaluation import Share, evaluate, expected_calibration_error


@pytest.mark.requirement("TRAINING-004")
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, table I), method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(right: int, n: int, low: float, high: float) -> None:
    assert Share(right, n).interval == pytest.approx((low, high), abs=5e-5)


@pytest.mark.requirement("TRAINING-004")
def test_an_evaluation_counts_what_was_right_in_all_and_per_digit() -> None:
    labels = np.array([0, 0, 1, 9])
    probabilities = np.eye(10)[[0, 3, 1, 9]] * 0.9 + 0.01
    found = evaluate(probabilities, labels)
    assert found.accuracy == Share(3, 4)
    assert (found.per_class[0], found.per_class[1], found.per_class[9]) == (Share(1, 2), Share(1, 1), Share(1, 1))


def test_calibration_error_is_nought_when_confidence_is_accuracy() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = np.full((4, 10), 0.0)
    probabilities[:, 0], probabilities[:, 1] = 0.75, 0.25
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0)
    assert expected_calibration_error(np.eye(10)[[0, 0, 0, 0]], labels) == pytest.approx(0.25)


@pytest.mark.requirement("TRAINING-003")
@pytest.mark.parametrize("sureness", [0.4, 1.0, 3.0])
def test_a_temperature_never_makes_the_log_loss_worse_on_the_rows_it_was_fitted_to(
    dataset: Dataset, quick: Recipe, sureness: float
) -> None:
    raw = cooled(train(lambda _: dataset.train, quick, progress=lambda *_: None), 1 / sureness)
    pixels, labels = dataset.validation.pixels, dataset.validation.labels
    before = raw.predict_proba(pixels)
    after = cooled(raw, fit_temperature(before, labels)).predict_proba(pixels)
    assert log_loss(after, labels) <= log_loss(before, labels) + 1e-4
    assert np.array_equal(after.argmax(axis=1), before.argmax(axis=1))
