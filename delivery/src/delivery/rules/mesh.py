"""Rules for the mesh: who may call what, by identity and method; guarded calls; nothing that goes around a sidecar."""

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.declarations import EDGE, ROLLOUTS, Declaration, Port
from delivery.environments import App
from delivery.manifests import NAME_LABEL, SERVERS, WORKLOADS, Manifest, dig, of_kind
from delivery.quantities import quantity
from delivery.rules.effective import effective_settings

Said = Iterator[tuple[Manifest, str]]
Allowed = tuple[str, int, str]
"""Who, which port, which path; an empty path is every path."""

_INJECTED = "sidecar.istio.io/"
_RESOURCES = {"cpu": ("proxyCPU", "proxyCPULimit"), "memory": ("proxyMemory", "proxyMemoryLimit")}
_AROUND = ("traffic.sidecar.istio.io/", "sidecar.istio.io/inject", "sidecar.istio.io/interceptionMode")
_MOST_EJECTED = 50


def policies_are_the_declared_edges(app: App, services: Mapping[str, Declaration]) -> Said:
    """Per edge of service.yaml one AuthorizationPolicy: whose identity, which port, which gRPC methods."""
    missing = _declared_calls(app.service)
    for policy in of_kind(app.objects, "AuthorizationPolicy"):
        selected = policy.at("spec", "selector", "matchLabels", default={})
        service = services.get(selected.get(NAME_LABEL, "")) if set(selected) == {NAME_LABEL} else None
        if service is None:
            if not _is_of_the_door(policy) and any(_allowed(policy)):
                yield policy, f"selects no service by {NAME_LABEL} alone: it may allow calls of any of them"
            continue
        declared = _declared_calls(service)
        if service.name == app.service.name:
            missing -= set(_allowed(policy))
        for who, number, path in _allowed(policy):
            port = next((each for each in service.ports if each.number == number), None)
            if (who, number, path) not in declared and not (port and _is_a_door_to(who, port, app, services)):
                yield policy, f"allows {who or 'anybody'} {path or 'everything'} on port {number}: not declared"
    for who, number, path in sorted(missing):
        yield app.objects[0], f"no AuthorizationPolicy allows {who} {path} on port {number}, as service.yaml does"


def _declared_calls(service: Declaration) -> set[Allowed]:
    return {
        (peer, port.number, f"/{method}")
        for port in service.ports
        for peer, methods in port.methods.items()
        for method in methods
    }


def _is_of_the_door(policy: Manifest) -> bool:
    """Whether it is for the ingress alone, which is no pod of a service."""
    targets = {(row["kind"], row["name"]) for row in policy.at("spec", "targetRefs", default=[])}
    return targets == {("Gateway", EDGE)}


def _allowed(policy: Manifest) -> Iterator[Allowed]:
    if policy.at("spec", "action", default="ALLOW") != "ALLOW":
        return  # it takes away, and gives nothing
    for rule in policy.at("spec", "rules", default=[]):
        whose = [account for each in rule.get("from", []) for account in _accounts(each)] or [""]
        what = [each.get("operation", {}) for each in rule.get("to", [])] or [{}]
        for operation in what:
            for number in operation.get("ports", ["0"]):
                yield from ((who, int(number), path) for who in whose for path in operation.get("paths", [""]))


def _accounts(each: Any) -> list[str]:
    """Return the identities of a source; everything else that it may name is nobody's in particular."""
    source = each.get("source", {})
    named: list[str] = source.get("serviceAccounts", []) if set(source) == {"serviceAccounts"} else []
    return named or [""]


def _is_a_door_to(who: str, port: Port, app: App, services: Mapping[str, Declaration]) -> bool:
    """Whether a caller that is no service comes in here: with an identity, or through a door that asks for none."""
    if who in services:
        return False
    return port.number in _plain_ports(app) if not who else EDGE in port.open_to


def _plain_ports(app: App) -> set[int]:
    found = of_kind(app.objects, "PeerAuthentication")
    levels = [each.at("spec", "portLevelMtls", default={}) for each in found]
    return {int(number) for level in levels for number, mtls in level.items() if mtls.get("mode") != "STRICT"}


def only_the_door_is_plain(app: App) -> Said:
    """Mutual TLS everywhere, but where a controller comes in that has no sidecar."""
    doors = {port.number for port in app.service.ports if ROLLOUTS in port.open_to}
    for each in of_kind(app.objects, "PeerAuthentication"):
        if each.at("spec", "mtls", "mode") != "STRICT" or not each.at("spec", "selector"):
            yield each, "is for one service and of mode STRICT, with exceptions per port at most"
        if wrong := _plain_ports(app) - doors:
            yield each, f"takes plain text on {', '.join(map(str, sorted(wrong)))}, where callers have sidecars"


def sidecars_reach_what_is_called(app: App, services: Mapping[str, Declaration]) -> Said:
    """Whoever calls has a Sidecar resource that names its callees; the namespace's own, for all others, names none."""
    scopes = {
        each.at("spec", "workloadSelector", "labels", NAME_LABEL, default=""): each
        for each in of_kind(app.objects, "Sidecar")
    }
    doors = [name for name, each in services.items() if any(EDGE in port.open_to for port in each.ports)]
    for workload in of_kind(app.objects, *WORKLOADS):
        pod = workload.pod_labels.get(NAME_LABEL, "")
        callees = services[pod].content["calls"] if pod in services else doors
        if callees and pod not in scopes:
            yield workload, f"calls {', '.join(callees)}, but no Sidecar selects its pods by {NAME_LABEL}: {pod}"
    for pod, scope in scopes.items():
        hosts = {host for row in scope.at("spec", "egress", default=[]) for host in row.get("hosts", [])}
        callees = services[pod].content["calls"] if pod in services else doors
        wanted = {f"./{each}.{app.facts.namespace}.svc.cluster.local" for each in callees}
        if pod in services:  # what is outside, a service declares beside itself
            entries = of_kind(app.objects, "ServiceEntry")
            wanted |= {f"./{host}" for each in entries for host in each.at("spec", "hosts")}
        if hosts != wanted:
            yield scope, f"reaches {_listed(hosts) or 'everything'}; service.yaml calls {_listed(wanted) or 'nobody'}"
        if scope.at("spec", "outboundTrafficPolicy", "mode", default="REGISTRY_ONLY") != "REGISTRY_ONLY":
            yield scope, "lets its pods call what nobody declared: remove outboundTrafficPolicy"


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))


def calls_are_guarded(app: App) -> Said:
    """Whoever calls does so by mutual TLS, bounded, and leaves out pods that fail, but never more than half of them."""
    rules = [each for each in of_kind(app.objects, "DestinationRule") if each.name == app.service.name]
    if not rules:
        yield app.objects[0], f"{app.service.name} needs a DestinationRule of its name"
    for each in rules:
        policies = [each.at("spec", "trafficPolicy", default={})]
        policies += [row["trafficPolicy"] for row in each.at("spec", "subsets", default=[]) if "trafficPolicy" in row]
        for policy in policies:
            outliers = policy.get("outlierDetection", {})
            if dig(policy, "tls", "mode") != "ISTIO_MUTUAL":
                yield each, "set trafficPolicy.tls.mode: ISTIO_MUTUAL"
            if not 0 < outliers.get("maxEjectionPercent", 0) <= _MOST_EJECTED:
                yield each, f"set maxEjectionPercent, to {_MOST_EJECTED} at most: the others have to carry the load"
            if outliers.get("minHealthPercent", 0) < 100 - outliers.get("maxEjectionPercent", 0):
                yield each, "set minHealthPercent: with fewer healthy pods than that, all of them are tried"


def breakers_open_after_admission(app: App) -> Said:
    """A service at its bound says so itself, in its own words; the mesh's breaker is for one that does not."""
    settings = effective_settings(app)
    bound = getattr(settings, "max_in_flight", 1) + getattr(settings, "max_queued", 0)
    pods = max((each.at("spec", "maxReplicas") for each in of_kind(app.objects, "HorizontalPodAutoscaler")), default=1)
    fields = (("tcp", "maxConnections"), ("http", "http1MaxPendingRequests"), ("http", "http2MaxRequests"))
    for each in of_kind(app.objects, "DestinationRule"):
        for path in fields:
            limit = each.at("spec", "trafficPolicy", "connectionPool", *path, default=0)
            if limit < bound * pods:
                yield each, f"{path[-1]} is {limit}, and {pods} pods admit {bound} each: {bound * pods} or more"


def the_mesh_adds_no_failures(app: App, services: Mapping[str, Declaration]) -> Said:
    """Retries are the gateway's, deadlines are the caller's, faults are for trying out on one's own machine."""
    callers = [each for each in services.values() if app.service.name in each.content["calls"]]
    settings = [effective_settings(app), *(caller.settings() for caller in callers)]
    longest = max(getattr(each, "max_timeout", 0) for each in settings)
    for each in of_kind(app.objects, "VirtualService"):
        for route in each.at("spec", "http", default=[]):
            if dig(route, "retries", "attempts", default=0):
                yield each, "retries in the mesh multiply those of the gateway: remove retries, or set attempts: 0"
            if "timeout" in route and _seconds(route["timeout"]) < longest:
                yield each, f"its timeout of {route['timeout']} is less than the longest deadline, {longest:g} s"
            if "fault" in route and app.facts.environment != "local":
                yield each, "injects a fault; only local may"


def _seconds(duration: str) -> float:
    """Read what the mesh writes as 60s, 1m or 500ms."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if duration.endswith(unit):
            return float(duration.removesuffix(unit)) * factor
    return 0.0


def pods_are_in_the_mesh(app: App) -> Said:
    """A sidecar is injected, takes all traffic of its pod, and says what it may use."""
    for workload in of_kind(app.objects, *WORKLOADS):
        annotations = workload.pod_annotations
        marks = {**annotations, **workload.pod_labels}
        if around := [name for name in marks if name.startswith(_AROUND)]:
            yield workload, f"goes around its sidecar: remove {', '.join(sorted(around))}"
        for request, limit in _RESOURCES.values():
            asked, most = (annotations.get(f"{_INJECTED}{each}") for each in (request, limit))
            if asked is None or most is None or quantity(asked) > quantity(most):
                yield workload, f"annotate its pods with {_INJECTED}{request} and a {limit} that is no smaller"


def sidecar_resources(workload: Manifest) -> dict[str, dict[str, Any]]:
    """Return what the sidecar of a pod will have, as its annotations say, in the form of a container's resources."""
    annotations = workload.pod_annotations
    return {
        side: {name: annotations.get(f"{_INJECTED}{each[index]}", 0) for name, each in _RESOURCES.items()}
        for index, side in enumerate(("requests", "limits"))
    }


def metrics_are_scraped(app: App) -> Said:
    """Prometheus asks the sidecar, which has to know where the metrics of its pod are."""
    ports = [port.number for port in app.service.ports if port.name in ("operations", "metrics")]
    for workload in of_kind(app.objects, *SERVERS):
        annotations = workload.pod_annotations
        targets = annotations.get("prometheus.istio.io/scrape-targets", "")
        found = [int(each.partition(":")[0]) for each in targets.split(",") if each]
        found = found or [int(annotations.get("prometheus.io/port", "0"))]
        if annotations.get("prometheus.io/scrape") != "true" or sorted(found) != sorted(ports):
            yield workload, f"its annotations have ports {found} scraped; service.yaml has metrics on {ports}"


MESH = (
    only_the_door_is_plain,
    calls_are_guarded,
    breakers_open_after_admission,
    pods_are_in_the_mesh,
    metrics_are_scraped,
)
MESH_OF_ALL = (policies_are_the_declared_edges, sidecars_reach_what_is_called, the_mesh_adds_no_failures)
