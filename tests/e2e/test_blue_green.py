"""Blue/green: a new version is tried at full size while no caller sees it, and then all callers do."""

from functools import partial

import pytest
from storykit.askers import Answers, asking
from storykit.changes import another_title, fails_a_fifth_of_its_calls, is_blue_green
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.rollouts import looking, rollout_of
from storykit.story import Story, following

# Proxies learn of new weights one by one.
SWITCH_S = 5.0


@pytest.mark.timeout(1800)
@pytest.mark.requirement("E2E-048")
def test_blue_green_shows_callers_nothing_untried_and_then_switches_all_at_once(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    # Few callers: this node has room for two versions of few pods.
    with asking(cluster, pause=0.2) as answers, looking(cluster, "gateway") as looks:
        with story.given("an environment that deploys by blue/green") as step:
            is_blue_green(clone)
            clone.commit("Deploy by blue/green")
            push = clone.push(on_line=partial(following, step))
            assert push.deployed, push.output
            blue = rollout_of(cluster, "gateway").stable.hash
        with story.when("a gateway is pushed that fails a fifth of its calls") as step:
            seen = len(answers.seen)
            another_title(clone)
            fails_a_fifth_of_its_calls(clone)
            failing = clone.commit("Fail a fifth")
            push = clone.push(on_line=partial(following, step))
        with story.then("it is given up before any caller has seen it"):
            assert "gateway: the rollout was aborted" in push.output
            assert "failed-calls failed" in push.output
            assert {(each.status, each.revision) for each in answers.seen[seen:]} == {(200, blue)}
        with story.when("it is reverted, and a good one is pushed") as step:
            clone.revert(failing)
            assert clone.push(on_line=partial(following, step)).deployed
            seen, began = len(answers.seen), len(looks.seen)
            another_title(clone)
            good = clone.commit("Rename the API")
            push = clone.push(on_line=partial(following, step))
        with story.then("all callers get it at once, and nothing is lost"):
            assert push.deployed, push.output
            green = rollout_of(cluster, "gateway").stable.hash
            assert {each.rollout.weight or 0 for each in looks.seen[began:]} == {0, 100}
            assert {each.status for each in answers.seen[seen:]} == {200}
            story.measured("blue/green: both colours answer", mixed(answers, seen, blue, green), target=SWITCH_S)
            assert mixed(answers, seen, blue, green) <= SWITCH_S
        with story.when("that is reverted too") as step:
            clone.revert(good)
            back = clone.push(on_line=partial(following, step))
        with story.then("blue has all calls again"):
            assert back.deployed, back.output
            assert rollout_of(cluster, "gateway").stable.hash == blue
            assert {each.status for each in answers.seen} == {200}
    story.measured("blue/green: push to its end", push.seconds)
    story.measured("blue/green: revert to its end", back.seconds)


def mixed(answers: Answers, seen: int, blue: str, green: str) -> float:
    """Return for how many seconds both colours answered."""
    later = answers.seen[seen:]
    assert {each.revision for each in later} == {blue, green}
    first = min(each.at for each in later if each.revision == green)
    last = max(each.at for each in later if each.revision == blue)
    return max(0.0, last - first)
