"""Whether network policies are enforced: an agent that says Running proves nothing."""

import time
from collections.abc import Callable

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.upstream import MANIFESTS

_NAMESPACE = "network-policy-probe"
_FOLDER = MANIFESTS / _NAMESPACE
_EFFECT_S = 60.0
_GONE_S = 120.0
_POLL_S = 0.5


def prove_enforcement(kubectl: Kubectl) -> None:
    """Let one pod reach another, forbid it, and see the connection fail; raise Problem otherwise."""
    # One that an earlier command left, or that is still going, takes no pods.
    kubectl.run("delete", "namespace", _NAMESPACE, "--ignore-not-found", timeout_s=_GONE_S)
    kubectl.apply((_FOLDER / "pods.yaml").read_text())
    try:
        kubectl.run(
            "wait",
            f"--namespace={_NAMESPACE}",
            "--for=condition=Ready",
            "pods",
            "--all",
            "--timeout=120s",
            timeout_s=130,
        )
        address = kubectl.run("get", "pod", "server", f"--namespace={_NAMESPACE}", "--output=jsonpath={.status.podIP}")
        _await(lambda: _reaches(kubectl, address), "Pods do not reach each other although no policy forbids it.")
        kubectl.apply((_FOLDER / "networkpolicy.yaml").read_text())
        _await(lambda: not _reaches(kubectl, address), "A NetworkPolicy that forbids a connection has no effect.")
    finally:
        kubectl.run("delete", "namespace", _NAMESPACE, "--wait=false", "--ignore-not-found")


def _reaches(kubectl: Kubectl, address: str) -> bool:
    call = ["busybox", "timeout", "2", "busybox", "nc", address, "8080"]
    try:
        answer = kubectl.run("exec", "client", f"--namespace={_NAMESPACE}", "--", *call)
    except CommandFailed:
        return False
    return "reached" in answer


def _await(seen: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _EFFECT_S
    while not seen():
        if time.monotonic() > deadline:
            look = "kubectl logs -n kube-system daemonset/kube-network-policies"
            raise Problem(otherwise, f"See what the agent says: {look}")
        time.sleep(_POLL_S)
