"""Who may reach which port: the edges that service.yaml declares, and no other."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
from delivery.declarations import EDGE, Port, declared_services
from delivery.manifests import NAME_LABEL
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from storykit.cluster import SERVICES, Cluster
from storykit.mesh import PLAIN
from storykit.pods import namespace, pod, ready_pod, running
from storykit.story import Story

OUTSIDE = "fairlead-e2e-stranger"
HTTPS = Port("https", 443, "https", frozenset())
SETTLED_S = 30.0
SIDECAR = Port("sidecar", 15020, "http", frozenset())  # nobody's, but Prometheus'
# From beside a sidecar that would take the connection itself. All at once: a policy drops packets, so each port that is
# blocked takes the whole two seconds.
REACHED = """
for target in "$@"; do
  (timeout 2 bash -c "exec 3<>/dev/tcp/${target/:/\\/}" 2>/dev/null && echo "$target") &
done
wait
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a pod that runs."""

    service: str
    address: str
    port: Port

    def __str__(self) -> str:
        return f"{self.service}:{self.port.number}"


@pytest.mark.core
@pytest.mark.requirement("E2E-021")
def test_services_reach_the_ports_that_are_declared_for_them_and_no_others(cluster: Cluster, story: Story) -> None:
    with story.given("a running pod of each service"):
        targets = list(targets_of(cluster))
    for service in SERVICES:
        others = [target for target in targets if target.service != service]
        expected = {str(target): service in target.port.open_to for target in others}
        edges = ", ".join(name for name, open_to in expected.items() if open_to) or "nobody"
        with story.then(f"{service} reaches {edges}, and none of {len(expected)} ports besides"):
            await_reached(cluster, ready_pod(cluster, service), others, expected, container="istio-proxy")


@pytest.mark.core
@pytest.mark.requirement("E2E-021")
def test_a_pod_that_nobody_declared_reaches_nothing_in_its_namespace(cluster: Cluster, story: Story) -> None:
    targets = list(targets_of(cluster))
    nothing = {str(target): False for target in targets}
    door = {str(target): target.service == "gateway" and target.port.name == "http" for target in targets}
    with ExitStack() as stack:
        with story.given("a stranger beside the services"):
            stranger = stack.enter_context(running(cluster, pod(cluster, "e2e-stranger", labels=PLAIN)))
        with story.then("it reaches no port"):
            await_reached(cluster, stranger, targets, nothing)
        with story.when("it bears the name of the smoke test, whose edge is declared"):
            label = "app.kubernetes.io/name=gateway-smoke"
            cluster.kubectl.run("label", "pod", stranger, f"--namespace={cluster.namespace}", label)
        with story.then("it reaches the gateway's REST port alone"):
            await_reached(cluster, stranger, targets, door)


@pytest.mark.core
@pytest.mark.requirement("E2E-021")
def test_a_pod_of_another_namespace_reaches_the_door_alone(cluster: Cluster, story: Story) -> None:
    edge = [
        Target(EDGE, each["status"]["podIP"], HTTPS)
        for each in cluster.get("pods", f"--selector={NAME_LABEL}={EDGE}")["items"]
    ]
    targets = [*targets_of(cluster), *edge]
    doors = {str(target): target in edge for target in targets}
    with ExitStack() as stack:
        with story.given("a stranger in a namespace without policies"):
            stack.enter_context(namespace(cluster, OUTSIDE))
            stranger = stack.enter_context(running(cluster, pod(cluster, "e2e-stranger", namespace=OUTSIDE)))
        with story.then("it reaches what callers may reach"):
            await_reached(cluster, stranger, targets, doors, in_namespace=OUTSIDE)


def targets_of(cluster: Cluster) -> Iterator[Target]:
    declared = declared_services(ROOT)
    for service in SERVICES:
        address = cluster.get("pod", ready_pod(cluster, service))["status"]["podIP"]
        ports = [port for port in declared[service].ports if port.in_the_pod]
        yield from (Target(service, address, port) for port in (*ports, SIDECAR))


def reached(
    cluster: Cluster, name: str, targets: list[Target], *, container: str, in_namespace: str
) -> dict[str, bool]:
    where = (f"--namespace={in_namespace or cluster.namespace}", f"--container={container}")
    addresses = {f"{target.address}:{target.port.number}": str(target) for target in targets}
    said = cluster.kubectl.run("exec", name, *where, "--", "bash", "-c", REACHED, "bash", *addresses)
    return {target: address in said.split() for address, target in addresses.items()}


def await_reached(
    cluster: Cluster,
    name: str,
    targets: list[Target],
    expected: Mapping[str, bool],
    *,
    container: str = "story",
    in_namespace: str = "",
) -> None:
    """The agent hears of a new pod, or of its new label, within seconds."""
    found: dict[str, bool] = {}

    def now() -> bool:
        found.update(reached(cluster, name, targets, container=container, in_namespace=in_namespace))
        return found == expected

    with suppress(AssertionError):  # the comparison below says more
        eventually(now, within=SETTLED_S, every=1.0)
    assert found == expected
