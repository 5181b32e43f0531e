"""The picture of a run: throughput and latency over time, and each kind beside its limits."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.recording import ERROR, OK, REFUSED, Observation, judged
from loadtests.slo import Thresholds, measure, percentile

_COLOURS = {OK: "#2a9d8f", REFUSED: "#e9c46a", ERROR: "#d1495b"}
_PERCENTILES = {"p50": (0.50, "#264653"), "p95": (0.95, "#2a78a8"), "p99": (0.99, "#d1495b")}
_NO_DATA = float("nan")


def draw(observations: Sequence[Observation], thresholds: Thresholds, *, title: str, path: Path) -> None:
    """Write the picture as PNG."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 9), layout="constrained")
        throughput, latency, kinds = figure.subplots(3, 1, height_ratios=(3, 4, 3))
        latency.sharex(throughput)
        figure.suptitle(title, fontweight="bold")
        _throughput(throughput, observations)
        _latency(latency, observations)
        _kinds(kinds, observations, thresholds)
        figure.savefig(path, dpi=130)


def _throughput(axes: Axes, observations: Sequence[Observation]) -> None:
    counts: dict[str, dict[int, int]] = {outcome: defaultdict(int) for outcome in _COLOURS}
    for each in observations:
        counts[each.outcome][int(each.seconds)] += 1
    seconds = _seconds(observations)
    series = [[counts[outcome][second] for second in seconds] for outcome in _COLOURS]
    axes.stackplot(seconds, *series, labels=list(_COLOURS), colors=list(_COLOURS.values()), step="post", alpha=0.9)
    highest = max(1, *(sum(column) for column in zip(*series, strict=True)))
    axes.set(ylabel="answers per second", ylim=(0, highest * 1.2), xlim=(0, max(1, *seconds)))
    _mark_stages(axes, observations)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(_COLOURS), frameon=False)


def _latency(axes: Axes, observations: Sequence[Observation]) -> None:
    by_second: Mapping[int, list[float]] = defaultdict(list)
    for each in observations:
        if each.outcome == OK:
            by_second[int(each.seconds)].append(each.milliseconds)
    seconds = _seconds(observations)
    for name, (share, colour) in _PERCENTILES.items():
        values = [percentile(sorted(by_second[second]), share) or _NO_DATA for second in seconds]
        axes.plot(seconds, values, label=name, color=colour, marker=".", markersize=3, linewidth=1.2)
    axes.set(xlabel="seconds", ylabel="latency of right answers (ms)", yscale="log")
    axes.grid(axis="y", alpha=0.3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(loc="upper right", ncols=len(_PERCENTILES))


def _kinds(axes: Axes, observations: Sequence[Observation], thresholds: Thresholds) -> None:
    seen = judged(observations)
    kinds = sorted({each.kind for each in seen}, reverse=True)
    for row, kind in enumerate(kinds):
        of_kind = [each for each in seen if each.kind == kind]
        for name, (_, colour) in _PERCENTILES.items():
            figure = f"{name}_ms"
            if (value := measure(of_kind, figure)) is not None:
                axes.plot(value, row, "o", color=colour, label=name if row == 0 else None)
            if (limit := thresholds.get(kind, {}).get(figure)) is not None:
                axes.plot(
                    limit,
                    row,
                    "|",
                    color=colour,
                    markersize=16,
                    markeredgewidth=2,
                    label=f"{name} limit" if row == 0 else None,
                )
    axes.set(xscale="log", xlabel="ms: measured, and its limit", yticks=range(len(kinds)), yticklabels=kinds)
    axes.set_ylim(-0.6, len(kinds) - 0.4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x", alpha=0.3)
    if kinds:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _mark_stages(axes: Axes, observations: Sequence[Observation]) -> None:
    begins: dict[str, float] = {}
    for each in observations:
        begins.setdefault(each.stage, each.seconds)
    for name, second in begins.items():
        axes.axvline(second, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(name, (second, 1), xycoords=("data", "axes fraction"), xytext=(3, -9), textcoords="offset points")


def _seconds(observations: Sequence[Observation]) -> list[int]:
    return list(range(int(max((each.seconds for each in observations), default=0)) + 1))
