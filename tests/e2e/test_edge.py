"""The door: TLS alone, tokens of its issuer alone, and nobody's flood or renewal at the cost of others."""

import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from fairlead.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from loadtests.slo import judge, read_thresholds
from local_stack.access import Access
from local_stack.eventually import eventually
from local_stack.first_picture import PICTURE
from local_stack.settings import ROOT
from sandbox.issuer import Issuer
from storykit.callers import Callers
from storykit.cluster import Cluster
from storykit.story import Story

HOUR = timedelta(hours=1)
PROBLEM = {"type", "title", "status", "detail", "instance", "error", "code", "trace_id", "retryable", "violations"}
FLOODERS, FLOOD_S = 8, 15.0
KINDS = ("rest.predict", "grpc.predict", "rest.infer_json", "rest.infer_binary", "grpc.infer")


@pytest.mark.core
@pytest.mark.requirement("EDGE-001", "EDGE-003", "EDGE-004")
def test_only_a_token_of_the_issuer_with_the_scope_opens_the_door(
    cluster: Cluster, story: Story, tmp_path: Path
) -> None:
    refused = {
        "no token": ("", 401),
        "an expired token": (cluster.token(lifetime=-HOUR), 401),
        "a token of a foreign issuer": (foreign(cluster, tmp_path), 401),
        "a token for another audience": (for_another_audience(cluster), 401),
        "a token without the scope": (cluster.token("feedback"), 403),
    }
    for what, (token, status) in refused.items():
        with story.then(f"{what} is refused with {status}, over REST and over gRPC"):
            access = Access(cluster.ca, token)
            answer, problem, headers = ask(cluster, access)
            assert (answer, problem["status"], set(problem)) == (status, status, PROBLEM)
            assert headers["www-authenticate"].startswith("Bearer")
            assert ask_grpc_code(cluster, access).name == problem["code"]
    with story.then("the right token opens it"):
        assert [each.label for each in cluster.predict()] == ["7", "7"]


@pytest.mark.core
@pytest.mark.requirement("EDGE-002")
def test_the_door_speaks_tls_alone_and_shows_nothing_of_operations(cluster: Cluster, story: Story) -> None:
    host = cluster.grpc.partition(":")[0]
    with story.then("plain text gets no answer"), pytest.raises((http.client.HTTPException, OSError)):
        urllib.request.urlopen(f"http://{cluster.grpc}/docs", timeout=5)
    with story.then("TLS before 1.2 is refused"):
        assert not speaks(cluster, ssl.TLSVersion.TLSv1_1)
        assert speaks(cluster, ssl.TLSVersion.TLSv1_2)
    with story.then("what operators ask is not there, not even for an administrator"):
        for path in ("/livez", "/readyz", "/metrics", "/buildz", "/configz"):
            assert ask(cluster, cluster.access("admin"), path)[0] == 404, path
    with story.then("the ports of health, metrics and the services themselves are closed on the node"):
        assert not [each for each in (8080, 9000, 9090, 15020, 15021, 30080, 30090) if reachable(host, each)]
    with story.then("health and the pages are for everybody"):
        anybody = Access(cluster.ca)
        assert [ask(cluster, anybody, path)[0] for path in ("/docs", "/", "/v2/health/ready")] == [200, 200, 200]


@pytest.mark.core
@pytest.mark.requirement("EDGE-006")
def test_what_a_caller_says_of_itself_counts_for_nothing(cluster: Cluster, story: Story) -> None:
    forged = {
        "x-fairlead-caller": "platform",
        "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/x/sa/gateway",
        "x-experiment-arm": "any",
    }
    with story.then("forged headers open nothing"):
        assert ask(cluster, Access(cluster.ca), headers=forged)[0] == 401
        assert ask(cluster, cluster.access("feedback"), headers=forged)[0] == 403
    with story.then("and do not buy another's quota"):
        access = cluster.access(subject="forger")
        codes = flood(cluster, access, 1.0, lambda turn: {"x-fairlead-caller": f"somebody-{turn}"})
        eventually(
            lambda: 429 in flood(cluster, access, 2.0, lambda turn: {"x-fairlead-caller": f"x{turn}"}), within=30
        )
        assert set(codes) <= {200, 429, 503}


@pytest.mark.requirement("EDGE-005")
def test_a_flood_of_one_caller_costs_the_others_nothing(
    cluster: Cluster, story: Story, callers: Callable[..., AbstractContextManager[Callers]]
) -> None:
    flooder = cluster.access(subject="flooder")
    with callers() as load, story.when(f"one caller floods the door for {FLOOD_S:g} s, while others go on"):
        codes = flood(cluster, flooder, FLOOD_S)
    with story.then("it is told 429, and when to come again, over REST and over gRPC"):
        status, problem, headers = answer_over_quota(cluster, flooder)
        assert (status, problem["code"], int(headers["retry-after"])) == (429, "RESOURCE_EXHAUSTED", 1)
        assert retry_seconds(cluster, flooder) == 1
    story.measured("flood of one caller", len(codes) / FLOOD_S, unit="requests/s")
    story.measured("of it refused", 100 * codes.count(429) / len(codes), unit="%")
    with story.then("nobody else lost a request, and all were served within their objectives"):
        assert load.lost() == []
        verdicts = judge(load.sent(), read_thresholds(ROOT / "loadtests" / "slo.yaml", "steady"), KINDS)
        slow = [str(each) for each in verdicts if not each.holds]
    story.measured("objectives missed by others during the flood", len(slow), unit="objectives", target=0)


@pytest.mark.requirement("EDGE-010")
def test_a_new_certificate_reaches_the_door_while_nobody_loses_a_request(
    cluster: Cluster, story: Story, callers: Callable[..., AbstractContextManager[Callers]]
) -> None:
    before = serial(cluster)
    with story.given("callers who ask all the time"), callers() as load:
        with story.when("the certificate is renewed"):
            began = time.monotonic()
            cluster.door.provide(cluster.kubectl, renew=True)
        with story.then("new connections get it"):
            eventually(lambda: serial(cluster) != before, within=60, every=0.5)
            story.measured("new certificate at the door", time.monotonic() - began)
    with story.then(f"none of {len(load.sent())} requests was lost"):
        assert load.lost() == []
    story.measured("lost while the certificate was renewed", len(load.lost()), unit="requests", target=0)


def foreign(cluster: Cluster, folder: Path) -> str:
    stranger = Issuer(cluster.door.issuer.url, folder / "stranger.pem", folder / "jwks.json")
    return stranger.token("story", ["predict"], audience=cluster.door.facts.audience, lifetime=HOUR)


def for_another_audience(cluster: Cluster) -> str:
    return cluster.door.issuer.token("story", ["predict"], audience="fairlead-elsewhere", lifetime=HOUR)


def ask(
    cluster: Cluster, access: Access, path: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Predict, or get a path; return status, problem if it is one, and headers."""
    body = None if path else PICTURE.read_bytes()
    sent = {"content-type": "image/png", **access.headers(), **(headers or {})}
    request = urllib.request.Request(f"{cluster.rest}{path or '/v1/models/digits:predict'}", body, sent)
    try:
        with urllib.request.urlopen(request, timeout=10, context=access.context()) as answer:
            return answer.status, {}, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), {name.lower(): value for name, value in error.headers.items()}


def ask_grpc_code(cluster: Cluster, access: Access) -> grpc.StatusCode:
    return asked_grpc(cluster, access).code()


def asked_grpc(cluster: Cluster, access: Access) -> grpc.RpcError:
    with access.channel(cluster.grpc) as channel:
        stub = gateway_pb2_grpc.PredictionServiceStub(channel)
        for _ in range(400):  # one is enough, unless it is a quota that has to be used up
            try:
                stub.ListModels(gateway_pb2.ListModelsRequest(), timeout=10, metadata=access.metadata())
            except grpc.RpcError as refusal:
                return refusal
    raise AssertionError("it was never refused")


def retry_seconds(cluster: Cluster, access: Access) -> int:
    """Return when a caller over its quota is told to come again."""
    with flooding(cluster, access):
        refusal = asked_grpc(cluster, access)
    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    [details] = [each.value for each in refusal.trailing_metadata() if each.key == "grpc-status-details-bin"]
    retry = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(retry)
    return int(retry.retry_delay.seconds)


def answer_over_quota(cluster: Cluster, access: Access) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    with flooding(cluster, access):
        for _ in range(400):
            answer = ask(cluster, access, "/v1/models")
            if answer[0] == http.HTTPStatus.TOO_MANY_REQUESTS:
                return answer
    raise AssertionError("it was never refused")


@contextmanager
def flooding(cluster: Cluster, access: Access) -> Iterator[None]:
    """Use up a caller's quota for as long as a block lasts."""
    ended = Event()
    with ThreadPoolExecutor(FLOODERS) as pool:
        for _ in range(FLOODERS):
            pool.submit(ask_again_and_again, cluster, access, ended, lambda _: {})
        try:
            yield
        finally:
            ended.set()


def flood(
    cluster: Cluster, access: Access, seconds: float, headers: Callable[[int], Mapping[str, str]] = lambda _: {}
) -> list[int]:
    """Ask for models as fast as it goes, and return the codes of all answers."""
    ended = Event()
    with ThreadPoolExecutor(FLOODERS) as pool:
        asking = [pool.submit(ask_again_and_again, cluster, access, ended, headers) for _ in range(FLOODERS)]
        ended.wait(seconds)
        ended.set()
        return [code for each in asking for code in each.result()]


def ask_again_and_again(
    cluster: Cluster, access: Access, ended: Event, headers: Callable[[int], Mapping[str, str]]
) -> list[int]:
    """Ask on one connection until told to end."""
    connection = http.client.HTTPSConnection(cluster.grpc, timeout=10, context=access.context())
    codes: list[int] = []
    while not ended.is_set():
        connection.request("GET", "/v1/models", headers={**access.headers(), **headers(len(codes))})
        answer = connection.getresponse()
        answer.read()
        codes.append(answer.status)
    connection.close()
    return codes


def speaks(cluster: Cluster, version: ssl.TLSVersion) -> bool:
    context = cluster.access().context()
    assert context
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # our side would offer no old version otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.minimum_version = context.maximum_version = version
    host, port = cluster.grpc.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except (ssl.SSLError, OSError):
        return False
    return True


def serial(cluster: Cluster) -> str:
    """Return which certificate the door shows."""
    context = cluster.access().context()
    assert context
    host, port = cluster.grpc.split(":")
    plain = socket.create_connection((host, int(port)), timeout=5)
    with context.wrap_socket(plain, server_hostname=host) as secured:
        shown = secured.getpeercert()
    assert shown
    return str(shown["serialNumber"])


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
