"""What the API server refuses in a namespace of ours, and in which words."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from sandbox.commands import CommandFailed
from storykit.cluster import Cluster
from storykit.pods import pod
from storykit.story import Story

RESTRICTED = 'violates PodSecurity "restricted:v1.35"'
OF_THE_POD: tuple[str | int, ...] = ("spec",)
OF_THE_CONTAINER: tuple[str | int, ...] = ("spec", "containers", 0)
UNSAFE: dict[str, tuple[tuple[str | int, ...], dict[str, Any], str]] = {
    "runs as root": ((*OF_THE_POD, "securityContext"), {"runAsUser": 0}, "runAsUser=0"),
    "is privileged": (
        (*OF_THE_CONTAINER, "securityContext"),
        {"privileged": True, "allowPrivilegeEscalation": True},
        "privileged (container",
    ),
    "may gain rights": (
        (*OF_THE_CONTAINER, "securityContext"),
        {"allowPrivilegeEscalation": True},
        "allowPrivilegeEscalation != false",
    ),
    "takes a capability": (
        (*OF_THE_CONTAINER, "securityContext", "capabilities"),
        {"add": ["NET_ADMIN"]},
        "unrestricted capabilities",
    ),
    "joins the node's network": (OF_THE_POD, {"hostNetwork": True}, "host namespaces"),
    "mounts the node's disk": (
        OF_THE_POD,
        {"volumes": [{"name": "disk", "hostPath": {"path": "/"}}]},
        "restricted volume types",
    ),
}


@pytest.mark.core
@pytest.mark.requirement("E2E-022")
def test_a_pod_that_breaks_pod_security_is_refused_and_told_why(cluster: Cluster, story: Story) -> None:
    with story.given("a pod that the API server would take"):
        create(cluster, pod(cluster, "e2e-unsafe"), dry_run=True)
    for what, (path, mistake, reason) in UNSAFE.items():
        wanted = pod(cluster, "e2e-unsafe")
        at(wanted, path).update(mistake)
        with story.then(f"one that {what} is refused"):
            said = refusal(cluster, wanted)
            assert RESTRICTED in said
            assert reason in said


@pytest.mark.core
@pytest.mark.requirement("E2E-023")
def test_a_greedy_pod_is_refused_by_the_quota(cluster: Cluster, story: Story) -> None:
    quota = cluster.get("resourcequota", "total")["status"]
    with story.given(f"{quota['used']['requests.cpu']} of {quota['hard']['requests.cpu']} CPUs are taken"):
        greedy = pod(cluster, "e2e-greedy")
        for each in ("requests", "limits"):
            at(greedy, OF_THE_CONTAINER)["resources"][each]["cpu"] = quota["hard"]["requests.cpu"]
    with story.then("a pod that asks for all of them is refused"):
        assert "exceeded quota: total, requested: requests.cpu=" in refusal(cluster, greedy)


@pytest.mark.requirement("E2E-023")
def test_a_second_volume_and_a_load_balancer_are_refused_by_the_quota(cluster: Cluster, story: Story) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "e2e-greedy", "namespace": cluster.namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    balancer = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "e2e-greedy", "namespace": cluster.namespace},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app.kubernetes.io/name": "nobody"}},
    }
    with story.then("one more volume is refused"):
        assert "exceeded quota: total, requested: requests.storage=1Gi" in refusal(cluster, claim)
    with story.then("a load balancer, which costs money elsewhere, is refused"):
        assert "exceeded quota: total, requested: services.loadbalancers=1" in refusal(cluster, balancer)


@pytest.mark.requirement("E2E-024")
def test_a_container_that_says_nothing_of_resources_gets_some_and_may_not_take_all(
    cluster: Cluster, story: Story
) -> None:
    limits = cluster.get("limitrange", "containers")["spec"]["limits"][0]
    silent = pod(cluster, "e2e-silent")
    del at(silent, OF_THE_CONTAINER)["resources"]
    with story.given("a container that says nothing of resources"):
        made = create(cluster, silent, dry_run=True)
    with story.then("it gets the namespace's defaults"):
        given = at(made, OF_THE_CONTAINER)["resources"]
        assert given == {"requests": limits["defaultRequest"], "limits": limits["default"]}
    with story.then("one that wants more than the largest may have is refused"):
        at(silent, OF_THE_CONTAINER)["resources"] = {"limits": {"memory": "64Gi"}}
        said = refusal(cluster, silent)
        assert f"maximum memory usage per Container is {limits['max']['memory']}, but limit is 64Gi" in said


def at(content: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    for step in path:
        content = content[step]
    found: dict[str, Any] = content
    return found


def create(cluster: Cluster, wanted: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    option = "--dry-run=server" if dry_run else "--dry-run=none"
    said = cluster.kubectl.run("create", "--filename=-", option, "--output=json", text=json.dumps(wanted))
    made: dict[str, Any] = json.loads(said)
    return made


def refusal(cluster: Cluster, wanted: Mapping[str, Any]) -> str:
    """Return why the API server refuses an object; really created, as a dry run does not count against a quota."""
    try:
        create(cluster, wanted)
    except CommandFailed as failure:
        return failure.output
    where = f"--namespace={wanted['metadata']['namespace']}"
    cluster.kubectl.run("delete", wanted["kind"], wanted["metadata"]["name"], where)
    pytest.fail(f"The API server took {wanted['kind']} {wanted['metadata']['name']}.")
