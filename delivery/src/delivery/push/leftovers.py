"""Settings that git has no more and nothing needs any more: Argo CD leaves them, for stable's pods need theirs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl

from delivery.manifests import dig

_KINDS = "configmaps,pods,deployments.apps,replicasets.apps,statefulsets.apps"
_SYNC = "argocd.argoproj.io/sync-options"
_KEPT = "Prune=false"


def sweep(kubectl: Kubectl, namespace: str) -> list[str]:
    """Remove them and return their names; what cannot be removed now is removed by the next push."""
    where = f"--namespace={namespace}"
    try:
        found = leftovers(json.loads(kubectl.run("get", _KINDS, where, "--output=json"))["items"])
        if found:
            kubectl.run("delete", "configmap", *found, where)
    except CommandFailed:
        return []
    return found


def leftovers(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the settings that no pod has and no revision that one can go back to."""
    objects = list(items)
    needed = {name for each in objects for name in _settings_of(each)}
    kept = [
        str(each["metadata"]["name"])
        for each in objects
        if each["kind"] == "ConfigMap" and each["metadata"].get("annotations", {}).get(_SYNC) == _KEPT
    ]
    return sorted(set(kept) - needed)


def _settings_of(item: Mapping[str, Any]) -> Iterator[str]:
    pod = item.get("spec", {}) if item["kind"] == "Pod" else dig(item, "spec", "template", "spec", default={})
    for container in pod.get("containers", []):
        for source in container.get("envFrom", []):
            yield str(dig(source, "configMapRef", "name", default=""))
