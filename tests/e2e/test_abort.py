"""Argo CD and Argo Rollouts write to the same objects, and neither undoes what is the other's."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from local_stack.eventually import eventually
from storykit.askers import asking
from storykit.by_hand import Edited
from storykit.changes import another_title
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.rollouts import abort, looking, rollout_of
from storykit.story import Story

BEGUN_S, ABORTED_S = 180.0, 30.0
TIMEOUT = "services/gateway/deploy/base/virtualservice.yaml"


@pytest.mark.requirement("E2E-042")
def test_weights_stay_what_rollouts_says_while_argo_cd_heals_and_a_later_edit_still_applies(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    with asking(cluster), looking(cluster, "gateway") as looks, ThreadPoolExecutor(1) as pool:
        with story.given("a canary with weight"):
            another_title(clone)
            changed = clone.commit("Rename the API")
            pushing = pool.submit(clone.push)
            eventually(lambda: rollout_of(cluster, "gateway").weight, within=BEGUN_S, every=0.5)
        with story.when("Argo CD heals another object of the same application"):
            Edited("service", "gateway", "/spec/ports/0/port", 81).undone(cluster)
        with story.then("the weight is what Rollouts says"):
            now = rollout_of(cluster, "gateway")
            assert now.weight == now.intended != 0
        with story.when("the rollout is aborted, and Argo CD heals again"):
            abort(cluster, "gateway")
            eventually(lambda: not rollout_of(cluster, "gateway").weight, within=ABORTED_S, every=0.5)
            Edited("service", "gateway", "/spec/ports/0/port", 81).undone(cluster)
        with story.then("stable has all calls, and the push says that it was aborted"):
            now = rollout_of(cluster, "gateway")
            assert (now.phase, now.weight) == ("aborted", 0)
            assert "gateway: the rollout was aborted" in pushing.result().output
    aborted = looks.ended()
    assert not [each for each in looks.seen if each.at > aborted and each.rollout.weight], "weight came back"
    with story.when("git gets the revert, and another edit of the routes"):
        clone.revert(changed)
        edited(clone)
        clone.commit("Label the routes")
        back = clone.push()
    with story.then("both apply, and the weights are Rollouts' still"):
        assert back.deployed, back.output
        assert cluster.get("virtualservice", "gateway")["metadata"]["annotations"]["story"] == "edited"
        now = rollout_of(cluster, "gateway")
        assert now.well
        assert not now.weight


def edited(clone: Clone) -> None:
    clone.replace(
        TIMEOUT, "metadata:\n  name: gateway\n", 'metadata:\n  name: gateway\n  annotations:\n    story: "edited"\n'
    )
