"""What AnalysisRuns measured, as Argo Rollouts records it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

_FAILED = {"Failed", "Error", "Inconclusive"}
_OVER = _FAILED | {"Successful"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of an analysis: what it was each time, oldest first, and how often it was good or bad."""

    name: str
    phase: str
    values: tuple[str, ...]
    good: int
    bad: int
    unsure: int
    errors: int
    message: str

    @classmethod
    def read(cls, name: str, result: Mapping[str, Any]) -> Self:
        """Read a result; of a metric that was not measured yet there is none."""
        return cls(
            name,
            result.get("phase", ""),
            tuple(_value(each) for each in result.get("measurements", [])),
            result.get("successful", 0),
            result.get("failed", 0),
            result.get("inconclusive", 0),
            result.get("error", 0),
            result.get("message", "") or _last_message(result),
        )

    @property
    def failed(self) -> bool:
        """Whether the canary was stopped by it."""
        return self.phase in _FAILED

    def __str__(self) -> str:
        """Say what it was, for a commit message."""
        values = ", ".join(self.values[-5:]) or "no value"
        return f"{self.name} {self.phase.lower()}: {values}" + (f" ({self.message})" if self.message else "")


@dataclass(frozen=True, slots=True)
class Analysis:
    """One AnalysisRun."""

    name: str
    revision: str
    """The pod-template hash of the canary that it judges."""
    phase: str
    message: str
    created: str
    metrics: tuple[Metric, ...]

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Self:
        """Read it from the API server's answer."""
        metadata, status = item["metadata"], item.get("status", {})
        return cls(
            metadata["name"],
            metadata.get("labels", {}).get("rollouts-pod-template-hash", ""),
            status.get("phase", "Pending"),
            status.get("message", ""),
            metadata.get("creationTimestamp", ""),
            tuple(_metrics(item)),
        )

    @property
    def over(self) -> bool:
        """Whether it has come to a verdict."""
        return self.phase in _OVER

    @property
    def failed(self) -> bool:
        """Whether its verdict is against the canary; no verdict is never for it."""
        return self.phase in _FAILED


def _metrics(item: Mapping[str, Any]) -> Iterator[Metric]:
    results = {each["name"]: each for each in item.get("status", {}).get("metricResults", [])}
    names = [each["name"] for each in item.get("spec", {}).get("metrics", [])]
    for name in dict.fromkeys((*names, *results)):
        yield Metric.read(name, results.get(name, {}))


def _value(measurement: Mapping[str, Any]) -> str:
    """Return a value as a person reads it: Prometheus answers with a list of one number, a Job with nothing."""
    text = measurement.get("value", "")
    if not text:
        return str(measurement.get("phase", "")).lower()
    try:
        value = json.loads(text)
    except ValueError:
        return str(text)  # NaN in a list, or a word
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"{value:.4g}"


def _last_message(result: Mapping[str, Any]) -> str:
    messages = [each["message"] for each in result.get("measurements", []) if each.get("message")]
    return str(messages[-1]) if messages else ""
