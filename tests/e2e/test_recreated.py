"""What is deleted comes back, with what it knew."""

import time

import pytest
from local_stack.eventually import eventually
from local_stack.first_picture import Answer, NoAnswer
from storykit.cluster import Cluster
from storykit.remembered import await_remembered
from storykit.story import Story

BACK_S = 180.0
# All that Argo CD makes of a service. A volume is nobody's to delete: it is the StatefulSet's, and outlives it.
OBJECTS = (
    "rollouts,statefulsets,deployments,services,configmaps,serviceaccounts,networkpolicies,hpa,pdb,"
    "virtualservices,destinationrules,authorizationpolicies,sidecars"
)
VOLUME = "data-monitoring-0"


@pytest.mark.core
@pytest.mark.requirement("E2E-027")
def test_monitoring_deleted_and_recreated_remembers_every_prediction(cluster: Cluster, story: Story) -> None:
    with story.given("predictions that monitoring shows"):
        before = asked(cluster)
        volume, first = uid(cluster, "pvc", VOLUME), uid(cluster, "statefulset", "monitoring")
    with story.when("everything of monitoring is deleted"):
        began = time.monotonic()
        delete_all(cluster, "monitoring")
    with story.then("all of it is back"):
        await_created(cluster, "statefulset/monitoring")
        cluster.await_healthy(within=BACK_S)
        story.measured("monitoring deleted, healthy again", time.monotonic() - began)
        assert uid(cluster, "statefulset", "monitoring") != first
    with story.then("it has the same volume, and remembers"):
        assert uid(cluster, "pvc", VOLUME) == volume
        await_remembered(cluster, *before)
    with story.then("it records what comes now"):
        asked(cluster)


@pytest.mark.requirement("E2E-027")
def test_the_gateway_deleted_and_recreated_serves_at_the_same_door(cluster: Cluster, story: Story) -> None:
    with story.when("everything of the gateway is deleted"):
        began = time.monotonic()
        delete_all(cluster, "gateway")
    with story.then("the door answers again"):
        await_created(cluster, "deployment/gateway")
        eventually(lambda: answers(cluster), within=BACK_S, every=0.5)
        story.measured("gateway deleted, door answers again", time.monotonic() - began)
        cluster.await_healthy(within=BACK_S)


@pytest.mark.requirement("E2E-028")
def test_an_application_deleted_by_hand_comes_back_without_a_restart_of_what_it_deployed(
    cluster: Cluster, story: Story
) -> None:
    with story.given("pods that serve"):
        pods = {name: uids(cluster, name) for name in ("monitoring", "inference")}
    for name in pods:
        with story.when(f"the application {name} is deleted"):
            cluster.kubectl.run("delete", "application", name, "--namespace=argocd")
    with story.then("both are back, synced and healthy"):
        for name in pods:
            await_created(cluster, f"application/{name}", namespace="argocd")
        cluster.await_healthy(within=BACK_S)
    with story.then("the same pods serve"):
        assert {name: uids(cluster, name) for name in pods} == pods
        assert cluster.predict()[0].label == "7"


def await_created(cluster: Cluster, what: str, *, namespace: str = "") -> None:
    """Argo CD calls an application healthy until it has noticed what is gone."""
    where = f"--namespace={namespace or cluster.namespace}"
    cluster.kubectl.run("wait", what, where, "--for=create", f"--timeout={BACK_S:.0f}s", timeout_s=BACK_S + 10)


def asked(cluster: Cluster) -> tuple[Answer, ...]:
    answers = cluster.predict()
    await_remembered(cluster, *answers)
    return answers


def answers(cluster: Cluster) -> bool:
    try:
        return cluster.predict()[0].label == "7"
    except (OSError, NoAnswer):
        return False


def delete_all(cluster: Cluster, service: str) -> None:
    selection = (f"--namespace={cluster.namespace}", f"--selector=app.kubernetes.io/name={service}")
    cluster.kubectl.run("delete", OBJECTS, *selection)


def uid(cluster: Cluster, kind: str, name: str) -> str:
    return str(cluster.get(kind, name)["metadata"]["uid"])


def uids(cluster: Cluster, service: str) -> set[str]:
    found = cluster.get("pods", f"--selector=app.kubernetes.io/name={service}")["items"]
    return {pod["metadata"]["uid"] for pod in found}
