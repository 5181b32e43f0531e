"""Rules for the network: the declared call graph is what policies allow, no more and no less."""

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.declarations import EDGE, Declaration
from delivery.environments import App
from delivery.manifests import NAME_LABEL, Manifest, dig, of_kind
from delivery.rules.effective import own_containers

Said = Iterator[tuple[Manifest, str]]
Edge = tuple[str, str, int]

_OPTIONS = "argocd.argoproj.io/sync-options"
_REPLACED = "Replace=true"
_ANYBODY = "anybody"
_PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}


def edges_are_declared(app: App, services: Mapping[str, Declaration]) -> Said:
    """Ingress and egress of NetworkPolicies are the edges of service.yaml."""
    expected = _declared(app.service, services)
    door = {(_ANYBODY, EDGE, number) for number in open_ports(app)} if _has_door(app.service) else set()
    allowed: set[Edge] = set()
    for policy in of_kind(app.objects, "NetworkPolicy"):
        if leads_outside(policy, app):
            continue
        for edge in _edges(policy):
            if edge is None:
                yield policy, "allows more than pods by name on ports by number: name one service and its port"
            elif edge in expected | door or _is_a_caller(edge, services):
                allowed.add(edge)
            else:
                yield policy, f"allows {_spoken(edge)}, which no service.yaml declares"
    for edge in sorted(expected - allowed):
        yield app.objects[0], f"no NetworkPolicy allows {_spoken(edge)}, which service.yaml declares"


def _declared(service: Declaration, services: Mapping[str, Declaration]) -> set[Edge]:
    inward = {(peer, service.name, port.number) for port in service.ports for peer in _peers(port.open_to, services)}
    outward = {
        (service.name, callee, port.number)
        for callee in service.content["calls"]
        for port in services[callee].ports
        if service.name in port.open_to
    }
    return inward | outward


def _peers(open_to: frozenset[str], services: Mapping[str, Declaration]) -> set[str]:
    return {peer for peer in open_to if peer in services or peer == EDGE}


def _is_a_caller(edge: Edge, services: Mapping[str, Declaration]) -> bool:
    """A pod that is no service, as a smoke test, may use what callers use through the edge."""
    source, target, number = edge
    ports = services[target].ports if target in services else ()
    return source not in {*services, _ANYBODY} and any(port.number == number and EDGE in port.open_to for port in ports)


def _has_door(service: Declaration) -> bool:
    return any(EDGE in port.open_to for port in service.ports)


def open_ports(app: App) -> set[int]:
    """Return the ports on which anybody may come in: those of the Gateway's listeners."""
    gateways = (each for each in of_kind(app.objects, "Gateway") if each.group == "gateway.networking.k8s.io")
    return {row["port"] for each in gateways for row in each.at("spec", "listeners", default=[])}


def leads_outside(policy: Manifest, app: App) -> bool:
    """Whether a policy lets a service reach what a ServiceEntry names, on its ports, and nothing inside the network."""
    for entry in of_kind(app.objects, "ServiceEntry"):
        if policy.name != f"{app.service.name}-to-{entry.name}" or policy.at("spec", "ingress"):
            continue
        rows = policy.at("spec", "egress", default=[])
        ports = [_port(row) for rule in rows for row in rule.get("ports") or [{}]]
        blocks = [dig(peer, "ipBlock", default={}) for rule in rows for peer in rule.get("to") or [{}]]
        declared = [row["number"] for row in entry.at("spec", "ports")]
        its_own = _name(policy.at("spec")) == app.service.name
        return its_own and sorted(ports, key=str) == sorted(declared) and all(map(_is_outside, blocks))
    return False


def _is_outside(block: Mapping[str, Any]) -> bool:
    """One address, or any but private ones."""
    return block.get("cidr", "").endswith("/32") or set(block.get("except", [])) >= _PRIVATE


def _edges(policy: Manifest) -> Iterator[Edge | None]:
    """Return the edges that a policy allows, and None for what names no single service or port."""
    own = _name(policy.at("spec"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy.at("spec", direction, default=[]):
            others = [_name(peer) for peer in rule.get(peers, [])] or [_ANYBODY if direction == "ingress" else ""]
            numbers = [_port(port) for port in rule.get("ports") or [{}]]
            for other in others:
                for number in numbers:
                    known = own and other and isinstance(number, int)
                    ends = (other, own) if direction == "ingress" else (own, other)
                    yield (*ends, number) if known else None


def _port(row: Mapping[str, Any]) -> Any:
    """Return the one port that a row allows; None when it allows more."""
    return None if "endPort" in row else row.get("port")


def _name(peer: Any) -> str:
    """Return the service that a peer selects; empty when it is anything else."""
    if set(peer) - {"podSelector", "policyTypes", "ingress", "egress"}:
        return ""
    labels = dig(peer, "podSelector", "matchLabels", default={})
    return labels[NAME_LABEL] if set(labels) == {NAME_LABEL} else ""


def _spoken(edge: Edge) -> str:
    return f"{edge[0]} to {edge[1]} on port {edge[2]}"


def service_has_the_declared_ports(app: App) -> Said:
    """The Service offers what service.yaml declares, each port with its protocol: meshes need it by name."""
    expected = {(port.name, port.number, port.protocol) for port in app.service.ports if port.in_the_service}
    for service in of_kind(app.objects, "Service"):
        rows = service.at("spec", "ports", default=[])
        found = {(row.get("name"), row.get("port"), row.get("appProtocol")) for row in rows}
        if found != expected:
            yield service, f"ports (name, port, appProtocol) are {sorted(found, key=str)}, declared {sorted(expected)}"
        if wrong := [row["name"] for row in rows if row.get("targetPort") != row.get("name")]:
            yield service, f"targetPort of {', '.join(wrong)} must be the port's own name"


def pod_has_the_declared_ports(app: App) -> Said:
    """The container names every port that anything outside it may reach."""
    expected = {(port.name, port.number) for port in app.service.ports if port.in_the_pod}
    for container in own_containers(app):
        found = {(row.get("name"), row.get("containerPort")) for row in container.get("ports", [])}
        if found != expected:
            workload = next(of_kind(app.objects, "Deployment", "StatefulSet"))
            yield workload, f"container ports are {sorted(found, key=str)}, declared {sorted(expected)}"


def services_stay_inside(app: App) -> Said:
    """Callers come in by the edge; no Service of our own can be reached from outside."""
    for service in of_kind(app.objects, "Service"):
        if (found := service.at("spec", "type", default="ClusterIP")) != "ClusterIP":
            yield service, f"is of type {found}: callers come in by the edge, so it is ClusterIP"


def a_changed_port_can_be_undone(app: App) -> Said:
    """Ports are merged by number: one that was changed by hand would stay beside the right one, and be refused."""
    for service in of_kind(app.objects, "Service"):
        if _REPLACED not in service.annotations.get(_OPTIONS, "").split(","):
            yield service, f"annotate it {_OPTIONS}: {_REPLACED}; merging cannot take back a port changed by hand"


NETWORK = (
    service_has_the_declared_ports,
    pod_has_the_declared_ports,
    services_stay_inside,
    a_changed_port_can_be_undone,
)
