"""Rules for every pod that runs: images, probes, resources, Pod Security, its end."""

import re
from collections.abc import Iterator
from typing import Any

from delivery.environments import App
from delivery.manifests import NAME_LABEL, SERVERS, WORKLOADS, Manifest, dig, of_kind
from delivery.quantities import quantity
from delivery.rules.effective import effective_settings

Said = Iterator[tuple[Manifest, str]]

_SECONDS_TO_FLUSH = 5
_PROBES = {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_ALLOWED_VOLUMES = frozenset({"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"})


def image_is_pinned(app: App) -> Said:
    """Images come from the cluster's registry, by digest, or unreleased in a fresh fork; a tag may move."""
    pattern = re.compile(rf"{re.escape(app.facts.registry)}/[a-z-]+(@sha256:[0-9a-f]{{64}}|:unreleased)")
    for workload in of_kind(app.objects, *WORKLOADS):
        for container in workload.containers:
            if not pattern.fullmatch(image := container.get("image", "")):
                wanted = f"{app.facts.registry}/<name>@sha256:<digest>"
                yield workload, f"image {image!r} is not pinned: write the release file, which gives {wanted}"


def has_probes(app: App) -> Said:
    """Servers say when they started, whether they are ready, and that they live, on their operations port."""
    for workload in of_kind(app.objects, *SERVERS):
        for container in workload.pod.get("containers", []):
            for probe, path in _PROBES.items():
                asked = dig(container, probe, "httpGet", default={})
                if (asked.get("path"), asked.get("port")) != (path, "operations"):
                    yield workload, f"container {container['name']} needs a {probe} that gets {path} of port operations"


def has_resources(app: App) -> Said:
    """Every container asks for what it needs and is held to a limit that is no smaller."""
    for workload in of_kind(app.objects, *WORKLOADS):
        for container in workload.containers:
            for name in _RESOURCES:
                requested = dig(container, "resources", "requests", name)
                limit = dig(container, "resources", "limits", name)
                if requested is None or limit is None:
                    yield workload, f"container {container['name']} needs a request and a limit of {name}"
                elif quantity(requested) > quantity(limit):
                    yield workload, f"container {container['name']} requests {requested} of {name}, over its {limit}"


def is_restricted(app: App) -> Said:
    """Pods meet the restricted Pod Security Standard and have a read-only root, so that the namespace admits them."""
    for workload in of_kind(app.objects, *WORKLOADS):
        pod = workload.pod
        yield from ((workload, each) for each in _pod_level(pod))
        for container in workload.containers:
            context = container.get("securityContext", {})
            for says, holds in _container_level(context, container).items():
                if not holds:
                    yield workload, f"container {container['name']}: {says}"


def _pod_level(pod: Any) -> Iterator[str]:
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
        yield "set runAsNonRoot: true and a runAsUser other than 0"
    if dig(context, "seccompProfile", "type") not in ("RuntimeDefault", "Localhost"):
        yield "set seccompProfile.type: RuntimeDefault"
    if shared := [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]:
        yield f"remove {', '.join(shared)}: the node's own namespaces are not for services"
    for volume in pod.get("volumes", []):
        if strange := set(volume) - {"name"} - _ALLOWED_VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(strange)}; restricted pods may not have it"


def _container_level(context: Any, container: Any) -> dict[str, bool]:
    return {
        "set allowPrivilegeEscalation: false": context.get("allowPrivilegeEscalation") is False,
        "set readOnlyRootFilesystem: true": context.get("readOnlyRootFilesystem") is True,
        "drop all capabilities": dig(context, "capabilities", "drop") == ["ALL"],
        "add no capabilities": not dig(context, "capabilities", "add"),
        "remove privileged": not context.get("privileged"),
        "remove runAsUser: 0": context.get("runAsUser", 1) != 0 and context.get("runAsNonRoot", True) is True,
        "remove hostPort": not any("hostPort" in port for port in container.get("ports", [])),
    }


def has_no_api_token(app: App) -> Said:
    """No service talks to the API server; a token would only be there to be stolen."""
    for each in of_kind(app.objects, "ServiceAccount"):
        if each.at("automountServiceAccountToken") is not False:
            yield each, "set automountServiceAccountToken: false"
    for workload in of_kind(app.objects, *WORKLOADS):
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield workload, "set automountServiceAccountToken: false in the pod"


def has_no_service_links(app: App) -> Said:
    """Kubernetes' invented variables, as in MONITORING_PORT, share the prefix of our settings."""
    for workload in of_kind(app.objects, *WORKLOADS):
        if workload.pod.get("enableServiceLinks") is not False:
            yield workload, "set enableServiceLinks: false in the pod"


def has_time_to_end(app: App) -> Said:
    """The kubelet kills at the end of terminationGracePeriodSeconds, whatever is still in flight."""
    settings = effective_settings(app)
    drain, grace = settings.drain_delay, settings.grace
    needed = drain + grace + _SECONDS_TO_FLUSH
    sum_of = f"drain delay {drain:g}, grace {grace:g} and {_SECONDS_TO_FLUSH} to flush make {needed:g}"
    for workload in of_kind(app.objects, *SERVERS):
        given = workload.pod.get("terminationGracePeriodSeconds", 30)
        if given != needed:
            yield workload, f"terminationGracePeriodSeconds is {given}; {sum_of}"


def is_spread(app: App) -> Said:
    """Pods of a service are kept on different nodes and in different zones where there are some."""
    for workload in of_kind(app.objects, *SERVERS):
        rows = workload.pod.get("topologySpreadConstraints", [])
        own = {NAME_LABEL: app.service.name}
        keys = {row["topologyKey"] for row in rows if dig(row, "labelSelector", "matchLabels") == own}
        if missing := {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} - keys:
            yield workload, f"spread its pods over {', '.join(sorted(missing))} in topologySpreadConstraints"


def gpu_fits(app: App) -> Said:
    """A GPU is asked for whole or as one slice, by a service that declares it, with the image that uses it."""
    for workload in of_kind(app.objects, *SERVERS):
        for container in workload.containers:
            asked = [name for name in dig(container, "resources", "limits", default={}) if "nvidia.com/" in name]
            if not asked:
                continue
            if len(asked) > 1:
                yield workload, f"asks for {' and '.join(sorted(asked))} at once: take one"
            if app.service.content["gpu"] == "none":
                yield workload, f"asks for {asked[0]}, but service.yaml says gpu: none"
            if "-gpu" not in container["image"]:
                yield workload, f"asks for {asked[0]} with the CPU image: use {app.service.name}-gpu"
            if not getattr(effective_settings(app), "gpu", False):
                yield workload, f"asks for {asked[0]}, but {app.service.prefix}GPU is not true"


PODS = (
    image_is_pinned,
    has_probes,
    has_resources,
    is_restricted,
    has_no_api_token,
    has_no_service_links,
    has_time_to_end,
    is_spread,
    gpu_fits,
)
