"""A push deploys by a canary, a revert rolls back, and callers notice neither."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

import pytest
from local_stack.eventually import eventually
from storykit.askers import shares
from storykit.callers import Callers
from storykit.changes import another_title
from storykit.clone import Clone, Push
from storykit.cluster import Cluster
from storykit.rollouts import held, looking, rollout_of
from storykit.story import Story, following
from storykit.watcher import watching

PROMOTED_S, BEGUN_S = 240, 150.0
# So many calls tell a weight by three points: chance alone is below one.
# Of 2,000 calls chance alone takes one in 600 further away than three points, of twice as many one in 80,000.
CALLS, POINTS = 4000, 3.0
# A new weight reaches proxies within so long.
ARRIVES_S, SETTLED_S = 2.0, 10.0


@pytest.mark.core
@pytest.mark.requirement("E2E-002", "E2E-003", "E2E-004", "E2E-043")
def test_a_push_deploys_by_a_canary_and_its_revert_rolls_back_and_no_request_is_lost(
    cluster: Cluster,
    clone: Clone,
    callers: Callable[[], AbstractContextManager[Callers]],
    story: Story,
) -> None:
    with callers() as load, watching(cluster.version) as watcher, looking(cluster, "gateway") as looks:
        with story.given("callers of every kind, answered by what is committed here"):
            old = cluster.version()
        with story.when("one changed line of the gateway is pushed") as step, ThreadPoolExecutor(1) as pool:
            new = another_title(clone)
            changed = clone.commit("Rename the API")
            pushed = time.monotonic()
            pushing = pool.submit(clone.push, on_line=partial(following, step))
            measured = weigh(cluster, story)
            push = pushing.result()
        with story.then("the new version answers, and no other; it got more and more of the calls"):
            assert push.deployed, push.output
            # The last of its sidecars may hear of the last weight a moment later.
            eventually(lambda: cluster.version() == new, within=SETTLED_S, every=0.5)
            deployed = time.monotonic()
            weights = looks.weights()
            assert weights[:-1] == sorted(weights[:-1]), "the last one is that of no canary any more"
            assert len(weights) > 2, "there was a first weight, and a next"
        with story.when("the change is reverted and pushed") as step:
            assert watcher.versions(since=deployed) <= {new}
            clone.revert(changed)
            reverted = time.monotonic()
            back = clone.push(on_line=partial(following, step))
        with story.then("the old version answers, and no image was built"):
            assert back.deployed, back.output
            eventually(lambda: cluster.version() == old, within=SETTLED_S, every=0.5)
            assert built(push) == ["gateway"]
            assert built(back) == []
    story.measured("push to the first answer of the new version", watcher.first(new) - pushed)
    story.measured("push to 100 %, held for the weighing as long as that takes", push.seconds, target=PROMOTED_S)
    story.measured(f"weighing {CALLS} calls", measured)
    story.measured("revert to the old version answering", watcher.first(old, since=reverted) - reverted)
    story.measured("revert to its end", back.seconds, target=PROMOTED_S)
    story.measured("requests during both", len(load.sent()), unit="requests")
    story.measured("requests lost", len(load.lost()), unit="requests", target=0)
    with story.then("no request was lost"):
        assert load.sent()
        assert load.lost() == []
        assert watcher.failures() == []


def weigh(cluster: Cluster, story: Story) -> float:
    """Hold the canary at its first weight, compare that with who answers, and return how long it took."""
    eventually(lambda: rollout_of(cluster, "gateway").weight, within=BEGUN_S, every=0.5)
    with held(cluster, "gateway"):
        began = time.monotonic()
        time.sleep(ARRIVES_S)
        rollout = rollout_of(cluster, "gateway")
        assert rollout.canary
        share = shares(cluster, CALLS)
        story.measured(f"share of {CALLS} calls at weight {rollout.weight}", share[rollout.canary.hash], unit="%")
        assert set(share) == {rollout.stable.hash, rollout.canary.hash}, "every answer names one of both revisions"
        assert abs(share[rollout.canary.hash] - (rollout.weight or 0)) <= POINTS
        assert rollout_of(cluster, "gateway").weight == rollout.weight, "the weight was held"
        return time.monotonic() - began


def built(push: Push) -> list[str]:
    """Return the services whose images a push built."""
    words = [line.split() for line in push.output.splitlines()]
    return [line[2] for line in words if line[:2] == ["ok", "image"]]
