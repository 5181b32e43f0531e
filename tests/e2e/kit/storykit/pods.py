"""Pods that stories bring along; they obey Pod Security and ask for little unless a story says otherwise."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sandbox.commands import CommandFailed
from sandbox.kubectl import trouble_of

from storykit.cluster import Cluster

_REQUESTS = {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
_LIMITS = {**_REQUESTS, "cpu": "500m"}
# Of its sidecar, if it gets one.
_SIDECAR = {"proxyCPU": "10m", "proxyMemory": "64Mi", "proxyCPULimit": "500m", "proxyMemoryLimit": "256Mi"}
_WAIT = ["python", "-c", "import signal; signal.pause()"]


def pod(cluster: Cluster, name: str, *, labels: Mapping[str, str] | None = None, namespace: str = "") -> dict[str, Any]:
    """Return a pod that waits, of the gateway's image: the node has it, and there is Python in it."""
    image = cluster.get("deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]["image"]
    container = {
        "name": "story",
        "image": image,
        "command": _WAIT,
        "resources": {"requests": dict(_REQUESTS), "limits": dict(_LIMITS)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace or cluster.namespace,
            "labels": dict(labels or {}),
            "annotations": {f"sidecar.istio.io/{each}": value for each, value in _SIDECAR.items()},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


def ready_pod(cluster: Cluster, service: str) -> str:
    """Return the name of a pod of a service that serves, and let it be the last that its autoscaler takes away.

    It is of the stable version: pods of the one before stay ready for half a minute, and would go in mid-story.
    """
    rollouts = cluster.get("rollouts", f"--field-selector=metadata.name={service}")["items"]
    stable = {each["status"]["stableRS"] for each in rollouts} or {None}  # pods of a Deployment name no version
    serving = [each["metadata"] for each in cluster.pods(service) if not trouble_of(each)]
    staying = [
        each
        for each in serving
        if each["labels"].get("rollouts-pod-template-hash") in stable and "deletionTimestamp" not in each
    ]
    assert staying, f"no pod of {service} is ready"
    name = min(staying, key=lambda each: each["creationTimestamp"])["name"]
    where = (f"--namespace={cluster.namespace}", "--overwrite")
    cluster.kubectl.run("annotate", "pod", name, "controller.kubernetes.io/pod-deletion-cost=1", *where)
    return name


@contextmanager
def running(cluster: Cluster, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Let a pod run for a block, and give its name."""
    name, where = wanted["metadata"]["name"], f"--namespace={wanted['metadata']['namespace']}"
    cluster.kubectl.run("delete", "pod", name, where, "--ignore-not-found")
    cluster.kubectl.run("create", "--filename=-", text=json.dumps(wanted))
    try:
        cluster.kubectl.run("wait", f"pod/{name}", where, "--for=condition=Ready", "--timeout=60s")
        yield name
    finally:
        cluster.kubectl.run("delete", "pod", name, where, "--wait=false")


@contextmanager
def namespace(cluster: Cluster, name: str, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """Let a namespace exist for a block; one that is there already is left alone."""
    existed = cluster.kubectl.run("get", "namespace", name, "--ignore-not-found", "--output=name")
    if not existed:
        content = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        cluster.kubectl.run("create", "--filename=-", text=json.dumps(content))
    try:
        yield name
    finally:
        if not existed:
            cluster.kubectl.run("delete", "namespace", name, timeout_s=180)


def python(cluster: Cluster, name: str, script: str, *arguments: str, in_namespace: str = "") -> Any:
    """Run a script in a pod and return what it prints, which is JSON."""
    command: Sequence[str] = ("exec", name, f"--namespace={in_namespace or cluster.namespace}", "--")
    return json.loads(cluster.kubectl.run(*command, "python", "-c", script, *arguments))


def crash(cluster: Cluster, name: str, container: str) -> None:
    """End at once whatever the first process of a container has started, if it runs just now."""
    script = "import os; os.kill(-1, 9)"  # all but the first process and the one that asks
    where = (name, f"--namespace={cluster.namespace}", f"--container={container}")
    with suppress(CommandFailed):  # the container may end before it can say so
        cluster.kubectl.run("exec", *where, "--", "python", "-c", script)
