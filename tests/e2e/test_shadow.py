"""A model that answers copies alone: when it crashes, nobody notices but whoever judges it."""

import time
from functools import partial
from statistics import median
from typing import Any

import pytest
from delivery.rollouts.told import reasons
from local_stack.eventually import eventually
from storykit import models
from storykit.askers import Asked, asking
from storykit.changes import a_shadow, pinned
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.judged import shadow_judged
from storykit.pods import crash
from storykit.rollouts import rollout_of, serving
from storykit.story import Story, following

# Two calls a second: 144 answers alike would be a verdict for the shadow, which stays; this leaves time to crash it.
PAUSE_S, ENOUGH = 0.5, 20
COMPARED_S, JUDGED_S, ABORTED_S = 60.0, 120.0, 180.0
# Who waited for the shadow would wait a second for it, some fifty times what a call takes here.
SLOWER = 5.0


@pytest.mark.timeout(1800)  # two pushes, and a third that brings back what was there
@pytest.mark.requirement("E2E-045")
def test_a_shadow_that_crashes_costs_callers_nothing_and_counts_as_disagreeing(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    old = pinned(clone)
    with story.given("a gateway that sends copies of what callers ask, while there is nobody else to answer") as step:
        a_shadow(clone)
        clone.commit("Ask a shadow")
        push = clone.push(on_line=partial(following, step))
        assert push.deployed, push.output
    with story.given("a shadow with a model that answers as stable's does") as step:
        new = models.twin(clone)
        clone.commit("Let a twin be the shadow")
        push = clone.push(on_line=partial(following, step))
        assert push.deployed, push.output
        assert "inference: its canary is held at 0 %" in push.output
        canary = rollout_of(cluster, "inference").canary
        assert canary
        [pod] = serving(cluster, "inference", canary.hash)
    with asking(cluster, threads=1, pause=PAUSE_S) as answers:
        with story.given("answers that were compared, and were the same"):
            began = time.monotonic()
            alike = eventually(lambda: compared(cluster, old, new), within=COMPARED_S, every=1.0)
            assert (alike["disagreements"]["successes"], alike["verdict"]) == (0, "inconclusive")
        with story.when("the shadow's process crashes again and again"):
            crashed = time.monotonic()
            crash_until_judged(cluster, pod, old, new)
            crashes = serving(cluster, "inference", canary.hash)[pod]
            assert crashes
        with story.then("each answer that is missing is a disagreement, and there is no other"):
            judged = shadow_judged(cluster, old, new)
            assert judged["shadow_failed"] == judged["disagreements"]["successes"] > 0
            assert [each for each in judged["tensors"] if each["differed"]] == []
        with story.then("its rollout is aborted for that, and stable keeps all calls"):
            eventually(lambda: rollout_of(cluster, "inference").phase == "aborted", within=ABORTED_S, every=1.0)
            assert any("compared-answers failed" in each for each in reasons(rollout_of(cluster, "inference")))
            assert rollout_of(cluster, "inference").weight == 0
        ended = time.monotonic()
    story.measured("crashes until the verdict", crashes, unit="crashes")
    story.measured("crash to the abort", ended - crashed)
    with story.then("callers lost nothing, met stable's model alone, and did not wait for the shadow"):
        assert {(each.status, each.digest) for each in answers.seen} == {(200, old)}
        before, during = (typical(answers.between(*times)) for times in ((began, crashed), (crashed, ended)))
        story.measured("a call while the shadow crashes, against before", during / before, unit="times", target=SLOWER)
        assert during <= SLOWER * before


def compared(cluster: Cluster, stable: str, shadow: str) -> Any:
    """Return the judgement once enough answers were compared."""
    judged = shadow_judged(cluster, stable, shadow)
    return judged if judged["disagreements"]["trials"] >= ENOUGH else None


def crash_until_judged(cluster: Cluster, pod: str, stable: str, shadow: str) -> None:
    """End the processes of a pod whenever they run, until there is a verdict against it."""

    def judged() -> bool:
        crash(cluster, pod, "inference")
        return bool(shadow_judged(cluster, stable, shadow)["verdict"] == "abort")

    eventually(judged, within=JUDGED_S, every=2.0)


def typical(seen: list[Asked]) -> float:
    """Return what a call takes in the middle, in milliseconds."""
    return median(each.milliseconds for each in seen)
