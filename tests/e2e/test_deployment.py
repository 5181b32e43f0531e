"""A push deploys, a revert rolls back, and callers notice neither."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
from storykit.callers import Callers
from storykit.changes import another_title
from storykit.clone import Clone, Push
from storykit.cluster import Cluster
from storykit.story import Story, following
from storykit.watcher import watching

DEPLOYED_S, REVERTED_S = 90, 60


@pytest.mark.core
@pytest.mark.requirement("E2E-002", "E2E-003", "E2E-004")
def test_a_push_deploys_and_its_revert_rolls_back_and_no_request_is_lost(
    cluster: Cluster,
    clone: Clone,
    callers: Callable[[], AbstractContextManager[Callers]],
    story: Story,
) -> None:
    with callers() as load, watching(cluster.version) as watcher:
        with story.given("callers of every kind, answered by what is committed here"):
            old = cluster.version()
        with story.when("one changed line of the gateway is pushed") as step:
            new = another_title(clone)
            changed = clone.commit("Rename the API")
            pushed = time.monotonic()
            push = clone.push(on_line=partial(following, step))
        with story.then("the new version answers, and no other"):
            assert push.deployed, push.output
            assert cluster.version() == new
            deployed = time.monotonic()
        with story.when("the change is reverted and pushed") as step:
            assert watcher.versions(since=deployed) <= {new}
            clone.revert(changed)
            reverted = time.monotonic()
            back = clone.push(on_line=partial(following, step))
        with story.then("the old version answers, and no image was built"):
            assert back.deployed, back.output
            assert cluster.version() == old
            assert built(push) == ["gateway"]
            assert built(back) == []
    story.measured("push to the new version answering", watcher.first(new) - pushed, target=DEPLOYED_S)
    story.measured("push to its end: synced, healthy, smoke passed", push.seconds)
    story.measured(
        "revert to the old version answering", watcher.first(old, since=reverted) - reverted, target=REVERTED_S
    )
    story.measured("revert to its end", back.seconds)
    story.measured("requests during both", len(load.sent()), unit="requests")
    story.measured("requests lost", len(load.lost()), unit="requests", target=0)
    with story.then("no request was lost"):
        assert load.sent()
        assert load.lost() == []
        assert watcher.failures() == []


def built(push: Push) -> list[str]:
    """Return the services whose images a push built."""
    words = [line.split() for line in push.output.splitlines()]
    return [line[2] for line in words if line[:2] == ["ok", "image"]]
