"""Judging a canary by the labels of what it and stable answered, or by how its answers differ from stable's."""

import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service_runtime.errors import InvalidInput, Violation

from monitoring.comparisons import Pair, TensorFigures, disagreements, failures, tensor_figures
from monitoring.judging.verdicts import DropJudgement, Limits, RateJudgement, Verdict
from monitoring.outcomes import beginning, outcomes
from monitoring.rows import MICROSECONDS
from monitoring.sources import PARTS, Source, sources

OTHERS = "others"
"""In place of stable: whoever else answers for this model. A rollout knows which digest is new, not which runs."""
_RECENT_S = 60
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Sides:
    """Two digests, revisions or arms (`by`) of one model, and from when on calls are compared.

    Without `since` that is the canary's first call. It must not move while a canary is judged: evidence is worth what
    it says only if nobody chose where it begins after having seen it.
    """

    by: str
    stable: str
    canary: str
    model: str = ""
    since: int | None = None

    def pick(self, known: Mapping[int, Source]) -> tuple[set[int], set[int]]:
        """Return the ids of stable's and of the canary's sources."""
        value_of = PARTS[self.by]
        canary = {number for number, source in known.items() if value_of(source) == self.canary}
        names = {known[number].name for number in canary}
        if self.stable == OTHERS:
            stable = {number for number, source in known.items() if source.name in names} - canary
        else:
            stable = {number for number, source in known.items() if value_of(source) == self.stable}
        if len({known[number].name for number in stable | canary}) > 1:
            problem = f"must be given: several models bear this {self.by}"
            raise InvalidInput(f"model {problem}.", violations=(Violation("model", problem),))
        return stable, canary


class Trail:
    """How evidence grew while a judgement read: few enough points to draw, however much it read."""

    def __init__(self, most: int = 200) -> None:
        self.points: list[tuple[int, float, float]] = []
        self._most = most
        self._stride = 1
        self._seen = 0

    def note(self, judgement: DropJudgement | RateJudgement, trials: int) -> None:
        """Remember what the evidence for abort and for promote is after so many trials."""
        self._seen += 1
        if self._seen % self._stride and not judgement.verdict.conclusive:
            return
        self.points.append((trials, judgement.evidence_for_abort, judgement.evidence_for_promote))
        if len(self.points) > self._most:
            self.points = self.points[(len(self.points) - 1) % 2 :: 2]
            self._stride *= 2


@dataclass(frozen=True, slots=True)
class AccuracyJudged:
    """The judgement, and since when it compares (None: the canary has made no call yet)."""

    judgement: DropJudgement
    since: int | None
    alone: bool = False
    """Whether nobody else answers, so that there is nothing to compare with."""

    @property
    def verdict(self) -> Verdict:
        """What may be done: a rollout that leaves the model as it is needs no labels."""
        return Verdict.PROMOTE if self.alone else self.judgement.verdict


def judge_accuracy(
    connection: sqlite3.Connection, sides: Sides, limits: Limits, trail: Trail | None = None
) -> AccuracyJudged:
    """Read the labelled calls of both sides in the order of their labels, until they decide."""
    judgement = DropJudgement(limits)
    stable, canary = sides.pick(sources(connection, name=sides.model))
    if not canary:
        return AccuracyJudged(judgement, sides.since)
    if sides.stable == OTHERS and _is_alone(connection, canary, stable):
        return AccuracyJudged(judgement, sides.since, alone=True)
    began_at, began_after = beginning(connection, min(canary))  # of its sources the one that was recorded first
    since = began_at if sides.since is None else sides.since
    for _, source, success in outcomes(connection, stable | canary, made_since=since, after=began_after):
        verdict = judgement.observe(canary=source in canary, success=bool(success))
        if trail is not None:
            trail.note(judgement, judgement.canary.trials)
        if verdict.conclusive:
            break
    return AccuracyJudged(judgement, since)


def _is_alone(connection: sqlite3.Connection, canary: Iterable[int], others: Iterable[int]) -> bool:
    """Say whether all recent calls are the canary's, and enough that at any weight the others would have had some."""
    calls: dict[int, int] = dict(
        connection.execute(
            "SELECT model_id, count(*) FROM predictions WHERE made_at >= ? GROUP BY model_id",
            (int((time.time() - _RECENT_S) * MICROSECONDS),),
        ).fetchall()
    )
    return sum(calls.get(each, 0) for each in canary) >= _ENOUGH and not any(calls.get(each) for each in others)


@dataclass(frozen=True, slots=True)
class DisagreementJudged:
    """The judgement, and what the disagreements were that it took in."""

    judgement: RateJudgement
    shadow_failed: int
    labels_differed: int
    tensors: list[TensorFigures]


def judge_disagreement(
    connection: sqlite3.Connection, pair: Pair, limits: Limits, trail: Trail | None = None
) -> DisagreementJudged:
    """Read the comparisons of a pair in the order in which they came, until they decide."""
    judgement, until = RateJudgement(limits), 0
    for until, disagreed in disagreements(connection, pair):  # noqa: B007 - where it ended is used below
        verdict = judgement.observe(occurred=disagreed)
        if trail is not None:
            trail.note(judgement, judgement.rate.trials)
        if verdict.conclusive:
            break
    failed, labels = failures(connection, pair, until=until)
    return DisagreementJudged(judgement, failed, labels, tensor_figures(connection, pair, until=until))
