"""The HTTP edge before any handler: bodies that come slowly, not at all, or too many at once."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
import pytest
from gateway.callers.door import Door
from gateway.http_edge import HttpEdge
from gateway.http_request import HttpRequest, read_body
from gateway.metrics import CallerMetrics, RequestMetrics
from gateway.settings import Settings
from local_stack.eventually import eventually_async
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.http_server import HttpServer
from service_runtime.readiness import Readiness
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

HEAD = b"POST /size HTTP/1.1\r\nhost: edge\r\ncontent-length: 1000\r\n\r\n"
Connect = Callable[[], AbstractAsyncContextManager[asyncio.StreamWriter]]


async def answered(request: Awaitable[httpx2.Response], status: int) -> httpx2.Response | None:
    answer = await request
    return answer if answer.status_code == status else None


async def size(request: HttpRequest, deadline: Deadline) -> Response:
    return Response(str(len(await read_body(request, limit=1000, deadline=deadline))))


class Work:
    """A handler that ends only when it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def endless(self, _request: HttpRequest, _deadline: Deadline) -> Response:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def server(registry: CollectorRegistry, work: Work) -> AsyncIterator[HttpServer]:
    settings = Settings(max_body_bytes=1000, max_buffered_bytes=1500)
    edge = HttpEdge(settings, Door(CallerMetrics(registry)), AdmissionGate(4, 4), Readiness(), RequestMetrics(registry))
    app = Starlette(
        routes=[
            Route("/size", edge.endpoint(size, route="/size"), methods=["POST"]),
            Route("/endless", edge.endpoint(work.endless, route="/endless"), methods=["GET", "POST"]),
        ]
    )
    async with HttpServer(app, host="127.0.0.1", port=0, grace=1) as running:
        yield running


@pytest.fixture
def connect(server: HttpServer) -> Connect:
    @asynccontextmanager
    async def connected() -> AsyncIterator[asyncio.StreamWriter]:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        yield writer
        writer.close()
        await writer.wait_closed()

    return connected


@pytest.fixture
async def post(server: HttpServer) -> AsyncIterator[Callable[[int], Awaitable[httpx2.Response]]]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield lambda length: client.post("/size", content=bytes(length))


@pytest.mark.requirement("GATEWAY-003")
async def test_bodies_that_fill_the_memory_for_them_have_further_ones_refused_until_they_are_done(
    connect: Connect, post: Callable[[int], Awaitable[httpx2.Response]]
) -> None:
    async with connect() as unfinished:
        unfinished.write(HEAD + bytes(900))
        refused = await eventually_async(lambda: answered(post(700), 503))
        assert refused is not None
        assert json.loads(refused.content)["code"] == "UNAVAILABLE"
        assert int(refused.headers["retry-after"]) > 0
        assert (await post(500)).text == "500"
    await eventually_async(lambda: answered(post(1000), 200))


@pytest.mark.requirement("GATEWAY-004")
async def test_who_leaves_in_the_middle_of_a_body_is_counted_as_cancelled(
    connect: Connect, registry: CollectorRegistry
) -> None:
    async with connect() as leaving:
        leaving.write(HEAD + b"half")
        await leaving.drain()

    assert await eventually_async(lambda: counted(registry)) == {"CANCELLED"}


@pytest.mark.requirement("GATEWAY-004")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_hangs_up_has_the_work_cancelled(
    method: str, connect: Connect, work: Work, registry: CollectorRegistry
) -> None:
    async with connect() as leaving:
        leaving.write(f"{method} /endless HTTP/1.1\r\nhost: edge\r\ncontent-length: 4\r\n\r\nbody".encode())
        await asyncio.wait_for(work.begun.wait(), 5)
    await asyncio.wait_for(work.cancelled.wait(), 5)
    assert await eventually_async(lambda: counted(registry)) == {"CANCELLED"}


async def counted(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["code"] for metric in registry.collect() for sample in metric.samples if "code" in sample.labels
    }


@pytest.mark.requirement("GATEWAY-003")
async def test_a_small_body_that_unfolds_to_much_holds_nobody_up() -> None:
    headers = {"content-encoding": "gzip"}
    request = HttpRequest("POST", "/", {}, headers, gzip.compress(bytes(8 << 20)))
    reading = asyncio.create_task(read_body(request, limit=8 << 20, deadline=Deadline.after(60)))
    await asyncio.sleep(0)
    assert not reading.done(), "the event loop has had its turn before all was unpacked"
    assert len(await reading) == 8 << 20
