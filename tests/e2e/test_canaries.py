"""What is worse is stopped while few callers see it, and one push brings git back to what serves."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from local_stack.eventually import eventually
from storykit import models
from storykit.askers import Answers, Asked, asking
from storykit.changes import another_title, fails_a_fifth_of_its_calls, is_five_times_slower, pinned
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.rollouts import Looks, looking, rollout_of, serving
from storykit.story import Story, following

STOPPED_S, SETTLED_S, PROPOSED_S, PROMOTED_S = 60, 60.0, 30.0, 240
# Of a few hundred calls chance alone gives a canary more than its weight; so many standard deviations more, never.
CHANCE = 4


def breaks(change: Callable[[Clone], None], clone: Clone) -> str:
    another_title(clone)  # never built before
    change(clone)
    return ""


@dataclass(frozen=True, slots=True)
class Worse:
    """A change that makes a service worse, whether an answer met it, and the metric that must find it."""

    name: str
    service: str
    change: Callable[[Clone], str]
    """Returns the digest by which answers of a model are known; empty for code."""
    metric: str
    labelling: bool = False

    def met(self, answer: Asked, digest: str, canary: str) -> bool:
        """Say whether an answer came from the canary."""
        return answer.digest == digest if digest else answer.revision == canary


FAILING = Worse("gateway that fails a fifth", "gateway", partial(breaks, fails_a_fifth_of_its_calls), "failed-calls")
SLOW = Worse("gateway five times slower", "gateway", partial(breaks, is_five_times_slower), "slow-calls")
CONFUSED = Worse("model that takes digits for others", "inference", models.confused, "labelled-answers", labelling=True)


@pytest.mark.requirement("E2E-040")
@pytest.mark.parametrize(
    "worse",
    [
        pytest.param(FAILING, id="fails a fifth of its calls", marks=pytest.mark.core),
        pytest.param(SLOW, id="is five times slower"),
        pytest.param(CONFUSED, id="takes digits for others", marks=pytest.mark.core),
    ],
)
def test_a_canary_that_is_worse_is_stopped_and_one_push_reverts_it(
    worse: Worse, cluster: Cluster, clone: Clone, story: Story
) -> None:
    with asking(cluster, labelling=worse.labelling) as answers, looking(cluster, worse.service) as looks:
        with story.given("callers, answered by what is committed here"):
            stable = rollout_of(cluster, worse.service).stable.hash
            before = serving(cluster, worse.service, stable)
        with story.when("the change is pushed") as step:
            digest = worse.change(clone)
            clone.commit("Make it worse")
            push = clone.push(on_line=partial(following, step))
        with story.then("the push says that it was aborted, and which measurement it was"):
            assert push.accepted
            assert not push.deployed
            assert f"{worse.service}: the rollout was aborted" in push.output
            assert f"{worse.metric} failed" in push.output
        with story.then("stable serves, untouched"):
            # For a moment its autoscaler may have changed it.
            eventually(lambda: rollout_of(cluster, worse.service).phase == "aborted", within=SETTLED_S, every=1)
            now = rollout_of(cluster, worse.service)
            assert (now.weight, now.stable.hash) == (0, stable)
            kept = serving(cluster, worse.service, stable)
            # Its autoscaler may have added a pod meanwhile, or taken one.
            assert before.keys() & kept.keys()
            assert all(kept.get(name, restarts) == restarts for name, restarts in before.items())
        with story.then("its revert is proposed, and pushed it makes everything healthy") as step:
            proposal = proposed(clone, worse.service)
            apply(clone, proposal)
            back = clone.push(on_line=partial(following, step))
            assert back.deployed, back.output
            eventually(lambda: rollout_of(cluster, worse.service).well, within=SETTLED_S, every=1)
    tell_who_met_it(worse, digest, looks, answers, story)
    story.measured(f"{worse.name}: push of its revert", back.seconds)


def tell_who_met_it(worse: Worse, digest: str, looks: Looks, answers: Answers, story: Story) -> None:
    began, ended = looks.began(), looks.ended()
    story.measured(f"{worse.name}: first weight to no weight", ended - began, target=STOPPED_S)
    during, canary = answers.between(began, ended), looks.canary()
    share = 100 * sum(worse.met(each, digest, canary) for each in during) / len(during)
    weight = looks.heaviest()
    most = weight + CHANCE * math.sqrt(weight * (100 - weight) / len(during))
    name = f"{worse.name}: share of {len(during)} calls that met it meanwhile, at weight {weight}"
    story.measured(name, share, unit="%", target=round(most, 1))
    with story.then("it had weight no longer than promised, and met no more callers than its weight says"):
        assert ended - began <= STOPPED_S
        assert 0 < share <= most


def proposed(clone: Clone, service: str) -> str:
    """Wait for the branch with the revert of main, and return it."""
    branch = f"revert/{service}-{clone.main()[:12]}"
    eventually(lambda: clone.git("ls-remote", clone.remote, f"refs/heads/{branch}"), within=PROPOSED_S, every=0.5)
    return branch


def apply(clone: Clone, branch: str) -> None:
    """Do what `git push sandbox sandbox/revert/...:main` does."""
    main = clone.main()
    clone.git("fetch", "--quiet", clone.remote, branch)
    assert clone.git("merge-base", main, "FETCH_HEAD") == main, "a proposal is on top of main"
    clone.git("reset", "--quiet", "--hard", "FETCH_HEAD")


@pytest.mark.requirement("E2E-041")
def test_a_model_that_is_better_is_promoted(cluster: Cluster, clone: Clone, story: Story) -> None:
    with asking(cluster, labelling=True) as answers, looking(cluster, "inference") as looks:
        with story.given("a model that its record calls less accurate"):
            old = pinned(clone)
            assert cluster.model() == old
        with story.when("the better one is pinned") as step:
            new = models.earlier(clone)
            clone.commit("Pin another model")
            began = time.monotonic()
            push = clone.push(on_line=partial(following, step))
        with story.then("all answers are its"):
            assert push.deployed, push.output
            ended = time.monotonic()
            eventually(lambda: {each.digest for each in answers.between(ended, time.monotonic())} == {new})
    story.measured("better model, push to 100 %", looks.first(lambda each: each.stable.hash == looks.canary()) - began)
    with story.then("weights only grew, every answer named one of both, and none was lost"):
        assert looks.weights()[:-1] == sorted(looks.weights()[:-1])
        assert {each.digest for each in answers.seen} == {old, new}
        assert {each.status for each in answers.seen} == {200}
