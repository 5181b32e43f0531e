"""The mathematics of judging: how often it errs, how soon it knows, and what makes it valid."""

from collections.abc import Sequence
from itertools import product
from math import prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monitoring.judgements import Trail
from monitoring.judging.simulation import DropScenario, RateScenario, simulate
from monitoring.judging.verdicts import DropJudgement, Limits, RateJudgement, Verdict

shares = st.floats(0, 1)
sizes = st.tuples(st.integers(1, 3), st.just(1)) | st.tuples(st.just(1), st.integers(1, 3))
blocks = sizes.flatmap(
    lambda each: st.tuples(*(st.lists(st.booleans(), min_size=size, max_size=size) for size in each))
)
# What stable's and the canary's answers were between two comparisons.
Block = tuple[Sequence[bool], Sequence[bool]]
limits = st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)).map(lambda pair: Limits(min(pair), max(pair), alpha=0.01))
USUAL = Limits(tolerated=0.01, refused=0.05, alpha=0.01)
NEVER_PROMOTED = Limits(tolerated=0.0, refused=0.0, alpha=0.01)
AT_THE_LIMIT = Limits(tolerated=0.01, refused=0.01, alpha=0.01)


@pytest.mark.requirement("MONITORING-024")
@pytest.mark.parametrize(
    "scenario",
    [
        DropScenario("equal, asked after each of 1,000 answers", 0.95, 0.95, NEVER_PROMOTED, weight=0.5, longest=1000),
        DropScenario("equal, a tenth of the calls", 0.95, 0.95, NEVER_PROMOTED, longest=1000),
        DropScenario("a coin", 0.5, 0.5, NEVER_PROMOTED, weight=0.3, longest=1000),
        DropScenario("as much worse as is tolerated", 0.95, 0.94, AT_THE_LIMIT, weight=0.5, longest=1000),
        RateScenario("disagrees as often as is tolerated", 0.02, Limits(0.02, 0.02, alpha=0.01), longest=1000),
    ],
    ids=lambda scenario: scenario.name,
)
def test_a_canary_within_what_is_tolerated_is_aborted_in_at_most_one_of_a_hundred_runs(
    scenario: DropScenario | RateScenario,
) -> None:
    """Nothing ends these runs early by promoting, so each is asked for a verdict to its end."""
    assert simulate(scenario, runs=1000, seed=20).verdicts[Verdict.ABORT] <= 10


@pytest.mark.requirement("MONITORING-025")
@pytest.mark.parametrize(
    "scenario",
    [
        DropScenario("worse by five points", 0.95, 0.90, USUAL),
        RateScenario("disagrees in 5 %", 0.05, Limits(0.02, 0.05, alpha=0.01)),
    ],
    ids=lambda scenario: scenario.name,
)
def test_a_canary_at_what_is_refused_is_rarely_promoted(scenario: DropScenario | RateScenario) -> None:
    """At most 1 in 100 in the long run; more than 8 of 300 would happen by chance in 1 of 300 series at that rate."""
    summary = simulate(scenario, runs=300, seed=20)
    assert summary.verdicts[Verdict.PROMOTE] <= 8
    assert summary.verdicts[Verdict.ABORT] >= 290


@pytest.mark.requirement("MONITORING-026")
@pytest.mark.parametrize(
    ("scenario", "verdict", "most"),
    [
        (DropScenario("equal", 0.95, 0.95, USUAL), Verdict.PROMOTE, 1200),
        (DropScenario("worse by five points", 0.95, 0.90, USUAL), Verdict.ABORT, 1600),
        (DropScenario("worse by twenty points", 0.95, 0.75, USUAL), Verdict.ABORT, 150),
        (DropScenario("a fifth fails", 0.999, 0.8, USUAL), Verdict.ABORT, 120),
        (RateScenario("disagrees in a fifth", 0.2, Limits(0.02, 0.05, alpha=0.01)), Verdict.ABORT, 50),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_is_clear_is_known_soon(scenario: DropScenario | RateScenario, verdict: Verdict, most: int) -> None:
    summary = simulate(scenario, runs=100, seed=20)
    assert summary.verdicts[verdict] >= 97
    assert summary.ninth_decile <= most


@pytest.mark.requirement("MONITORING-024", "MONITORING-025")
@given(limits=limits, past=st.lists(blocks, max_size=8), shares=st.tuples(shares, shares), sizes=sizes)
@settings(deadline=None)
def test_while_a_claim_holds_no_block_is_expected_to_add_evidence_against_it(
    limits: Limits, past: list[Block], shares: tuple[float, float], sizes: tuple[int, int]
) -> None:
    """What Ville's inequality asks for, exactly: after any past, over all that a block of answers may bring."""
    before = judged(limits, past)
    stable, canary = shares
    for_abort = for_promote = 0.0
    for block in product(*(product([False, True], repeat=size) for size in sizes)):
        chance = chance_of(block[0], stable) * chance_of(block[1], canary)
        after = judged(limits, [*past, (block[0], block[1])])
        for_abort += chance * after.evidence_for_abort
        for_promote += chance * after.evidence_for_promote
    if stable - canary <= limits.tolerated:
        assert for_abort <= before.evidence_for_abort * (1 + 1e-9)
    if stable - canary >= limits.refused:
        assert for_promote <= before.evidence_for_promote * (1 + 1e-9)


@pytest.mark.requirement("MONITORING-024", "MONITORING-025")
@given(limits=limits, past=st.lists(st.booleans(), max_size=20), rate=shares)
@settings(deadline=None)
def test_while_a_claim_holds_no_pair_is_expected_to_add_evidence_against_it(
    limits: Limits, past: list[bool], rate: float
) -> None:
    assume(limits.tolerated > 0.001)
    before, occurred, did_not = (rated(limits, each) for each in (past, [*past, True], [*past, False]))
    if rate <= limits.tolerated:
        expected = rate * occurred.evidence_for_abort + (1 - rate) * did_not.evidence_for_abort
        assert expected <= before.evidence_for_abort * (1 + 1e-9)
    if rate >= limits.refused:
        expected = rate * occurred.evidence_for_promote + (1 - rate) * did_not.evidence_for_promote
        assert expected <= before.evidence_for_promote * (1 + 1e-9)


def judged(limits: Limits, blocks: list[Block]) -> DropJudgement:
    judgement = DropJudgement(limits)
    for of_stable, of_canary in blocks:
        # The side with more answers comes first: a block ends as soon as it has one of both.
        for canary, answers in sorted(enumerate((of_stable, of_canary)), key=lambda side: -len(side[1])):
            for success in answers:
                judgement.observe(canary=bool(canary), success=success)
    return judgement


def rated(limits: Limits, occurrences: list[bool]) -> RateJudgement:
    judgement = RateJudgement(limits)
    for occurred in occurrences:
        judgement.observe(occurred=occurred)
    return judgement


def chance_of(answers: Sequence[bool], share: float) -> float:
    return prod(share if success else 1 - share for success in answers)


@pytest.mark.requirement("MONITORING-027")
@given(answers=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=100))
@settings(deadline=None)
def test_a_judgement_is_the_same_however_often_one_looks_and_its_verdict_stays(
    answers: list[tuple[bool, bool]],
) -> None:
    quick = Limits(tolerated=0.0, refused=0.3, alpha=0.2)
    looked_at, decided = DropJudgement(quick), None
    for number, (canary, success) in enumerate(answers, start=1):
        looked_at.observe(canary=canary, success=success)
        seen = state(looked_at)
        again = DropJudgement(quick)
        for each_canary, each_success in answers[:number]:
            again.observe(canary=each_canary, success=each_success)
        assert state(again) == seen
        assert decided in (None, seen)
        decided = seen if looked_at.verdict.conclusive else None


def state(judgement: DropJudgement) -> tuple[object, ...]:
    evidence = judgement.evidence_for_abort, judgement.evidence_for_promote
    return judgement.verdict, judgement.stable, judgement.canary, *evidence


@pytest.mark.parametrize(
    "numbers", [(-0.01, 0.05, 0.01), (0.06, 0.05, 0.01), (0.0, 1.0, 0.01), (0.0, 0.1, 0.0), (0.0, float("nan"), 0.01)]
)
def test_limits_that_make_no_sense_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="needs 0 <= tolerated"):
        Limits(*numbers)


def test_a_rate_of_nothing_cannot_be_tolerated() -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateJudgement(Limits(0.0, 0.1, alpha=0.01))


def test_a_trail_stays_short_and_ends_with_the_verdict() -> None:
    trail, judgement = Trail(most=20), DropJudgement(Limits(0.01, 0.05, 0.01))
    for number in range(3000):
        verdict = judgement.observe(canary=number % 2 == 0, success=True)
        trail.note(judgement, judgement.canary.trials)
        if verdict.conclusive:
            break
    assert len(trail.points) <= 20
    assert trail.points[-1] == (judgement.canary.trials, judgement.evidence_for_abort, judgement.evidence_for_promote)
    assert trail.points == sorted(trail.points)
