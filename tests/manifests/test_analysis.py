"""Canaries whose truth is known, judged by the very queries and conditions of platform/analysis: how often they err."""

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np
import pytest
import yaml
from local_stack.settings import ROOT

pytestmark = pytest.mark.requirement("CANARY-004")

CANARIES = 1000
LOOKS, WINDOW = 36, 60
SIDES = ("stable", "canary")
BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
"""The gateway's buckets."""
COUNTS = {"calls": 1, "failures": 1, "buckets": len(BOUNDS)}


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
        except NoData:
            found = []
        held = {"result": found, "len": len}
        if eval(self.failure, held):  # noqa: S307
            return "failed"
        return "successful" if eval(self.success, held) else "inconclusive"  # noqa: S307


def as_python(query: str) -> str:
    """Turn a query into Python: what it adds up over the window becomes the name of a number, functions are ours."""
    query = re.sub(r"\{\{args\.(\w+)\}\}", r"<\1>", " ".join(query.split()))
    query = re.sub(r"version:(\w+):rate\{([^}]*)\}", counted, query)
    query = re.sub(r"\( (\w+_stable) and on \(\) calls_canary \)", r"\1", query)  # in the time of the canary
    query = re.sub(r"sum(?: by \(le\) )?\(sum_over_time\( ?(\w+)\[<window>:1s\] ?\)\)", r"\1", query)
    query = re.sub(r"^(.*) and on \(\) (\w+) >= (\d+)$", r"at_least(\2, \3) and (\1)", query)
    query = re.sub(r"\((\w+) >= (\d+)\)", r"at_least(\1, \2)", query)
    return query.replace("scalar(", "(").replace("^", "**")


def counted(selector: re.Match[str]) -> str:
    name, labels = selector.groups()
    side = "canary" if "<canary>" in labels else "stable"
    assert f'namespace="<namespace>", rollouts_pod_template_hash="<{side}>"' in labels
    if name == "call_duration_bucket":
        return f"calls_{side}" if 'le="+Inf"' in labels else f"buckets_{side}"
    return {"calls": "calls", "failed_calls": "failures"}[name] + f"_{side}"


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
    burst: frozenset[int] = frozenset()
    """Looks before which half of all calls failed and the others took five times as long, whoever answered them."""


def looks(world: World, random: np.random.Generator, number: int) -> Iterator[dict[str, Any]]:
    """Yield what Prometheus counted since the first weight or in the window, every five seconds."""
    total = {f"{name}_{side}": np.zeros(size) for side in SIDES for name, size in COUNTS.items()}
    since = deque([dict(total)], maxlen=WINDOW + 1)
    cold = world.cold
    for look in range(number):
        bad = look in world.burst
        for side, share in zip(SIDES, (1 - world.weight, world.weight), strict=True):
            calls = int(random.poisson(world.calls_per_second * 5 * share))
            failing = world.failing
            took = 0.02 * np.exp(world.spread * random.standard_normal(calls)) * (5 if bad else 1)
            if side == "canary":
                failing = failing if world.canary_failing is None else world.canary_failing
                took *= world.canary_slower
                took[:cold] *= 10
                cold = max(0, cold - calls)
            failures = random.binomial(calls, 0.5 if bad else failing)
            buckets = np.bincount(np.searchsorted(BOUNDS, took), minlength=len(BOUNDS))
            for name, count in (("calls", calls), ("failures", failures), ("buckets", buckets)):
                total[f"{name}_{side}"] = total[f"{name}_{side}"] + count
        since.append(dict(total))
        window = {name: count - since[0][name] for name, count in total.items()}
        yield {name: count if len(count) > 1 else float(count[0]) for name, count in window.items()}


WATCHED = [Metric.read("failures", "failed-calls"), Metric.read("slow-calls", "slow-calls")]
GATE = [Metric.read("evidence", "failed-calls"), Metric.read("evidence", "slow-calls")]


@dataclass(frozen=True)
class Outcome:
    """After how many looks a canary was aborted, or let through; None: neither."""

    aborted: int | None
    passed: int | None


def judged(world: World, random: np.random.Generator, *, until_passed: bool, number: int) -> Outcome:
    """Judge one canary as a rollout does: aborted by whatever fails first, on its way once all of the gate passed."""
    lacking = list(GATE)
    for look, values in enumerate(looks(world, random, number), start=1):
        if any(metric.verdict(values) == "failed" for metric in WATCHED):
            return Outcome(look, None)
        lacking = [metric for metric in lacking if metric.verdict(values) != "successful"]
        if not lacking and until_passed:
            return Outcome(None, look)
    return Outcome(None, None if lacking else number)


def outcomes(
    world: World, *, canaries: int = CANARIES, until_passed: bool = True, number: int = LOOKS
) -> list[Outcome]:
    random = np.random.default_rng(20260131)
    return [judged(world, random, until_passed=until_passed, number=number) for _ in range(canaries)]


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


@pytest.mark.parametrize("looks", [range(2, 6), range(30, 42)], ids=["early, twenty seconds", "later, a minute"])
def test_what_goes_wrong_for_both_stops_no_canary_neither_then_nor_when_it_is_over(looks: range) -> None:
    """Looked at for ten minutes, twice as long as anything is remembered."""
    found = outcomes(World(burst=frozenset(looks)), canaries=200, until_passed=False, number=120)
    assert [each for each in found if each.aborted] == []


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
    assert sum(seconds <= 50 for seconds in stopped) >= 0.97 * CANARIES
    print(f"{world}: stopped after {np.median(stopped):g} s in the middle, {np.percentile(stopped, 99):g} s at most")


@pytest.mark.parametrize("steps", ["steps-short", "steps-gradual"])
@pytest.mark.parametrize("asks_for", ["", "predict"], ids=["any call", "a picture"])
def test_where_nobody_calls_the_job_gives_the_calls_that_its_step_asks_for(steps: str, asks_for: str) -> None:
    """Preprocessing is called for pictures alone."""
    patch = yaml.safe_load((ROOT / "platform" / "components" / steps / "patch-steps.yaml").read_text())
    first, analysis, *_ = patch["spec"]["strategy"]["canary"]["steps"]
    (name,) = [each["value"] for each in analysis["analysis"]["args"] if each["name"] == "profile"]
    profile = yaml.safe_load((ROOT / "loadtests" / "profiles" / f"{name}.yaml").read_text())
    share = sum(part for kind, part in profile["mix"].items() if asks_for in kind) / sum(profile["mix"].values())
    rate = profile["stages"][-1]["users"] * profile["requests_per_user_second"] * share
    seconds = sum(stage["seconds"] for stage in profile["stages"])
    world = World(calls_per_second=rate, weight=first["setWeight"] / 100)
    found = outcomes(world, canaries=200, number=seconds // 5)
    passed = [each.passed * 5 for each in found if each.passed]
    assert len(passed) >= 0.98 * len(found)
    print(
        f"{name}, {asks_for}: {len(passed)} of {len(found)} passed, {np.median(passed):g} of {seconds} s in the middle"
    )


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
