"""Canary against stable: promote, abort, or not enough known yet."""

from dataclasses import dataclass
from enum import StrEnum

from monitoring.judging.evidence import Evidence
from monitoring.quality import Proportion


class Verdict(StrEnum):
    """What may be done with a canary; the first conclusive verdict stays."""

    PROMOTE = "promote"
    ABORT = "abort"
    INCONCLUSIVE = "inconclusive"

    @property
    def conclusive(self) -> bool:
        """Whether something has been shown."""
        return self is not Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Limits:
    """What is tolerated, what is refused, and how often a judgement may be wrong about either.

    A canary within `tolerated` is aborted, and one at `refused` or beyond is promoted, with a probability of at most
    `alpha` each. Between the two lies what one does not mind: either verdict may come.
    """

    tolerated: float
    refused: float
    alpha: float

    def __post_init__(self) -> None:
        if not (0 <= self.tolerated <= self.refused < 1 and 0 < self.alpha < 1):
            raise ValueError(f"{self}: needs 0 <= tolerated <= refused < 1 and 0 < alpha < 1")

    @property
    def needed(self) -> float:
        """The evidence from which on a claim counts as refuted."""
        return 1 / self.alpha


class _Judgement:
    """Two claims, each with the evidence against it; the one that is refuted first decides."""

    def __init__(self, limits: Limits, *, harmless: Evidence, harmful: Evidence) -> None:
        self._needed = limits.needed
        self._harmless = harmless
        self._harmful = harmful
        self.verdict = Verdict.INCONCLUSIVE

    @property
    def evidence_for_abort(self) -> float:
        """Evidence against the claim that the canary is within what is tolerated."""
        return self._harmless.value

    @property
    def evidence_for_promote(self) -> float:
        """Evidence against the claim that the canary is at what is refused, or beyond."""
        return self._harmful.value

    def _weigh(self, harm: float, limits: Limits) -> None:
        self._harmless.bet(harm - limits.tolerated)
        self._harmful.bet(limits.refused - harm)
        if self._harmless.value >= self._needed:
            self.verdict = Verdict.ABORT
        elif self._harmful.value >= self._needed:
            self.verdict = Verdict.PROMOTE


class DropJudgement(_Judgement):
    """Judges by how much a share of successes is lower in the canary, from answers that came in any order.

    Answers are compared in blocks, each of which ends as soon as it has one of both sides: what makes all answers
    harder for a while meets both. So the sides need no equal weights, and weights may change on the way.
    """

    def __init__(self, limits: Limits) -> None:
        # The harm of a block lies between -1 and 1.
        super().__init__(
            limits, harmless=Evidence(worst=1 + limits.tolerated), harmful=Evidence(worst=1 - limits.refused)
        )
        self._limits = limits
        self._successes = [0, 0]
        self._trials = [0, 0]
        self._block_successes = [0, 0]
        self._block_trials = [0, 0]

    @property
    def stable(self) -> Proportion:
        """What stable achieved until the verdict."""
        return Proportion(self._successes[False], self._trials[False])

    @property
    def canary(self) -> Proportion:
        """What the canary achieved until the verdict."""
        return Proportion(self._successes[True], self._trials[True])

    def observe(self, *, canary: bool, success: bool) -> Verdict:
        """Take in one answer and return the verdict; after a conclusive one nothing is taken in."""
        if self.verdict.conclusive:
            return self.verdict
        self._trials[canary] += 1
        self._successes[canary] += success
        self._block_trials[canary] += 1
        self._block_successes[canary] += success
        if all(self._block_trials):
            stable_share, canary_share = (
                successes / trials for successes, trials in zip(self._block_successes, self._block_trials, strict=True)
            )
            self._block_successes, self._block_trials = [0, 0], [0, 0]
            self._weigh(stable_share - canary_share, self._limits)
        return self.verdict


class RateJudgement(_Judgement):
    """Judges how often something unwanted happens, such as a shadow that answers otherwise than stable."""

    def __init__(self, limits: Limits) -> None:
        if limits.tolerated == 0:
            raise ValueError("tolerated must be above 0: a single occurrence would refute a rate of 0")
        # The harm of an observation is 0 or 1.
        super().__init__(limits, harmless=Evidence(worst=limits.tolerated), harmful=Evidence(worst=1 - limits.refused))
        self._limits = limits
        self._occurrences = 0
        self._trials = 0

    @property
    def rate(self) -> Proportion:
        """How often it happened until the verdict."""
        return Proportion(self._occurrences, self._trials)

    def observe(self, *, occurred: bool) -> Verdict:
        """Take in one observation and return the verdict; after a conclusive one nothing is taken in."""
        if not self.verdict.conclusive:
            self._trials += 1
            self._occurrences += occurred
            self._weigh(float(occurred), self._limits)
        return self.verdict
