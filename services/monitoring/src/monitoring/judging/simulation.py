"""What the judgements do to canaries whose truth is known."""

import random
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from monitoring.judging.verdicts import DropJudgement, Limits, RateJudgement, Verdict


@dataclass(frozen=True, slots=True)
class Run:
    """How one simulated canary ended, and after how many observations of the canary."""

    verdict: Verdict
    canary_observations: int


@dataclass(frozen=True, slots=True)
class DropScenario:
    """A stable and a canary with true shares of successes; the judgement is asked after every answer."""

    name: str
    stable: float
    canary: float
    limits: Limits
    weight: float = 0.1
    longest: int = 40_000

    def run(self, source: random.Random) -> Run:
        """Let answers come until there is a verdict, or for `longest` answers."""
        judgement = DropJudgement(self.limits)
        for _ in range(self.longest):
            canary = source.random() < self.weight
            success = source.random() < (self.canary if canary else self.stable)
            if judgement.observe(canary=canary, success=success).conclusive:
                break
        return Run(judgement.verdict, judgement.canary.trials)


@dataclass(frozen=True, slots=True)
class RateScenario:
    """Pairs of answers that truly disagree at a rate; the judgement is asked after every pair."""

    name: str
    rate: float
    limits: Limits
    longest: int = 20_000

    def run(self, source: random.Random) -> Run:
        """Let pairs come until there is a verdict, or `longest` pairs."""
        judgement = RateJudgement(self.limits)
        for _ in range(self.longest):
            if judgement.observe(occurred=source.random() < self.rate).conclusive:
                break
        return Run(judgement.verdict, judgement.rate.trials)


Scenario = DropScenario | RateScenario


@dataclass(frozen=True, slots=True)
class Summary:
    """What many runs of a scenario came to."""

    verdicts: Counter[Verdict]
    median: int
    ninth_decile: int


def simulate(scenario: Scenario, *, runs: int, seed: int) -> Summary:
    """Run a scenario again and again; the same seed gives the same summary."""
    source = random.Random(f"{seed} {scenario.name}")  # noqa: S311 - repeatable on purpose
    ended = [scenario.run(source) for _ in range(runs)]
    needed = [run.canary_observations for run in ended]
    deciles = statistics.quantiles(needed, n=10) if runs > 1 else needed * 9
    return Summary(Counter(run.verdict for run in ended), int(statistics.median(needed)), int(deciles[-1]))


def scenarios() -> Iterator[Scenario]:
    """Yield what the table in docs/judgements.md shows."""
    usual = Limits(tolerated=0.01, refused=0.05, alpha=0.01)
    strict = Limits(tolerated=0.0, refused=0.0, alpha=0.01)
    yield DropScenario("equal, never promoted, 10,000 looks", 0.95, 0.95, strict, weight=0.5, longest=10_000)
    yield DropScenario("at what is tolerated, never promoted", 0.95, 0.94, Limits(0.01, 0.01, 0.01), longest=10_000)
    yield DropScenario("equal", 0.95, 0.95, usual)
    yield DropScenario("better by 2 points", 0.95, 0.97, usual)
    yield DropScenario("worse by 1 point: tolerated", 0.95, 0.94, usual)
    yield DropScenario("worse by 3 points: in between", 0.95, 0.92, usual)
    yield DropScenario("worse by 5 points: refused", 0.95, 0.90, usual)
    yield DropScenario("worse by 20 points", 0.95, 0.75, usual)
    yield DropScenario("worse by 20 points, half of the calls", 0.95, 0.75, usual, weight=0.5)
    yield DropScenario("no errors, either", 1.0, 1.0, usual)
    yield DropScenario("20 % errors", 0.999, 0.8, usual)
    differing = Limits(tolerated=0.02, refused=0.05, alpha=0.01)
    yield RateScenario("disagrees in 1 %", 0.01, differing)
    yield RateScenario("disagrees in 2 %: tolerated", 0.02, differing)
    yield RateScenario("disagrees in 5 %: refused", 0.05, differing)
    yield RateScenario("disagrees in 20 %", 0.2, differing)
