"""What a DestinationRule of ours does for callers when pods fail: tried on pods that are there for nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from delivery.environments import render_environment
from delivery.manifests import NAME_LABEL, of_kind
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from storykit.cluster import Cluster
from storykit.mesh import existing, sidecar, visitor
from storykit.pods import pod, python, running
from storykit.story import Story

CALLEE, PORT = "e2e-callee", 9001
SETTLED_S = 30.0
# Envoy gathers such news for a second before it tells its threads (update_merge_window).
TOLD_S = 3.0
LEFT_OUT = "/failed_outlier_check"
SERVES = f"""
import http.server, time

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(1 if self.path == "/slowly" else 0)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("", {PORT}), Answer).serve_forever()
"""
ASK = """
import json, sys, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor

def ask(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0

url, times, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with ThreadPoolExecutor(at_once) as pool:
    print(json.dumps(list(pool.map(ask, [url] * times))))
"""


@pytest.mark.requirement("MESH-010")
def test_a_pod_that_fails_in_a_row_is_left_out_and_half_of_them_never(cluster: Cluster, story: Story) -> None:
    with ExitStack() as stack:
        with story.given("two pods, one of which serves, called as preprocessing is"):
            stack.enter_context(callee(cluster, policy_of("preprocessing")))
            asker = stack.enter_context(visitor(cluster))
            good = stack.enter_context(running(cluster, server(cluster, "e2e-callee-good", serves=True)))
            eventually(lambda: asked(cluster, asker, 3) == [200] * 3, within=SETTLED_S, every=1)
            stack.enter_context(running(cluster, server(cluster, "e2e-callee-bad", serves=False)))
        with story.then("it is left out once it has failed five times"):
            failed = await_left_out(cluster, asker)
            story.measured("calls that failed before the pod was left out", failed, unit="calls", target=5)
        with story.then("every call is answered from then on, once all threads of the proxy know"):
            eventually(lambda: asked(cluster, asker, 20) == [200] * 20, within=TOLD_S, every=0.1)
            assert asked(cluster, asker, 50) == [200] * 50
        with story.when("the other one fails too"):
            elsewhere = (f"--namespace={cluster.namespace}", f"{NAME_LABEL}=nobody", "--overwrite")
            cluster.kubectl.run("label", "pod", good, *elsewhere)
            stack.enter_context(running(cluster, server(cluster, "e2e-callee-worse", serves=False)))
        with story.then("one of the two is still tried"):
            asked(cluster, asker, 60)
            found = hosts(cluster, asker)
            assert found.count(True) <= len(found) / 2, found


@pytest.mark.requirement("MESH-010")
def test_a_breaker_refuses_at_once_what_a_callee_has_no_room_for(cluster: Cluster, story: Story) -> None:
    narrow = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}
    with ExitStack() as stack:
        with story.given("a pod that takes a second for each call, and room for two of them"):
            stack.enter_context(callee(cluster, {**policy_of("preprocessing"), "connectionPool": narrow}))
            asker = stack.enter_context(visitor(cluster))
            stack.enter_context(running(cluster, server(cluster, "e2e-callee-good", serves=True)))
            eventually(lambda: asked(cluster, asker, 3) == [200] * 3, within=SETTLED_S, every=1)
        with story.when("eight come at once"):
            found = asked(cluster, asker, 8, at_once=8, path="/slowly")
        with story.then("two are answered, and six refused without waiting"):
            assert sorted(found) == [200] * 2 + [503] * 6


def policy_of(service: str) -> dict[str, Any]:
    """Return how a service is called, as git says it."""
    environment = render_environment(ROOT / "clusters" / "local", Renderer.from_toolbox(Toolbox()))
    (rule,) = of_kind(environment.apps[service].objects, "DestinationRule")
    return dict(rule.at("spec", "trafficPolicy"))


@contextmanager
def callee(cluster: Cluster, policy: dict[str, Any]) -> Iterator[None]:
    """Let a service exist for a block; its pods come and go."""
    selected = {NAME_LABEL: CALLEE}
    port = {"name": "http", "port": PORT, "appProtocol": "http"}
    everybody = {"selector": {"matchLabels": selected}, "rules": [{"to": [{"operation": {"ports": [str(PORT)]}}]}]}
    objects = [
        ("v1", "Service", {"selector": selected, "ports": [port]}),
        ("networking.istio.io/v1", "DestinationRule", {"host": CALLEE, "trafficPolicy": policy}),
        ("security.istio.io/v1", "AuthorizationPolicy", everybody),
    ]
    with ExitStack() as stack:
        for version, kind, spec in objects:
            content = {"apiVersion": version, "kind": kind, "metadata": {"name": CALLEE}, "spec": spec}
            stack.enter_context(existing(cluster, content))
        yield


def server(cluster: Cluster, name: str, *, serves: bool) -> dict[str, Any]:
    wanted = pod(cluster, name, labels={NAME_LABEL: CALLEE})
    if serves:
        wanted["spec"]["containers"][0]["command"] = ["python", "-c", SERVES]
    return wanted


def asked(cluster: Cluster, asker: str, times: int, *, at_once: int = 1, path: str = "/") -> list[int]:
    found: list[int] = python(cluster, asker, ASK, f"http://{CALLEE}:{PORT}{path}", str(times), str(at_once))
    return found


def await_left_out(cluster: Cluster, asker: str) -> int:
    """Ask until the bad pod, which endpoints take a moment to name, is left out; return how many calls failed."""
    failures = 0

    def left_out() -> bool:
        nonlocal failures
        failures += sum(status != 200 for status in asked(cluster, asker, 10))
        return any(hosts(cluster, asker))

    eventually(left_out, within=SETTLED_S, every=0.1)
    return failures


def hosts(cluster: Cluster, asker: str) -> list[bool]:
    """Return for each pod of the callee whether the asker's sidecar leaves it out."""
    lines = sidecar(cluster, asker, "GET", "clusters").splitlines()
    return [LEFT_OUT in line for line in lines if f"||{CALLEE}." in line and "::health_flags::" in line]
