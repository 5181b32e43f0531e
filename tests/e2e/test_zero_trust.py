"""Who may call whom: refused for what they are, not by accident, for the right caller gets an answer."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from delivery.declarations import Declaration, Port, declared_services
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from storykit.cluster import SERVICES, Cluster
from storykit.mesh import PLAIN, Call, answers, called, visitor
from storykit.pods import python, ready_pod
from storykit.story import Story

SETTLED_S = 30.0
DENIED = ("PERMISSION_DENIED", "RBAC: access denied")
HUNG_UP = {"resets", "closes"}
# What a service itself has to say of a call without content.
THROUGH = ("OK", "INVALID_ARGUMENT", "NOT_FOUND")
STREAMS = ("fairlead.monitoring.v1.MonitoringService/RecordPredictions",)
# They exist, and no service calls them.
UNDECLARED = {
    "inference": "grpc.health.v1.Health/Check",
    "monitoring": "fairlead.monitoring.v1.MonitoringService/ListPredictions",
    "preprocessing": "fairlead.preprocessing.v1.PreprocessingService/Describe",
}
SAID = """
import json, socket, sys

def said(address, port):
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return "answers" if connection.recv(64) else "closes"
    except ConnectionError:
        return "resets"
    except OSError:
        return "is silent"

print(json.dumps([said(*each) for each in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def declared() -> dict[str, Declaration]:
    return declared_services(ROOT)


@pytest.mark.core
@pytest.mark.requirement("MESH-002")
@pytest.mark.requirement("MESH-003")
def test_a_declared_caller_gets_through_with_declared_methods_and_nobody_else_with_any(
    cluster: Cluster, declared: dict[str, Declaration], story: Story
) -> None:
    calls = list(declared_calls(declared))
    others = [Call(each.address, f"/{UNDECLARED[each.address.partition(':')[0]]}") for each in calls]
    others = list(dict.fromkeys(others))
    with ExitStack() as stack:
        with story.given("a pod that is the gateway, by its certificate"):
            gateway = stack.enter_context(visitor(cluster, "gateway"))
        with story.then(f"{len(calls)} declared methods are let through"):
            await_answers(cluster, gateway, calls, refused=False)
        with story.then(f"{len(others)} others of the same services are refused"):
            await_answers(cluster, gateway, others, refused=True)
    for account, who in (("preprocessing", "a service for which no edge is declared"), ("default", "nobody we know")):
        with ExitStack() as stack:
            with story.given(f"a pod that is {who}"):
                stranger = stack.enter_context(visitor(cluster, account))
            with story.then("every method is refused"):
                await_answers(cluster, stranger, [*calls, *others], refused=True)


@pytest.mark.core
@pytest.mark.requirement("MESH-001")
def test_plain_text_is_refused_on_every_port(cluster: Cluster, declared: dict[str, Declaration], story: Story) -> None:
    addresses = {service: pod_address(cluster, service) for service in SERVICES}
    ports = {f"{name}:{port.number}": (addresses[name], port.number) for name, port in all_ports(declared)}
    with ExitStack() as stack:
        with story.given("a pod without a sidecar, whom no NetworkPolicy stops"):
            stranger = stack.enter_context(visitor(cluster, "gateway", labels=PLAIN))
        with story.then("it reaches what asks for no certificate, so the network is open"):
            eventually(lambda: said(cluster, stranger, api_server(cluster)) == "answers", within=SETTLED_S, every=1)
        with story.then(f"{len(ports)} ports of services hang up"):
            found = {port: said(cluster, stranger, address) for port, address in ports.items()}
            assert set(found.values()) <= HUNG_UP, found
    with story.then("who comes in by the door is answered"):
        cluster.predict()


@pytest.mark.core
@pytest.mark.requirement("MESH-004")
def test_a_pod_reaches_nothing_that_is_not_in_its_sidecar(cluster: Cluster, story: Story) -> None:
    outside = api_server(cluster)
    inside = (pod_address(cluster, "inference"), 9093)
    with ExitStack() as stack:
        with story.given("a pod with a sidecar, whom no NetworkPolicy stops"):
            name = stack.enter_context(visitor(cluster, "gateway"))
        with story.then("its sidecar hangs up on a host that nobody declared"):
            assert said(cluster, name, outside) in HUNG_UP
        with story.then("and on a port of a pod that no Service has"):
            assert said(cluster, name, inside) in HUNG_UP
    with story.given("services, each with its own"):
        found = {service: said(cluster, ready_pod(cluster, service), outside) for service in SERVICES}
    with story.then("the same host is closed to all of them"):
        assert set(found.values()) <= HUNG_UP, found


@pytest.mark.core
@pytest.mark.requirement("MESH-005")
def test_the_edges_that_sidecars_count_are_those_that_are_declared(
    cluster: Cluster, declared: dict[str, Declaration], story: Story
) -> None:
    expected = {
        (caller, f"{callee}:{port.number}")
        for callee, each in declared.items()
        for port in each.ports
        for caller in port.methods
    }
    with story.given("pictures and feedback, which take every edge"):
        cluster.predict()
    with story.then(f"{len(expected)} edges are counted, and no other"):
        eventually(lambda: edges(cluster) == expected, within=SETTLED_S, every=1)


def edges(cluster: Cluster) -> set[tuple[str, str]]:
    return {(caller, callee) for caller in SERVICES for callee, calls in called(cluster, caller).items() if calls}


def declared_calls(declared: dict[str, Declaration]) -> Iterator[Call]:
    for service, each in declared.items():
        for port in each.ports:
            for method in sorted(port.methods.get("gateway", ())):
                yield Call(f"{service}:{port.number}", f"/{method}", method in STREAMS)


def all_ports(declared: dict[str, Declaration]) -> Iterator[tuple[str, Port]]:
    for service in SERVICES:
        yield from ((service, port) for port in declared[service].ports if port.in_the_pod)


def await_answers(cluster: Cluster, name: str, calls: list[Call], *, refused: bool) -> None:
    """Policies and names of a new pod take seconds to arrive."""

    wrong: dict[str, tuple[str, str]] = {}

    def right() -> bool:
        found = {call.method: answer for call, answer in zip(calls, answers(cluster, name, calls), strict=True)}
        wrong.clear()
        wrong.update({each: it for each, it in found.items() if (it != DENIED if refused else it[0] not in THROUGH)})
        return not wrong

    with suppress(AssertionError):  # the comparison below says more
        eventually(right, within=SETTLED_S, every=1)
    assert wrong == {}


def said(cluster: Cluster, name: str, address: tuple[str, int]) -> str:
    return str(python(cluster, name, SAID, json.dumps([address]))[0])


def api_server(cluster: Cluster) -> tuple[str, int]:
    """It answers whoever speaks to it, in words at least."""
    return cluster.get("service", "kubernetes", namespace="default")["spec"]["clusterIP"], 443


def pod_address(cluster: Cluster, service: str) -> str:
    return str(cluster.get("pod", ready_pod(cluster, service))["status"]["podIP"])
