"""Judging a canary by the labels of what it and stable answered, or by how its answers differ from stable's."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from service_runtime.errors import InvalidInput, Violation

from monitoring.comparisons import Pair, TensorFigures, disagreements, failures, tensor_figures
from monitoring.judging.verdicts import DropJudgement, Limits, RateJudgement
from monitoring.outcomes import beginning, outcomes
from monitoring.sources import PARTS, Source, sources


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
        stable, canary = (
            {number for number, source in known.items() if value_of(source) == wanted}
            for wanted in (self.stable, self.canary)
        )
        if len({known[number].name for number in stable | canary}) > 1:
            problem = f"must be given: several models bear this {self.by}"
            raise InvalidInput(f"model {problem}.", violations=(Violation("model", problem),))
        return stable, canary


@dataclass(frozen=True, slots=True)
class AccuracyJudged:
    """The judgement, and since when it compares (None: the canary has made no call yet)."""

    judgement: DropJudgement
    since: int | None


def judge_accuracy(connection: sqlite3.Connection, sides: Sides, limits: Limits) -> AccuracyJudged:
    """Read the labelled calls of both sides in the order of their labels, until they decide."""
    judgement = DropJudgement(limits)
    stable, canary = sides.pick(sources(connection, name=sides.model))
    if not canary:
        return AccuracyJudged(judgement, sides.since)
    began_at, began_after = beginning(connection, min(canary))  # of its sources the one that was recorded first
    since = began_at if sides.since is None else sides.since
    for _, source, success in outcomes(connection, stable | canary, made_since=since, after=began_after):
        if judgement.observe(canary=source in canary, success=bool(success)).conclusive:
            break
    return AccuracyJudged(judgement, since)


@dataclass(frozen=True, slots=True)
class DisagreementJudged:
    """The judgement, and what the disagreements were that it took in."""

    judgement: RateJudgement
    shadow_failed: int
    labels_differed: int
    tensors: list[TensorFigures]


def judge_disagreement(connection: sqlite3.Connection, pair: Pair, limits: Limits) -> DisagreementJudged:
    """Read the comparisons of a pair in the order in which they came, until they decide."""
    judgement, until = RateJudgement(limits), 0
    for until, disagreed in disagreements(connection, pair):  # noqa: B007 - where it ended is used below
        if judgement.observe(occurred=disagreed).conclusive:
            break
    failed, labels = failures(connection, pair, until=until)
    return DisagreementJudged(judgement, failed, labels, tensor_figures(connection, pair, until=until))
