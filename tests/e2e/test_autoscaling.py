"""The gateway gets more pods when more is asked of it, and gives them back."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from local_stack.eventually import eventually
from sandbox.kubectl import trouble_of
from storykit.callers import Callers
from storykit.cluster import Cluster
from storykit.story import Story

CROWD = Path(__file__).parent / "crowd.yaml"
# Metrics are some fifteen seconds old, and the autoscaler looks every fifteen.
OUT_S = 120.0
# Half a minute of less load (platform/components/small), then a pod every half minute.
BACK_S = 240.0


@pytest.mark.requirement("E2E-031")
def test_the_gateway_scales_out_under_a_crowd_and_back_without_it(
    cluster: Cluster, story: Story, callers: Callable[[Path], AbstractContextManager[Callers]]
) -> None:
    with story.given("one pod of the gateway"):
        eventually(lambda: len(cluster.pods("gateway")) == 1, within=BACK_S, every=1.0)
    began = time.monotonic()
    with ExitStack() as stack:
        with story.when("a crowd comes"):
            crowd = stack.enter_context(callers(CROWD))
        with story.then("a second pod serves"):
            eventually(lambda: serving(cluster) >= 2, within=OUT_S, every=1.0)
            story.measured("gateway scaled out, a second pod serves", time.monotonic() - began)
    story.measured("requests lost while the gateway scales out", len(crowd.lost()), unit="requests")
    began = time.monotonic()
    with story.then("one pod is left when the crowd is gone"):
        eventually(lambda: len(cluster.pods("gateway")) == 1, within=BACK_S, every=1.0)
        story.measured("gateway scaled back to one pod", time.monotonic() - began)
    with story.then("nothing is drift to Argo CD"):
        cluster.await_healthy()


def serving(cluster: Cluster) -> int:
    return sum(not trouble_of(pod) for pod in cluster.pods("gateway"))
