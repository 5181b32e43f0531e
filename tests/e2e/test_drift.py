"""What is changed on the cluster by hand does not stay: git says what runs."""

from collections.abc import Callable
from statistics import median

import pytest
from storykit.by_hand import ByHand, Deleted, Edited
from storykit.cluster import Cluster
from storykit.story import Story

TARGET_S = 15
OF_ARGO_CD: list[ByHand] = [
    Edited("application", "gateway", "/spec/syncPolicy/automated/selfHeal", False, namespace="argocd"),
    Edited("applicationset", "support", "/spec/template/spec/syncPolicy/automated/selfHeal", False, namespace="argocd"),
    Edited("appproject", "services", "/spec/destinations/0/namespace", "*", namespace="argocd"),
    Deleted("application", "preprocessing", namespace="argocd"),
]
REPEATED = 5


def edits(cluster: Cluster) -> list[ByHand]:
    unknown = "fairlead/preprocessing:by-hand"
    return [
        Edited("deployment", "preprocessing", "/spec/template/spec/containers/0/image", unknown),
        Edited("statefulset", "monitoring", "/spec/replicas", 0),
        Edited("service", "monitoring", "/spec/ports/1/port", 80),
        Edited("configmap", settings_of(cluster), "/data/PREPROCESSING_LOG_LEVEL", "error"),
        Edited("role", "operator", "/rules/0/resources/0", "secrets"),
    ]


def deletions(cluster: Cluster) -> list[ByHand]:
    return [
        Deleted("service", "monitoring"),
        Deleted("configmap", settings_of(cluster)),
        Deleted("networkpolicy", "deny-all"),
        Deleted("poddisruptionbudget", "inference"),
    ]


@pytest.mark.core
@pytest.mark.requirement("E2E-020")
@pytest.mark.parametrize("changes", [edits, deletions])
def test_a_manual_change_of_a_live_object_is_undone(
    changes: Callable[[Cluster], list[ByHand]], cluster: Cluster, story: Story
) -> None:
    undone = [tell(each, cluster, story) for each in changes(cluster)]
    with story.then("everything is as git says"):
        cluster.await_healthy()
    for change, seconds in undone:
        story.measured(f"undone: {change}", seconds, target=TARGET_S)


@pytest.mark.requirement("E2E-020")
def test_a_manual_change_of_what_argo_cd_is_told_is_undone(cluster: Cluster, story: Story) -> None:
    undone = [tell(each, cluster, story) for each in OF_ARGO_CD]
    with story.then("everything is as git says"):
        cluster.await_healthy()
    for change, seconds in undone:
        story.measured(f"undone: {change}", seconds, target=TARGET_S)


@pytest.mark.requirement("E2E-020")
def test_the_fifth_manual_change_in_a_row_is_undone_as_soon_as_the_first(cluster: Cluster, story: Story) -> None:
    """Argo CD waits longer before each further correction of the same commit; our settings bound that."""
    change = Edited("poddisruptionbudget", "inference", "/spec/maxUnavailable", 2)
    seconds = [tell(change, cluster, story)[1] for _ in range(REPEATED)]
    with story.then("everything is as git says"):
        cluster.await_healthy()
    story.measured(f"undone: {change}, median of {REPEATED} times in a row", median(seconds), target=TARGET_S)
    story.measured(f"undone: {change}, slowest of {REPEATED} times in a row", max(seconds), target=TARGET_S)


def tell(change: ByHand, cluster: Cluster, story: Story) -> tuple[ByHand, float]:
    with story.when(f"{change} by hand, it is undone"):
        return change, change.undone(cluster)


def settings_of(cluster: Cluster) -> str:
    """A ConfigMap's name carries a hash of its content: only the cluster knows it."""
    containers = cluster.get("deployment", "preprocessing")["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["envFrom"][0]["configMapRef"]["name"])
