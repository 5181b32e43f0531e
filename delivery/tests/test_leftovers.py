"""Settings stay as long as a pod, or a revision that one can go back to, needs them; then they go."""

from typing import Any

import pytest
from delivery.push.leftovers import leftovers

KEPT = {"argocd.argoproj.io/sync-options": "Prune=false"}


def configmap(name: str, annotations: dict[str, str] = KEPT) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations}}


def uses(kind: str, settings: str) -> dict[str, Any]:
    pod = {"containers": [{"name": "gateway", "envFrom": [{"configMapRef": {"name": settings}}]}, {"name": "proxy"}]}
    return {"kind": kind, "metadata": {"name": "any"}, "spec": pod if kind == "Pod" else {"template": {"spec": pod}}}


@pytest.mark.requirement("CANARY-005")
@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet", "Pod"])
def test_settings_that_something_needs_stay_and_others_go(kind: str) -> None:
    found = leftovers(
        [configmap("gateway-settings-old"), configmap("gateway-settings-new"), uses(kind, "gateway-settings-new")]
    )
    assert found == ["gateway-settings-old"]


@pytest.mark.requirement("CANARY-005")
def test_what_argo_cd_prunes_is_left_to_it() -> None:
    assert leftovers([configmap("gateway-smoke-1", {}), configmap("kube-root-ca.crt", {})]) == []
