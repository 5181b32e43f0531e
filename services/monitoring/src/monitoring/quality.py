"""The mathematics of quality: intervals, per-class figures, calibration."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Two-sided 95 %.
_Z = 1.959963984540054
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many, with the Wilson score interval; no value without trials."""

    successes: int
    trials: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.successes / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval; unlike the textbook one it stays inside 0 and 1, and wide when trials are few."""
        if not self.trials:
            return None
        n, share = self.trials, self.successes / self.trials
        centre = share + _Z**2 / (2 * n)
        spread = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        scale = 1 + _Z**2 / n
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one label was predicted where another was right, within one bin of confidence (None: not given)."""

    predicted: str
    actual: str
    bin: int | None
    count: int
    confidence_sum: float = 0.0


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """Precision and recall of one class."""

    label: str
    precision: Proportion
    recall: Proportion


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """What predictions of similar confidence claimed, and what they achieved."""

    lower: float
    upper: float
    count: int
    mean_confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Everything that is computed from labelled predictions."""

    accuracy: Proportion
    classes: tuple[ClassQuality, ...]
    confusion: dict[tuple[str, str], int]
    calibration: tuple[CalibrationBin, ...]
    expected_calibration_error: float


def quality_of(tallies: Iterable[Tally]) -> Quality:
    """Return the quality that the tallies add up to."""
    tallies = tuple(tallies)
    confusion: Counter[tuple[str, str]] = Counter()
    for tally in tallies:
        confusion[tally.actual, tally.predicted] += tally.count
    right = sum(count for (actual, predicted), count in confusion.items() if actual == predicted)
    calibration = _calibration(tallies)
    return Quality(
        accuracy=Proportion(right, confusion.total()),
        classes=_classes(confusion),
        confusion=dict(sorted(confusion.items(), key=lambda cell: (label_key(cell[0][0]), label_key(cell[0][1])))),
        calibration=calibration,
        expected_calibration_error=_calibration_error(calibration),
    )


def label_key(label: str) -> tuple[int, float, str]:
    """Sort digits as numbers and before words."""
    return (0, int(label), label) if label.isascii() and label.isdigit() else (1, 0, label)


def _classes(confusion: Counter[tuple[str, str]]) -> tuple[ClassQuality, ...]:
    actual_totals: Counter[str] = Counter()
    predicted_totals: Counter[str] = Counter()
    for (actual, predicted), count in confusion.items():
        actual_totals[actual] += count
        predicted_totals[predicted] += count
    return tuple(
        ClassQuality(
            label,
            precision=Proportion(confusion[label, label], predicted_totals[label]),
            recall=Proportion(confusion[label, label], actual_totals[label]),
        )
        for label in sorted({*actual_totals, *predicted_totals}, key=label_key)
    )


def _calibration(tallies: Sequence[Tally]) -> tuple[CalibrationBin, ...]:
    counts: Counter[int] = Counter()
    rights: Counter[int] = Counter()
    confidences: dict[int, float] = {}
    for tally in tallies:
        if tally.bin is None:
            continue
        counts[tally.bin] += tally.count
        rights[tally.bin] += tally.count * (tally.predicted == tally.actual)
        confidences[tally.bin] = confidences.get(tally.bin, 0.0) + tally.confidence_sum
    return tuple(
        CalibrationBin(
            lower=number / CALIBRATION_BINS,
            upper=(number + 1) / CALIBRATION_BINS,
            count=counts[number],
            mean_confidence=confidences[number] / counts[number],
            accuracy=rights[number] / counts[number],
        )
        for number in sorted(counts)
    )


def _calibration_error(bins: Sequence[CalibrationBin]) -> float:
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.accuracy - each.mean_confidence) for each in bins) / total if total else 0.0
