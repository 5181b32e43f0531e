"""A gateway is replaced by another under load, and nobody notices."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.gateway.v1 import gateway_pb2
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc
from local_stack.eventually import eventually, eventually_async
from local_stack.first_picture import PICTURE
from local_stack.ports import free_ports
from local_stack.service_process import ServiceProcess

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

CALLERS = 12
DRAIN_DELAY = "2"
LONG = 60.0
SOME = 60
NATIVE = gateway_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
# What a client sets to leave a server that says NOT_SERVING, as a load balancer of Kubernetes does by readyz.
FOLLOW_HEALTH = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": NATIVE},
}


class Replicas:
    """Two gateways in front of the same services; the second is started by the test."""

    def __init__(self, services: Any, log: Path) -> None:
        self.services = services
        self.old = services.stack["gateway"]
        ports = free_ports()["gateway"]
        moved = {
            "GATEWAY_HTTP_PORT": str(ports["http"]),
            "GATEWAY_GRPC_ADDRESS": f"127.0.0.1:{ports['grpc']}",
            "GATEWAY_OPERATIONS_PORT": str(ports["operations"]),
        }
        self.new = ServiceProcess(
            "gateway",
            environment={**self.old.environment, **moved},
            operations_port=ports["operations"],
            log=log,
        )
        self.http_urls = {self.old: services.stack.http_url, self.new: f"http://127.0.0.1:{ports['http']}"}
        self.grpc_addresses = f"{services.stack.grpc_address},127.0.0.1:{ports['grpc']}"


@pytest.fixture
def replicas(start_services: Any, tmp_path: Path) -> Iterator[Replicas]:
    settings = {"drain_delay": DRAIN_DELAY, "grace": "20"}
    both = Replicas(start_services(gateway=settings), tmp_path / "new.log")
    both.new.start()
    both.new.wait_ready()
    yield both
    both.new.stop()


class Load:
    """Callers over REST, with connections that they keep, and over gRPC."""

    def __init__(self) -> None:
        self.answered: dict[str, list[str]] = {"rest": [], "grpc": []}
        self.failed: list[str] = []
        self.told_to_close = 0
        self.leaving = asyncio.Event()

    async def over_rest(self, where: "Balancer") -> None:
        picture, headers = PICTURE.read_bytes(), {"content-type": "image/png"}
        async with httpx2.AsyncClient(timeout=LONG) as client:
            while not self.leaving.is_set():
                url = f"{where.url}/v1/models/digits:predict"
                try:
                    answer = await client.post(url, content=picture, headers=headers)
                except httpx2.HTTPError as error:
                    self.failed.append(f"{url}: {error!r}")
                    continue
                self.told_to_close += answer.headers.get("connection") == "close"
                if answer.status_code == 200:
                    self.answered["rest"].append(answer.json()["prediction_id"])
                else:
                    self.failed.append(f"{url}: {answer.text}")

    async def over_grpc(self, channel: grpc.aio.Channel) -> None:
        request = gateway_pb2.PredictRequest(model="digits", image=PICTURE.read_bytes())
        while not self.leaving.is_set():
            try:
                answer = await PredictionServiceStub(channel).Predict(request, timeout=LONG)
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{error.code()}: {error.details()}")
                continue
            self.answered["grpc"].append(answer.prediction.prediction_id)

    async def more(self) -> None:
        """Wait for more answers over both transports."""
        wanted = {transport: len(answered) + SOME for transport, answered in self.answered.items()}

        async def enough() -> bool:
            return all(len(self.answered[transport]) >= count for transport, count in wanted.items())

        await eventually_async(enough, within=LONG)


class Balancer:
    """Where new requests go: to the old gateway while its readyz says ready, as a load balancer decides."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.url = replicas.http_urls[replicas.old]

    async def watch(self) -> None:
        async with httpx2.AsyncClient(timeout=5) as client:
            url = f"http://127.0.0.1:{self._replicas.old.operations_port}/readyz"
            await eventually_async(lambda: says(client, url, 503), within=LONG)
        self.url = self._replicas.http_urls[self._replicas.new]


async def says(client: httpx2.AsyncClient, url: str, status: int) -> bool:
    return (await client.get(url)).status_code == status


@asynccontextmanager
async def load_on(replicas: Replicas) -> AsyncIterator[Load]:
    load, balancer = Load(), Balancer(replicas)
    options = [("grpc.service_config", json.dumps(FOLLOW_HEALTH))]
    async with (
        grpc.aio.insecure_channel(f"ipv4:{replicas.grpc_addresses}", options=options) as channel,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(balancer.watch())
        for _ in range(CALLERS):
            tasks.create_task(load.over_rest(balancer))
            tasks.create_task(load.over_grpc(channel))
        try:
            yield load
        finally:
            load.leaving.set()


@pytest.mark.requirement("STRESS-111")
async def test_no_call_is_lost_when_a_gateway_is_replaced_under_load(replicas: Replicas) -> None:
    async with load_on(replicas) as load:
        await load.more()
        replicas.old.terminate()
        code = await asyncio.to_thread(replicas.old.wait_ended, 40)
        await load.more()
    assert load.failed == []
    assert code == 0
    assert load.told_to_close > 0
    answered = {prediction for each in load.answered.values() for prediction in each}
    assert len(answered) == sum(map(len, load.answered.values()))
    eventually(lambda: answered <= set(replicas.services.recorded()), within=20)


@pytest.mark.requirement("STRESS-113")
async def test_a_gateway_says_that_it_leaves_before_it_stops_serving(start_services: Any) -> None:
    services = start_services(gateway={"drain_delay": DRAIN_DELAY})
    gateway = services.stack["gateway"]
    async with services.caller() as caller, grpc.aio.insecure_channel(services.stack.grpc_address) as channel:
        assert (await caller.call("native-grpc", asked=LONG)).code == "OK"
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NATIVE))
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        gateway.terminate()
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert gateway.obstacles() == {"process": "draining"}
        replies = [
            await caller.call(kind, asked=LONG) for kind in ("native-grpc", "oip-grpc", "native-rest", "oip-rest")
        ]
        health.cancel()
    assert [reply.code for reply in replies] == ["OK"] * len(replies)
    assert [reply.hints["connection"] for reply in replies[2:]] == ["close", "close"]
    assert await asyncio.to_thread(gateway.wait_ended, 20) == 0


@pytest.mark.requirement("STRESS-112")
async def test_a_gateway_that_ends_takes_its_records_to_monitoring_first(start_services: Any) -> None:
    services = start_services(gateway={"grace": "60"})
    gateway, monitoring = services.stack["gateway"], services.stack["monitoring"]
    monitoring.kill()
    async with services.caller() as caller:
        replies = [await caller.call("native-rest", asked=LONG) for _ in range(20)]
    gateway.terminate()
    # It has nothing else to do any more, and waits for monitoring half of the grace.
    await asyncio.to_thread(monitoring.restart)
    assert await asyncio.to_thread(gateway.wait_ended, 60) == 0
    assert services.recorded().keys() == {reply.prediction_id for reply in replies}
