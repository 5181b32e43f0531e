"""Service level objectives, and how a run compares with them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from loadtests.profiles import KINDS
from loadtests.recording import ERROR, OK, Observation, judged

Thresholds = Mapping[str, Mapping[str, float]]
"""Limit by kind of request and figure."""

_LATENCIES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
FIGURES = (*_LATENCIES, "error_rate", "availability")
_AT_LEAST = frozenset({"availability"})


class BadObjectives(ValueError):
    """The thresholds cannot be used; the message says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold and what was measured; `measured` is None when no request was answered."""

    kind: str
    figure: str
    limit: float
    measured: float | None

    @property
    def holds(self) -> bool:
        """Whether the objective was met; what was not measured was not met."""
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.figure in _AT_LEAST else self.measured <= self.limit


def read_thresholds(path: Path, profile: str) -> Thresholds:
    """Read the thresholds that hold for a profile; raises BadObjectives."""
    content = yaml.safe_load(path.read_text())
    overrides = content.get("profiles", {}).get(profile, {})
    thresholds = {kind: {**limits, **overrides} for kind, limits in content["objectives"].items()}
    problems = [f"unknown kind {kind!r}" for kind in thresholds if kind not in KINDS]
    problems += [f"{kind}: unknown {name!r}" for kind in thresholds for name in thresholds[kind] if name not in FIGURES]
    if problems:
        raise BadObjectives(f"{path.name}: {'; '.join(problems)}. Figures are {', '.join(FIGURES)}.")
    return thresholds


def judge(observations: Iterable[Observation], thresholds: Thresholds, kinds: Iterable[str]) -> list[Verdict]:
    """Compare a run with the thresholds of the kinds that it was to send."""
    by_kind: dict[str, list[Observation]] = defaultdict(list)
    for each in judged(observations):
        by_kind[each.kind].append(each)
    return [
        Verdict(kind, figure, limit, measure(by_kind[kind], figure))
        for kind in kinds
        for figure, limit in thresholds.get(kind, {}).items()
    ]


def measure(observations: Sequence[Observation], figure: str) -> float | None:
    """Return one figure; latencies are of right answers only, so that quick refusals flatter nobody."""
    if figure in _LATENCIES:
        latencies = sorted(each.milliseconds for each in observations if each.outcome == OK)
        return percentile(latencies, _LATENCIES[figure])
    if not observations:
        return None
    counted = OK if figure == "availability" else ERROR
    return sum(each.outcome == counted for each in observations) / len(observations)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the least value that `share` of the ordered values do not exceed; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
