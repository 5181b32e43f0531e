"""Rules for what surrounds the services of an environment: Pod Security, quotas, default deny, roles."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from delivery.environments import Environment
from delivery.manifests import SERVERS, Manifest, dig, of_kind
from delivery.quantities import quantity
from delivery.rules.mesh import sidecar_resources

Said = Iterator[tuple[Manifest, str]]

_MESH = ("PeerAuthentication", "AuthorizationPolicy", "Sidecar")
_NAMESPACED = ("ResourceQuota", "LimitRange", "NetworkPolicy", "Role", "RoleBinding", *_MESH)
_REQUIRED = ("Namespace", *_NAMESPACED)
_INJECTION = "istio-injection"
_GUARD = "argocd.argoproj.io/sync-options"
_STORAGE = ("spec", "resources", "requests", "storage")


def surroundings_are_complete(environment: Environment) -> Said:
    """Nothing of what protects a namespace is missing."""
    for kind in _REQUIRED:
        if not list(of_kind(environment.namespaces, kind)):
            yield environment.namespaces[0], f"{environment.name} has no {kind}: clusters/{environment.name}/namespaces"


def namespace_is_restricted(environment: Environment) -> Said:
    """The namespace refuses pods that break the restricted standard, and cannot be pruned with its volumes."""
    for namespace in of_kind(environment.namespaces, "Namespace"):
        if namespace.name != environment.facts.namespace:
            yield namespace, f"its name must be {environment.facts.namespace}, as the facts say"
        if namespace.labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield namespace, "label it pod-security.kubernetes.io/enforce: restricted"
        if namespace.annotations.get(_GUARD) != "Prune=false,Delete=false":
            yield namespace, f"annotate it {_GUARD}: Prune=false,Delete=false; with it would go every volume"
    for each in of_kind(environment.namespaces, *_NAMESPACED):
        if each.namespace != environment.facts.namespace:
            yield each, f"is in namespace {each.namespace!r}, not in {environment.facts.namespace}"


def everything_is_denied_first(environment: Environment) -> Said:
    """What no policy allows is denied, both ways; policies add up, so that none may allow everything again."""
    policies = list(of_kind(environment.namespaces, "NetworkPolicy"))
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in [each.at("spec") for each in policies]:
        first = environment.namespaces[0]
        yield first, "no NetworkPolicy denies everything: podSelector {}, Ingress and Egress, no rules"
    for policy in policies:
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy.at("spec", direction, default=[]):
                if not rule.get(peers) or {} in rule[peers]:
                    yield policy, f"allows {direction} {peers} everywhere: name namespaces and pods"


def the_mesh_denies_first(environment: Environment) -> Said:
    """Every pod is in the mesh, takes mutual TLS alone, and calls and serves nobody until something says so."""
    for namespace in of_kind(environment.namespaces, "Namespace"):
        if namespace.labels.get(_INJECTION) != "enabled":
            yield namespace, f"label it {_INJECTION}: enabled; without a sidecar a pod has no identity"
    for kind, spec in _FIRST.items():
        for each in of_kind(environment.namespaces, kind):
            if each.content.get("spec") != spec:
                yield each, f"here its spec is exactly {spec}; what a service needs besides is in its own folder"


# For the whole namespace: none of them selects pods.
_FIRST: Mapping[str, object] = {
    "PeerAuthentication": {"mtls": {"mode": "STRICT"}},
    "AuthorizationPolicy": {},
    "Sidecar": {"egress": [{"hosts": ["~/*"]}]},
}


def roles_are_narrow(environment: Environment) -> Said:
    """People may look; they change things through git. Nobody reads secrets."""
    for role in of_kind(environment.namespaces, "Role", "ClusterRole"):
        for rule in role.at("rules", default=[]):
            words = set(chain(rule.get("apiGroups", []), rule.get("resources", []), rule.get("verbs", [])))
            if "*" in words:
                yield role, "a wildcard grants what nobody decided: list groups, resources and verbs"
            if "secrets" in words:
                yield role, "grants secrets; nobody needs to read them here"
            if found := words & {"escalate", "bind", "impersonate", "pods/exec", "pods/attach"}:
                yield role, f"grants {', '.join(sorted(found))}, which is as good as everything"


def quota_fits_the_services(environment: Environment) -> Said:
    """At the size that autoscalers begin with, and as much again for a canary, everything fits into the quota."""
    needed = {"requests.cpu": 0.0, "requests.memory": 0.0, "limits.memory": 0.0, "pods": 0.0, "requests.storage": 0.0}
    for app in environment.apps.values():
        least = {
            each.at("spec", "scaleTargetRef", "name"): each.at("spec", "minReplicas", default=1)
            for each in of_kind(app.objects, "HorizontalPodAutoscaler")
        }
        rolled = {each.name: each.at("spec", "replicas", default=1) for each in of_kind(app.objects, "Rollout")}
        for workload in of_kind(app.objects, *SERVERS):
            known = rolled.get(workload.name, workload.at("spec", "replicas", default=1))
            pods = least.get(workload.name, known)
            # Before the last step of a canary there are as many pods of it as of stable.
            pods += pods if workload.name in rolled else 0
            needed["pods"] += pods
            for resources in _all_resources(workload):
                for name in ("requests.cpu", "requests.memory", "limits.memory"):
                    side, resource = name.split(".")
                    needed[name] += pods * quantity(dig(resources, side, resource, default=0))
            for claim in workload.at("spec", "volumeClaimTemplates", default=[]):
                needed["requests.storage"] += quantity(dig(claim, *_STORAGE, default=0))
    for quota in of_kind(environment.namespaces, "ResourceQuota"):
        for name, amount in needed.items():
            hard = quota.at("spec", "hard", default={}).get(name)
            if hard is None or quantity(hard) < amount:
                yield quota, f"{name} is {hard}; the services at their smallest, during a release, need {amount:g}"


def _all_resources(workload: Manifest) -> list[Any]:
    """Return the resources of every container of a pod, its sidecar included."""
    return [*(container.get("resources", {}) for container in workload.containers), sidecar_resources(workload)]


def limits_admit_the_services(environment: Environment) -> Said:
    """No container asks for more than the LimitRange admits: its pods would be refused one by one."""
    for limits in of_kind(environment.namespaces, "LimitRange"):
        most = {row["type"]: row.get("max", {}) for row in limits.at("spec", "limits", default=[])}
        for app in environment.apps.values():
            for workload in of_kind(app.objects, *SERVERS):
                for resources in _all_resources(workload):
                    for name, limit in dig(resources, "limits", default={}).items():
                        highest = most.get("Container", {}).get(name)
                        if highest is not None and quantity(limit) > quantity(highest):
                            yield workload, f"its limit of {limit} {name} is over the {highest} of {limits}"
                for claim in workload.at("spec", "volumeClaimTemplates", default=[]):
                    size = dig(claim, *_STORAGE, default=0)
                    highest = most.get("PersistentVolumeClaim", {}).get("storage")
                    if highest is not None and quantity(size) > quantity(highest):
                        yield workload, f"its volume of {size} is over the {highest} of {limits}"


NAMESPACES = (
    surroundings_are_complete,
    namespace_is_restricted,
    everything_is_denied_first,
    the_mesh_denies_first,
    roles_are_narrow,
    quota_fits_the_services,
    limits_admit_the_services,
)
