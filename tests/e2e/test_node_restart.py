"""The node loses its daemons, or its power, and serves again."""

import time
from functools import partial
from itertools import pairwise

import pytest
from local_stack.eventually import eventually
from sandbox.commands import stream
from sandbox.kubectl import trouble_of
from sandbox.settings import SandboxSettings
from sandbox.state import State
from storykit.cluster import Cluster
from storykit.node import daemons, first_process, kill
from storykit.pods import ready_pod
from storykit.remembered import await_remembered
from storykit.story import Story, following
from storykit.watcher import Watcher, watching

DAEMONS = ("containerd", "kubelet")
BACK_S = 300.0


@pytest.fixture(autouse=True)
def node_of_namespaces() -> None:
    if SandboxSettings.read().provider != "source":
        pytest.skip("with kind the node is a container of Docker's, not processes of this machine")


@pytest.mark.requirement("E2E-029")
def test_kubelet_and_containerd_killed_start_again_and_pods_with_them(cluster: Cluster, story: Story) -> None:
    with story.given("a prediction that monitoring shows"):
        before = cluster.predict()
        await_remembered(cluster, *before)
        old = daemons(*DAEMONS)
        assert set(old) == set(DAEMONS)
    with watching(cluster.model) as watcher:
        heard = heartbeat(cluster)
        with story.when("the node's kubelet and containerd are killed"):
            began = time.monotonic()
            kill(*old.values())
        with story.then("the node starts both again"):
            eventually(lambda: set(daemons(*DAEMONS)) == set(DAEMONS), within=BACK_S, every=0.2)
            assert not set(daemons(*DAEMONS).values()) & set(old.values())
        with story.then("the API server hears of the node"):
            eventually(lambda: heartbeat(cluster) > heard, within=BACK_S, every=0.5)
            story.measured("kubelet and containerd killed, node heard of again", time.monotonic() - began)
        with story.then("the same model answers as before"):
            eventually(lambda: watcher.versions(since=time.monotonic() - 1) == {before[0].digest}, within=BACK_S)
    story.measured("kubelet and containerd killed, longest time without an answer", longest_pause(watcher))
    with story.then("a new pod starts"):
        cluster.kubectl.run("delete", "pod", ready_pod(cluster, "preprocessing"), f"--namespace={cluster.namespace}")
        eventually(lambda: not trouble_of(cluster.pods("preprocessing")[0]), within=BACK_S, every=1.0)
        cluster.await_healthy(within=BACK_S)
    with story.then("monitoring remembers"):
        await_remembered(cluster, *before)


@pytest.mark.timeout(900)
@pytest.mark.requirement("E2E-030")
def test_a_node_without_power_is_brought_back_by_make_cluster(cluster: Cluster, story: Story) -> None:
    owner = State(SandboxSettings.read().state, SandboxSettings.read().cache / "lock").owner()
    assert owner
    with story.given("a prediction that monitoring shows"):
        before = cluster.predict()
        await_remembered(cluster, *before)
    with story.when("the node ends with everything on it"):
        kill(first_process())
        eventually(lambda: not first_process(), within=BACK_S, every=0.2)
    with story.when("somebody types make cluster") as step:
        began = time.monotonic()
        stream(["make", "--directory", owner.checkout, "cluster"], on_line=partial(following, step))
    with story.then("all that ran before runs again"):
        cluster.await_healthy(within=BACK_S)
        story.measured("node killed, all healthy after make cluster", time.monotonic() - began)
    with story.then("the same is served, and monitoring remembers"):
        assert cluster.predict()[0].digest == before[0].digest
        await_remembered(cluster, *before)


def longest_pause(watcher: Watcher) -> float:
    answered = [seen.at for seen in watcher.sightings if not seen.failure]
    return max(after - before for before, after in pairwise(answered))


def heartbeat(cluster: Cluster) -> str:
    """Return when the kubelet last said that the node is well; it says so when it starts, and every five minutes."""
    (node,) = cluster.get("nodes")["items"]
    (ready,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    return str(ready["lastHeartbeatTime"]) if ready["status"] == "True" else ""
