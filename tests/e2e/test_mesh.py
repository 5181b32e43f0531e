"""The mesh itself: its own checker has nothing to say, and its control plane may be away."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from delivery.environments import environment_folders, render_environment
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from sandbox.progress import Step
from sandbox.settings import SandboxSettings
from storykit.callers import Callers
from storykit.cluster import Cluster
from storykit.mesh import existing
from storykit.pods import pod
from storykit.story import Story

NAMES = [folder.name for folder in environment_folders(ROOT)]
AWAY = 20
SYSTEM = "--namespace=istio-system"
WAITS = "e2e-waits"


@pytest.mark.core
@pytest.mark.requirement("MESH-007")
@pytest.mark.parametrize("name", NAMES)
def test_istioctl_finds_nothing_to_say_of_an_environment(
    name: str, any_cluster: Cluster, tmp_path: Path, story: Story
) -> None:
    del any_cluster  # who made it built istioctl too
    with story.given(f"everything that git says of {name}"):
        environment = render_environment(ROOT / "clusters" / name, Renderer.from_toolbox(Toolbox()))
        file = tmp_path / f"{name}.yaml"
        file.write_text("\n---\n".join(json.dumps(dict(each.content)) for each in environment.objects))
    with story.then("istioctl analyze has nothing to say"):
        command: list[str | Path] = [
            SandboxSettings.read().bin / "istioctl",
            "analyze",
            "--use-kube=false",
            "--failure-threshold=Info",
        ]
        where = f"--namespace={environment.facts.namespace}"
        done = subprocess.run([*command, where, file], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.requirement("MESH-006")
def test_nothing_is_lost_while_istiod_is_away_and_a_new_pod_says_what_it_waits_for(
    cluster: Cluster, callers: Callable[..., AbstractContextManager[Callers]], story: Story
) -> None:
    with story.given("callers who ask all the time"), callers() as load:
        with story.when("istiod is gone, and cannot come back"), without_istiod(cluster):
            before = len(load.sent())
            with existing(cluster, waiting_pods(cluster)):
                with story.then("a new pod says that it waits for istiod") as step:
                    eventually(lambda: "istiod" in reason(cluster, step), within=60, every=1)
                with story.then(f"{AWAY} more answers come"):
                    eventually(lambda: len(load.sent()) > before + AWAY, within=60, every=1)
        with story.when("istiod is back"):
            cluster.kubectl.run("rollout", "status", "deployment/istiod", SYSTEM, "--timeout=180s", timeout_s=200)
    with story.then(f"none of {len(load.sent())} requests was lost"):
        assert load.lost() == []
    story.measured("lost while istiod was away", len(load.lost()), unit="requests", target=0)


@contextmanager
def without_istiod(cluster: Cluster) -> Iterator[None]:
    """End istiod and let no pod be placed: Argo CD would undo any change of istiod itself."""
    nodes = cluster.kubectl.run("get", "nodes", "--output=name").split()
    for node in nodes:
        cluster.kubectl.run("cordon", node)
    try:
        cluster.kubectl.run("delete", "pod", SYSTEM, "--selector=app=istiod", "--force", "--grace-period=0")
        yield
    finally:
        for node in nodes:
            cluster.kubectl.run("uncordon", node)


def waiting_pods(cluster: Cluster) -> dict[str, Any]:
    template = pod(cluster, WAITS, labels={"app.kubernetes.io/name": WAITS})
    del template["metadata"]["name"], template["metadata"]["namespace"]
    selector = {"matchLabels": template["metadata"]["labels"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": WAITS},
        "spec": {
            "replicas": 1,
            "selector": selector,
            "template": {key: template[key] for key in ("metadata", "spec")},
        },
    }


def reason(cluster: Cluster, step: Step) -> str:
    """Return what its ReplicaSet says of the pod, as kubectl describe shows it."""
    events = cluster.get("events", f"--field-selector=involvedObject.name={WAITS}")["items"]
    step.detail = next((each["message"] for each in events if each["reason"] == "FailedCreate"), "")
    return step.detail
