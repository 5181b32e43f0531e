"""The chain of services once more, in a namespace of its own, with sidecars or without; and somebody who asks it."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain as chained
from typing import Any

from delivery.environments import Environment, render_environment
from delivery.manifests import NAME_LABEL, SERVERS, Manifest, of_kind
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from delivery.stages import LOCAL
from loadtests.payloads import Read, grpc_answer, grpc_tensor, native_grpc_answer, native_picture
from loadtests.traffic import picture, row

from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.pods import namespace, pod, python, running
from storykit.usage import Container, containers

CALLER = "slo"  # who judges canaries may call the gateway, and has both the policies and the Sidecar for it
_GATEWAY = "gateway:9000"
# No Rollout and no autoscaler, which would make more pods of one chain than of the other; no door.
_SERVED = ("ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", *sorted(SERVERS))
_MESHED = ("PeerAuthentication", "AuthorizationPolicy", "Sidecar", "DestinationRule", "VirtualService", "ServiceEntry")
_QUOTA, _BURST = "GATEWAY_QUOTA_PER_SECOND", "GATEWAY_QUOTA_BURST"
_READY_S = 180
# What is asked for, not what may be used: a node of two cores bears these chains beside the one that serves.
_REQUEST = "10m"
_ASK = """
import base64, json, sys, time
import grpc

address, method, message, token, times = sys.argv[1:]
took, failed, answer = [], "", b""
with grpc.insecure_channel(address) as channel:
    call, message = channel.unary_unary(method), base64.b64decode(message)
    metadata = [("authorization", "Bearer " + token)]
    for _ in range(int(times)):
        began = time.perf_counter()
        try:
            answer = call(message, timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            failed = f"{error.code().name}: {error.details()}"
            break
        took.append(round((time.perf_counter() - began) * 1e3, 4))
print(json.dumps([took, failed, base64.b64encode(answer).decode()]))
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A gRPC call of the gateway, as bytes, and how its answer is read."""

    name: str
    method: str
    message: bytes
    read: Read


@dataclass(frozen=True, slots=True)
class Asked:
    """What one caller got who asked one call after the other, and stopped at the first that failed."""

    milliseconds: list[float]
    failed: str
    label: int | None


@dataclass(frozen=True, slots=True)
class Chain:
    """One pod of each service that answers, and the pod that asks."""

    cluster: Cluster
    namespace: str
    caller: str
    containers: list[Container]

    def ask(self, call: Call, times: int) -> Asked:
        """Ask from inside the cluster, on one connection."""
        message, token = base64.b64encode(call.message).decode(), self.cluster.token()
        arguments = (_GATEWAY, call.method, message, token, str(times))
        took, failed, answer = python(self.cluster, self.caller, _ASK, *arguments, in_namespace=self.namespace)
        label = None if failed else call.read(base64.b64decode(answer), None).label
        return Asked(took, failed, label)


def calls() -> tuple[Call, Call]:
    """Return a picture, which takes every edge, and a row of numbers, which passes preprocessing by."""
    predict, infer = "/fairlead.gateway.v1.PredictionService/Predict", "/inference.GRPCInferenceService/ModelInfer"
    return (
        Call("picture by gRPC", predict, native_picture(picture()), native_grpc_answer),
        Call("64 numbers by OIP gRPC", infer, grpc_tensor(row()), grpc_answer),
    )


def as_deployed(cluster: Cluster, clone: Clone) -> Environment:
    """Render local with the images that run."""
    clone.git("fetch", "--quiet", cluster.repository, f"deploy/{LOCAL}")
    clone.git("checkout", "--quiet", "FETCH_HEAD", "--", f"clusters/{LOCAL}")
    return render_environment(clone.folder / "clusters" / LOCAL, Renderer.from_toolbox(Toolbox()))


@contextmanager
def chain(cluster: Cluster, environment: Environment, name: str, *, sidecars: bool) -> Iterator[Chain]:
    """Let a chain serve for a block, from the same objects with sidecars and without."""
    objects = [*environment.namespaces, *chained.from_iterable(app.objects for app in environment.apps.values())]
    [home] = of_kind(objects, "Namespace")
    labels = {label: value for label, value in home.labels.items() if sidecars or label != "istio-injection"}
    wanted = list(of_kind(objects, *_SERVED, *(_MESHED if sidecars else ())))
    with namespace(cluster, name, labels):
        cluster.kubectl.apply(
            "\n---\n".join(json.dumps(_moved(each, environment.facts.namespace, name)) for each in wanted)
        )
        for each in of_kind(wanted, *SERVERS):
            options = (f"--namespace={name}", f"--timeout={_READY_S}s")
            workload = f"{each.kind.lower()}/{each.name}"
            cluster.kubectl.run("rollout", "status", workload, *options, timeout_s=_READY_S + 20)
        with running(cluster, _caller(cluster, name)) as caller:
            yield Chain(cluster, name, caller, containers(cluster, name))


def _moved(each: Manifest, was: str, name: str) -> dict[str, Any]:
    """Return an object for another namespace; the names of callees in a Sidecar hold it too."""
    content: dict[str, Any] = json.loads(json.dumps(each.content).replace(f".{was}.svc.", f".{name}.svc."))
    content["metadata"]["namespace"] = name
    if _QUOTA in content.get("data", {}):  # one caller asks as fast as it is answered
        content["data"] |= {_QUOTA: "1000000", _BURST: "1000000"}
    if each.kind in SERVERS:
        content["spec"]["replicas"] = 1
        template = content["spec"]["template"]
        # Prometheus would ask only the chain with sidecars: nothing lets it reach the other.
        template["metadata"]["annotations"]["prometheus.io/scrape"] = "false"
        template["metadata"]["annotations"]["sidecar.istio.io/proxyCPU"] = _REQUEST
        for container in template["spec"]["containers"]:
            container["resources"]["requests"]["cpu"] = _REQUEST
    return content


def _caller(cluster: Cluster, name: str) -> dict[str, Any]:
    wanted = pod(cluster, "e2e-caller", labels={NAME_LABEL: CALLER}, namespace=name)
    wanted["spec"]["serviceAccountName"] = CALLER
    # Who is throttled would measure that.
    wanted["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2"
    wanted["metadata"]["annotations"]["sidecar.istio.io/proxyCPULimit"] = "1"
    return wanted
