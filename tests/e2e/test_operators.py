"""What a person on call may do, and may not."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sandbox.commands import CommandFailed
from storykit.cluster import Cluster
from storykit.pods import ready_pod
from storykit.story import Story

SOMEBODY = ("--as=somebody", "--as-group=fairlead-operators", "--as-group=system:authenticated")
MAY = (
    "list pods",
    "get pods/log",
    "watch deployments.apps",
    "get configmaps",
    "list events",
    "get horizontalpodautoscalers.autoscaling",
    "list networkpolicies.networking.k8s.io",
    "create pods/portforward",
    "delete pods",
)
MAY_NOT = (
    "get secrets",
    "list secrets",
    "create pods",
    "create pods/exec",
    "create pods/attach",
    "update deployments.apps",
    "patch deployments.apps/scale",
    "delete statefulsets.apps",
    "delete persistentvolumeclaims",
    "delete networkpolicies.networking.k8s.io",
    "create serviceaccounts/token",
    "create rolebindings.rbac.authorization.k8s.io",
    "impersonate users",
)


@pytest.mark.requirement("E2E-025")
def test_operators_may_look_forward_ports_and_delete_a_pod_and_nothing_else(cluster: Cluster, story: Story) -> None:
    here = f"--namespace={cluster.namespace}"
    with story.then(f"{len(MAY)} things are theirs to do"):
        assert [each for each in MAY if not may(cluster, each, here)] == []
    with story.then(f"{len(MAY_NOT)} are not"):
        assert [each for each in MAY_NOT if may(cluster, each, here)] == []
    with story.then("in other namespaces they may not even look"):
        assert [each for each in MAY if may(cluster, each, "--namespace=argocd")] == []


@pytest.mark.requirement("E2E-025")
def test_an_operator_reads_logs_and_opens_monitorings_page_and_is_refused_a_secret(
    cluster: Cluster, story: Story
) -> None:
    here = f"--namespace={cluster.namespace}"
    with story.then("logs are shown"):
        log = cluster.kubectl.run("logs", ready_pod(cluster, "gateway"), here, "--tail=5", *SOMEBODY)
        assert log
    with story.then("monitoring's page is forwarded"), forwarded(cluster, "monitoring", 8081) as said:
        assert said.startswith("Forwarding from 127.0.0.1:")
    with story.then("a secret is refused"), pytest.raises(CommandFailed, match="cannot list resource"):
        cluster.kubectl.run("get", "secrets", here, *SOMEBODY)


def may(cluster: Cluster, what: str, where: str) -> bool:
    verb, resource = what.split()
    resource, _, part = resource.partition("/")
    options = [f"--subresource={part}"] if part else []
    try:
        return cluster.kubectl.run("auth", "can-i", verb, resource, *options, where, *SOMEBODY).strip() == "yes"
    except CommandFailed as failure:
        if failure.output.split()[-1:] == ["no"]:
            return False
        raise


@contextmanager
def forwarded(cluster: Cluster, service: str, port: int) -> Iterator[str]:
    """Open a port as somebody on call, and give what kubectl says of it."""
    options = [f"--kubeconfig={cluster.kubectl.kubeconfig}", f"--namespace={cluster.namespace}", *SOMEBODY]
    command = [str(cluster.kubectl.program), *options, "port-forward", ready_pod(cluster, service), f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process.stdout.readline() if process.stdout else ""
        finally:
            process.terminate()
