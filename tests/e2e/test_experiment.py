"""Two models beside each other: who is in which arm stays there, whatever is released meanwhile."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import pytest
from local_stack.eventually import eventually
from storykit import models
from storykit.askers import Answers, Asked, asking
from storykit.changes import a_treatment, another_title, arms, pinned
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.judged import arms_judged
from storykit.rollouts import abort, retry, rollout_of, serving
from storykit.story import Story, following

EXPERIMENT, SHARES = "story", "control=50,treatment=50"
# In each of two threads. The same callers every time, so their hash gives the same share: 47 % are in treatment.
CALLERS, POINTS = 30, 10.0
CALLS_OF_EACH = 5
SETTLED_S, RECENT_S, RECORDED_S = 60.0, 5.0, 60.0
# Argo Rollouts keeps the pods of what was aborted for a minute.
GONE_S, STARTED_S = 120.0, 120.0


@pytest.mark.timeout(1800)  # three pushes, an abort and its retry
@pytest.mark.requirement("E2E-044")
def test_callers_keep_their_arm_and_its_model_through_a_release_of_the_gateway_and_are_never_refused(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    old = pinned(clone)
    with asking(cluster, each=CALLERS, labelling=True) as answers:
        with story.given("arms and a model for one of them, in one push; by weight it answers no call") as step:
            a_treatment(clone)
            new = models.twin(clone)
            arms(clone, EXPERIMENT, SHARES)
            hold(cluster, clone, partial(following, step))
        with story.given("each arm is answered by its own model"):
            models_of_arms = {("control", old), ("treatment", new)}
            eventually(lambda: answered(recent(answers)) == models_of_arms, within=SETTLED_S, every=1.0)
            began, since = time.monotonic(), datetime.now(UTC).isoformat()
        with story.when("another gateway replaces the one that runs") as step:
            another_title(clone)
            hold(cluster, clone, partial(following, step))
            seen = answers.between(began, time.monotonic())
        with story.then("both gateways put every caller into the same arm, and each arm met its own model alone"):
            assert len({each.revision for each in seen}) == 2, "the old gateway and the new one"
            assert answered(seen) == models_of_arms
            tell_arms(seen, story)
        with story.then("how the arms compare can be asked for, with intervals"):
            tell_results(cluster, since)
        tell_an_abort_and_its_retry(cluster, story, answers, old, new)
        with story.when("the experiment is taken back while the model is still held") as step:
            clone.reset()
            back = clone.push(on_line=partial(following, step))
        with story.then("nothing was in its way: one model answers, and nobody is in an arm"):
            assert back.deployed, back.output
            assert rollout_of(cluster, "inference").phase == "healthy"
            eventually(lambda: answered(recent(answers)) == {("", old)}, within=SETTLED_S, every=1.0)
    story.measured("end of an experiment, push to its end", back.seconds)
    with story.then("no call was lost"):
        assert {each.status for each in answers.seen} == {200}


def tell_an_abort_and_its_retry(cluster: Cluster, story: Story, answers: Answers, old: str, new: str) -> None:
    """Stable answers both arms, with the canary's pods and without them; the retry starts a pod under their calls."""
    both = {("control", old), ("treatment", old)}
    canary = rollout_of(cluster, "inference").canary
    assert canary
    with story.when("the model of the treatment is aborted"):
        aborted = time.monotonic()
        abort(cluster, "inference")
        eventually(lambda: answered(heard(answers, last(answers, new))) == both, within=SETTLED_S)
        story.measured("abort to the last answer of the treatment's model", last(answers, new) - aborted)
    with story.then("its callers are answered by stable, and still are when its pods are gone"):
        eventually(lambda: not serving(cluster, "inference", canary.hash), within=GONE_S, every=1.0)
        gone = time.monotonic()
        eventually(lambda: answered(heard(answers, gone)) == both, within=SETTLED_S)
    with story.when("it is tried again"):
        retry(cluster, "inference")
        arms_differ = {("control", old), ("treatment", new)}
        eventually(lambda: answered(recent(answers)) == arms_differ, within=STARTED_S, every=1.0)
    with story.then("its pod has started under the calls of its arm, and nobody was refused"):
        assert rollout_of(cluster, "inference").phase == "held"
        assert {each.status for each in answers.between(aborted, time.monotonic())} == {200}


def hold(cluster: Cluster, clone: Clone, on_line: "partial[None]") -> None:
    """Push what was changed; it is deployed, and the canary of inference is or stays held."""
    clone.commit("Change the experiment")
    push = clone.push(on_line=on_line)
    assert push.deployed, push.output
    assert "inference: its canary is held at 0 %" in push.output
    held = rollout_of(cluster, "inference")
    assert (held.phase, held.weight) == ("held", 0)


def recent(answers: Answers) -> list[Asked]:
    now = time.monotonic()
    return answers.between(now - RECENT_S, now)


def heard(answers: Answers, since: float) -> list[Asked]:
    """Return what was answered after a time, once every caller has heard something."""
    seen = [each for each in list(answers.seen) if each.at > since]
    return seen if len({each.caller for each in seen}) == 2 * CALLERS else []


def last(answers: Answers, digest: str) -> float:
    """Return when a model gave its last answer so far."""
    return max(each.at for each in list(answers.seen) if each.digest == digest)


def answered(seen: Iterable[Asked]) -> set[tuple[str, str]]:
    """Return which model answered which arm."""
    return {(each.arm, each.digest) for each in seen}


def tell_arms(seen: list[Asked], story: Story) -> None:
    callers: dict[str, list[str]] = {}
    for each in seen:
        callers.setdefault(each.caller, []).append(each.arm)
    assert len(callers) == 2 * CALLERS
    assert min(map(len, callers.values())) >= CALLS_OF_EACH
    assert {caller for caller, met in callers.items() if len(set(met)) > 1} == set()
    share = 100 * sum(met[0] == "treatment" for met in callers.values()) / len(callers)
    story.measured("callers in treatment", share, unit="%", target=50)
    story.measured("calls of the caller who called least, through a release", min(map(len, callers.values())), unit="")
    assert abs(share - 50) <= POINTS


def tell_results(cluster: Cluster, since: str) -> None:
    def results() -> list[dict[str, float]]:
        judged = arms_judged(cluster, EXPERIMENT, since=since)
        assert judged["verdict"] != "abort", judged
        sides = [judged["stable"], judged["canary"]]
        return sides if all(side["trials"] for side in sides) else []

    for side in eventually(results, within=RECORDED_S, every=2.0):
        assert 0 <= side["lower"] <= side["value"] <= side["upper"] <= 1
        assert side["lower"] < side["upper"]
