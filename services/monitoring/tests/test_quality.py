"""The mathematics of quality against values worked out elsewhere."""

import pytest
from monitoring.quality import Proportion, Tally, quality_of


@pytest.mark.requirement("MONITORING-008")
@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [  # Newcombe 1998, table I, method 3, and the closed forms at the ends
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, lower: float, upper: float) -> None:
    assert Proportion(successes, trials).interval == pytest.approx((lower, upper), abs=5e-5)


def test_nothing_judged_has_no_accuracy_and_no_interval() -> None:
    quality = quality_of([])
    assert quality.accuracy.value is None
    assert quality.accuracy.interval is None
    assert (quality.classes, quality.confusion, quality.calibration) == ((), {}, ())
    assert quality.expected_calibration_error == 0


@pytest.mark.requirement("MONITORING-009")
def test_precision_and_recall_come_from_the_confusion() -> None:
    quality = quality_of(
        [Tally("cat", "cat", 9, 8), Tally("cat", "dog", 9, 2), Tally("dog", "dog", 9, 5), Tally("dog", "cat", 9, 5)]
    )
    cat, dog = quality.classes
    assert (cat.label, cat.precision.value, cat.recall.value) == ("cat", 8 / 10, 8 / 13)
    assert (dog.label, dog.precision.value, dog.recall.value) == ("dog", 5 / 10, 5 / 7)
    assert quality.confusion == {("cat", "cat"): 8, ("cat", "dog"): 5, ("dog", "cat"): 2, ("dog", "dog"): 5}
    assert quality.accuracy == Proportion(13, 20)


def test_a_class_that_was_never_predicted_has_recall_and_no_precision() -> None:
    never, always = quality_of([Tally("9", "4", 9, 3)]).classes
    assert (never.label, never.precision.value, never.recall.value) == ("4", None, 0)
    assert (always.label, always.precision.value, always.recall.value) == ("9", 0, None)


def test_digits_are_sorted_as_numbers_and_before_words() -> None:
    labels = [each.label for each in quality_of(Tally(label, label, 9, 1) for label in ("b", "10", "2", "a")).classes]
    assert labels == ["2", "10", "a", "b"]


@pytest.mark.requirement("MONITORING-010")
def test_calibration_weighs_each_bin_by_its_predictions() -> None:
    quality = quality_of(
        [
            Tally("1", "1", 9, 90, confidence_sum=90 * 0.95),
            Tally("1", "2", 9, 10, confidence_sum=10 * 0.95),
            Tally("2", "2", 5, 10, confidence_sum=10 * 0.55),
            Tally("2", "1", 5, 10, confidence_sum=10 * 0.55),
            Tally("3", "3", None, 500),  # without probabilities: no claim to check
        ]
    )
    low, high = quality.calibration
    assert (low.lower, low.upper, low.count, low.accuracy) == (0.5, 0.6, 20, 0.5)
    assert (high.lower, high.upper, high.count, high.accuracy) == (0.9, 1.0, 100, 0.9)
    assert low.mean_confidence == pytest.approx(0.55)
    assert quality.expected_calibration_error == pytest.approx((100 * 0.05 + 20 * 0.05) / 120)
