"""Visitors of the mesh: pods with an identity, or none, whom only the mesh can refuse; and what sidecars say."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from delivery.manifests import NAME_LABEL
from sandbox.commands import CommandFailed

from storykit.cluster import Cluster
from storykit.pods import pod, python, running

PLAIN = {"sidecar.istio.io/inject": "false"}
_SEEN = "e2e-visitor"
_CALL = """
import json, sys
import grpc

def code(address, method, stream):
    with grpc.insecure_channel(address) as channel:
        kind = channel.stream_stream if stream else channel.unary_unary
        call = kind(method, request_serializer=None, response_deserializer=None)
        try:
            list(call(iter(()), timeout=5)) if stream else call(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""

print(json.dumps([code(*each) for each in json.loads(sys.argv[1])]))
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A gRPC call without content: what refuses it never looks at that."""

    address: str
    method: str
    stream: bool = False


@contextmanager
def visitor(cluster: Cluster, account: str = "default", *, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """Let a pod run under a service account's identity, to whom no NetworkPolicy and no Sidecar forbids anything."""
    wanted = pod(cluster, _SEEN, labels={NAME_LABEL: _SEEN, **(labels or {})})
    wanted["spec"]["serviceAccountName"] = account
    with ExitStack() as stack:
        for each in (*_open_network(), _open_sidecar()):
            stack.enter_context(existing(cluster, each))
        yield stack.enter_context(running(cluster, wanted))


@contextmanager
def existing(cluster: Cluster, content: Mapping[str, Any]) -> Iterator[None]:
    """Let an object exist for a block, in the namespace of the services."""
    where = f"--namespace={cluster.namespace}"
    cluster.kubectl.run("apply", "--server-side", where, "--filename=-", text=json.dumps(content))
    try:
        yield
    finally:
        cluster.kubectl.run("delete", content["kind"], content["metadata"]["name"], where, "--ignore-not-found")


def answers(cluster: Cluster, name: str, calls: Sequence[Call]) -> list[tuple[str, str]]:
    """Make calls from a pod, and return for each the status and its details."""
    asked = json.dumps([(each.address, each.method, each.stream) for each in calls])
    return [(code, details) for code, details in python(cluster, name, _CALL, asked)]


def called(cluster: Cluster, service: str) -> dict[str, int]:
    """Return how many calls the sidecars of a service have passed on, by host and port of the callee."""
    counts: dict[str, int] = {}
    for each in cluster.pods(service):
        with suppress(CommandFailed):  # it is not there yet, or no more
            for callee, value in _outbound(
                sidecar(cluster, each["metadata"]["name"], "GET", "clusters"), cluster.namespace
            ):
                counts[callee] = counts.get(callee, 0) + value
    return counts


def sidecar(cluster: Cluster, name: str, *request: str) -> str:
    """Ask the sidecar of a pod, as by `pilot-agent request GET clusters`."""
    where = (f"--namespace={cluster.namespace}", "--container=istio-proxy")
    return cluster.kubectl.run("exec", name, *where, "--", "pilot-agent", "request", *request)


def _outbound(clusters: str, namespace: str) -> Iterator[tuple[str, int]]:
    """Read lines such as outbound|8001||inference.fairlead-local.svc.cluster.local::10.0.0.1:8001::rq_total::7."""
    for line in clusters.splitlines():
        name, _, rest = line.partition("::")
        direction, _, where = name.partition("|")
        if direction == "outbound" and "::rq_total::" in rest:
            port, _subset, host = where.split("|")
            service, _, domain = host.partition(".")
            if domain.startswith(f"{namespace}."):  # others are no services of ours, as the issuer of tokens
                yield f"{service}:{port}", int(rest.rpartition("::")[2])


def _open_network() -> Iterator[dict[str, Any]]:
    """Whoever is called lets the visitor in, and the visitor may go anywhere."""
    seen = {"matchLabels": {NAME_LABEL: _SEEN}}
    into = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": seen}]}]}
    out = {"podSelector": seen, "policyTypes": ["Egress"], "egress": [{}]}
    for name, spec in ((f"{_SEEN}-into", into), (f"{_SEEN}-out", out)):
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }


def _open_sidecar() -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": _SEEN},
        "spec": {
            "workloadSelector": {"labels": {NAME_LABEL: _SEEN}},
            "egress": [{"hosts": ["./*"]}],
        },
    }
