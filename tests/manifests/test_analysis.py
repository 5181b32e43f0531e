"""Canaries whose truth is known, judged by the very queries and conditions of platform/analysis: how often they err."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np
import pytest
import yaml
from inference.metrics import PINNED
from local_stack.settings import ROOT
from monitoring.judgement_metrics import JudgementMetrics
from prometheus_client import CollectorRegistry

pytestmark = pytest.mark.requirement("CANARY-004")

CANARIES = 1000
LOOKS = 36
BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
"""The gateway's buckets."""


class NoData(Exception):
    """Prometheus would answer with nothing."""


@dataclass(frozen=True)
class Metric:
    """A metric of a template: its query as Python, its conditions, and what it looks at again and again."""

    query: CodeType
    success: CodeType
    failure: CodeType

    @classmethod
    def read(cls, template: str, name: str) -> "Metric":
        path = ROOT / "platform" / "analysis" / f"analysistemplate-{template}.yaml"
        (metric,) = [each for each in yaml.safe_load(path.read_text())["spec"]["metrics"] if each["name"] == name]
        texts = [as_python(metric["provider"]["prometheus"]["query"])]
        texts += [condition(metric[f"{each}Condition"]) for each in ("success", "failure")]
        return cls(*(compile(text, name, "eval") for text in texts))

    def verdict(self, values: dict[str, Any]) -> str:
        """Return what Argo Rollouts makes of one look."""
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = [float(eval(self.query, FUNCTIONS, values))]  # noqa: S307 - our own text
        except (NoData, ZeroDivisionError):
            found = []
        held = {"result": found, "len": len}
        if eval(self.failure, held):  # noqa: S307
            return "failed"
        return "successful" if eval(self.success, held) else "inconclusive"  # noqa: S307


def as_python(query: str) -> str:
    """Turn a query into Python: each selector becomes the name of a number, functions are ours."""
    query = query.partition("\nor (vector(0) unless")[0]  # where stable has no histogram
    query = re.sub(r"\[\{\{args\.window\}\}\]", "", query)
    query = re.sub(r"\{\{args\.(\w+)\}\}", r"<\1>", query)
    query = re.sub(r"\{[^}]*\}", lambda match: selected(match[0]), query)
    query = query.replace("sum by (le) ", "").replace("sum(", "(").replace("increase(", "(").replace("scalar(", "(")
    query = query.replace(" or vector(0)", "").replace("^", "**")
    return re.sub(r"\(([a-z_]+)\) >= ([0-9]+)", r"at_least(\1, \2)", f"({query})")


def selected(selector: str) -> str:
    side = "canary" if "<canary>" in selector else "stable"
    assert f'rollouts_pod_template_hash="<{side}>"' in selector
    assert 'namespace="<namespace>", service="<service>"' in selector
    kinds = {"_bucket": "buckets", "_time)_count": "calls", "code!~": "failures", "(success|failure)": "calls"}
    return next(f"{name}_{side}" for sign, name in kinds.items() if sign in selector)


def condition(text: str) -> str:
    return text.replace("&&", "and").replace("false", "False")


def at_least(value: float, least: float) -> float:
    if value < least:
        raise NoData
    return value


def histogram_quantile(share: float, counts: Sequence[float]) -> float:
    """As Prometheus does it: linear within the bucket."""
    total = sum(counts)
    if not total:
        return math.nan
    reached, rank = 0.0, share * total
    for upper, lower, count in zip(BOUNDS, (0.0, *BOUNDS), counts, strict=False):
        if reached + count >= rank:
            return lower if upper == math.inf else lower + (upper - lower) * (rank - reached) / count
        reached += count
    return math.nan


def histogram_fraction(_from: float, upto: float, counts: Sequence[float]) -> float:
    """As Prometheus does it, between 0 and a bound."""
    below = 0.0
    for upper, lower, count in zip(BOUNDS, (0.0, *BOUNDS), counts, strict=False):
        if upto >= upper:
            below += count
        elif upto > lower and upper < math.inf:
            below += count * (upto - lower) / (upper - lower)
    return below / sum(counts) if sum(counts) else math.nan


FUNCTIONS = {
    "sqrt": math.sqrt,
    "clamp_min": max,
    "at_least": at_least,
    "histogram_quantile": histogram_quantile,
    "histogram_fraction": histogram_fraction,
}


@dataclass(frozen=True)
class World:
    """How many calls come, how they go, and how the canary's differ."""

    calls_per_second: float = 20.0
    failing: float = 0.002
    spread: float = 0.6
    """Of the logarithm of latencies; a busy machine has more."""
    canary_failing: float | None = None
    canary_slower: float = 1.0
    cold: int = 5
    """So many first calls of a canary take ten times as long."""
    weight: float = 0.2


def looks(world: World, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield what Prometheus counts, every five seconds from the first weight on; stable's last minute came before."""
    calls = {"stable": 0, "canary": 0}
    failures = {"stable": 0, "canary": 0}
    buckets = {side: np.zeros(len(BOUNDS)) for side in calls}
    cold = world.cold
    for seconds, weight in [(60, 0.0), *((5, world.weight) for _ in range(LOOKS))]:
        for side, share in (("stable", 1 - weight), ("canary", weight)):
            number = int(random.poisson(world.calls_per_second * seconds * share))
            worse = world.canary_failing if side == "canary" else None
            calls[side] += number
            failures[side] += int(random.binomial(number, world.failing if worse is None else worse))
            took = 0.02 * np.exp(world.spread * random.standard_normal(number))
            if side == "canary":
                took *= world.canary_slower
                took[:cold] *= 10
                cold = max(0, cold - number)
            buckets[side] += np.bincount(np.searchsorted(BOUNDS, took), minlength=len(BOUNDS))
        if weight:
            yield {
                f"{name}_{side}": found[side]
                for name, found in (("calls", calls), ("failures", failures), ("buckets", buckets))
                for side in calls
            }


WATCHED = [Metric.read("failures", "failed-calls"), Metric.read("slow-calls", "slow-calls")]
GATE = [Metric.read("evidence", "failed-calls"), Metric.read("evidence", "slow-calls")]


@dataclass(frozen=True)
class Outcome:
    """After how many looks a canary was aborted, or let through; None: neither."""

    aborted: int | None
    passed: int | None


def judged(world: World, random: np.random.Generator, *, until_passed: bool) -> Outcome:
    """Judge one canary as a rollout does: aborted by whatever fails first, on its way once all of the gate passed."""
    lacking = list(GATE)
    for number, values in enumerate(looks(world, random), start=1):
        if any(metric.verdict(values) == "failed" for metric in WATCHED):
            return Outcome(number, None)
        lacking = [metric for metric in lacking if metric.verdict(values) != "successful"]
        if not lacking and until_passed:
            return Outcome(None, number)
    return Outcome(None, None if lacking else LOOKS)


def outcomes(world: World, *, canaries: int = CANARIES, until_passed: bool = True) -> list[Outcome]:
    random = np.random.default_rng(20260131)
    return [judged(world, random, until_passed=until_passed) for _ in range(canaries)]


@pytest.mark.parametrize(
    "world",
    [
        World(),
        World(calls_per_second=3),
        World(calls_per_second=100),
        World(failing=0.05),
        World(spread=1.5),
        World(weight=0.05),
    ],
    ids=["usual", "few calls", "many calls", "one call in twenty fails anyway", "a busy machine", "a small weight"],
)
def test_of_a_thousand_equal_canaries_at_most_ten_are_aborted_however_long_one_looks(world: World) -> None:
    """36 looks at each, also at those that would have passed long before."""
    aborted = sum(each.aborted is not None for each in outcomes(world, until_passed=False))
    assert aborted <= CANARIES // 100
    print(f"{world}: {aborted} of {CANARIES} aborted")


def test_an_equal_canary_passes_on_evidence_within_three_minutes() -> None:
    found = outcomes(World())
    passed = [each.passed for each in found if each.passed]
    assert len(passed) >= 0.98 * CANARIES
    print(f"{len(passed)} of {CANARIES} passed, after {np.median(passed) * 5:g} s in the middle")


@pytest.mark.parametrize(
    "world",
    [World(canary_failing=0.2), World(canary_slower=5.0), World(canary_slower=5.0, spread=1.2)],
    ids=["a fifth fails", "five times slower", "five times slower, on a busy machine"],
)
def test_a_bad_canary_is_stopped_within_a_minute_and_none_passes(world: World) -> None:
    found = outcomes(world)
    stopped = [each.aborted * 5 for each in found if each.aborted]
    assert [each for each in found if each.passed] == []
    assert sum(seconds <= 50 for seconds in stopped) >= 0.99 * CANARIES
    print(f"{world}: stopped after {np.median(stopped):g} s in the middle, {np.percentile(stopped, 99):g} s at most")


@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_too_few_calls_never_pass_and_never_abort(failing: float) -> None:
    """One call in twenty seconds, a fifth of them to the canary: silence, and the rollout waits for more."""
    found = outcomes(World(calls_per_second=0.05, canary_failing=failing), canaries=200)
    assert {(each.aborted, each.passed) for each in found} == {(None, None)}


def test_nothing_at_all_is_no_verdict() -> None:
    nothing: dict[str, Any] = {f"{name}_{side}": 0 for name in ("calls", "failures") for side in ("stable", "canary")}
    nothing |= {f"buckets_{side}": [0.0] * len(BOUNDS) for side in ("stable", "canary")}
    assert {metric.verdict(nothing) for metric in (*WATCHED, *GATE)} == {"inconclusive"}


@pytest.mark.requirement("CANARY-006")
@pytest.mark.parametrize(
    ("template", "name"), [("wrong-answers", "labelled-answers"), ("disagreement", "compared-answers")]
)
def test_a_verdict_of_monitoring_stops_a_canary_when_it_is_abort_and_never_otherwise(template: str, name: str) -> None:
    path = ROOT / "platform" / "analysis" / f"analysistemplate-{template}.yaml"
    (metric,) = yaml.safe_load(path.read_text())["spec"]["metrics"]
    assert metric["name"] == name
    said = {}
    for number in ([1.0], [0.0], [-1.0], []):
        held = {"result": number, "len": len}
        failed, passed = (eval(condition(metric[f"{each}Condition"]), held) for each in ("failure", "success"))  # noqa: S307
        said[str(number)] = "failed" if failed else "successful" if passed else "inconclusive"
    assert said == {"[1.0]": "successful", "[0.0]": "inconclusive", "[-1.0]": "failed", "[]": "inconclusive"}
    assert "failureLimit" not in metric, "one abort is enough"
    assert metric["inconclusiveLimit"] * 5 > 30 * 24 * 3600, "undecided for a month is still undecided"


@pytest.mark.requirement("CANARY-006")
@pytest.mark.parametrize("template", ["wrong-answers", "disagreement"])
def test_what_a_verdict_is_asked_for_is_what_monitoring_and_inference_publish(template: str) -> None:
    """Prometheus answers a question after a metric or a label that does not exist with nothing: nobody would notice."""
    published = CollectorRegistry()
    verdicts = JudgementMetrics(published)
    labels = {gauge._name: gauge._labelnames for gauge in (verdicts.verdict, verdicts.disagreement, PINNED)}
    text = (ROOT / "platform" / "analysis" / f"analysistemplate-{template}.yaml").read_text()
    asked = re.findall(r"\b(monitoring_\w+|inference_\w+)\{([^}]*(?:\{\{[^}]*\}\}[^}]*)*)\}", text)
    assert len(asked) >= 2
    for name, selector in asked:
        given = set(re.findall(r"(\w+)=", selector)) - {"namespace", "service", "rollouts_pod_template_hash"}
        assert given <= set(labels[name])
    for joined in re.findall(r"on \((\w+)\)", text):
        assert joined in {each for name, _ in asked if name in labels for each in labels[name]}
        assert f'"{joined}", "$1", "digest"' in text
    assert "digest" in labels["inference_model_pinned_info"]
