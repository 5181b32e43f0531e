"""Under overload and over quota a request is refused before it is read, and the caller sees no difference."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from gateway.callers.door import Door
from gateway.callers.quota import Quota
from gateway.http_edge import HttpEdge
from gateway.http_request import HttpRequest
from gateway.metrics import CallerMetrics, RequestMetrics
from gateway.settings import Settings
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.http_server import HttpServer
from service_runtime.readiness import Readiness
from service_runtime.routed_app import RoutedApp
from starlette.responses import Response
from starlette.routing import Route

pytestmark = pytest.mark.requirement("GATEWAY-007")

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-request-id": "mine"}
WORK = "/v2/models/digits/infer"


class World:
    """A gateway edge with one place, which a test can fill; callers have names and may be given a quota."""

    def __init__(self, *, quota: Quota | None = None) -> None:
        self.gate = AdmissionGate(1, 0)
        self.registry = CollectorRegistry()
        self.door = Door(CallerMetrics(self.registry), quota=quota, caller_header="x-caller")
        self.worked = 0

    async def work(self, _request: HttpRequest, _deadline: Deadline) -> Response:
        self.worked += 1
        return Response("done")

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        async with self.gate.admit(Deadline.after(60)):
            yield

    @asynccontextmanager
    async def serving(self, *, shed: bool = True) -> AsyncIterator[int]:
        edge = self.edge = HttpEdge(Settings(), self.door, self.gate, Readiness(), RequestMetrics(self.registry))
        infer, ready = edge.endpoint(self.work, route="/v2/models/{model}/infer"), "/v2/health/ready"
        app = RoutedApp(
            [
                Route("/v2/models/{model}/infer", infer, methods=["POST"]),
                Route(ready, edge.endpoint(self.work, route=ready, admitted=False), methods=["GET"]),
            ],
            hint="",
        )
        limits: dict[str, Any] = {"grace": 1, "head_seconds": 0.5, "shed": edge.shed if shed else None}
        async with HttpServer(app, host="127.0.0.1", port=0, **limits) as server:
            yield server.port


@pytest.fixture
def world() -> World:
    return World()


def client(port: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10)


async def refusal(world: World, *, shed: bool) -> httpx2.Response:
    async with world.serving(shed=shed) as port, client(port) as caller, world.full():
        return await caller.post(WORK + "?question=mark", content=b"{}", headers=HEADERS)


async def test_what_is_refused_unread_is_refused_as_the_gate_itself_would() -> None:
    at_the_door, by_the_gate = await refusal(World(), shed=True), await refusal(World(), shed=False)
    assert at_the_door.status_code == by_the_gate.status_code == 503
    assert at_the_door.json() == by_the_gate.json()
    assert dict(at_the_door.headers) == dict(by_the_gate.headers)
    assert at_the_door.headers["x-trace-id"] == TRACE
    assert at_the_door.headers["x-request-id"] == "mine"


def used_up() -> Quota:
    """Return a quota that this very caller has used up for two minutes, on a clock that stands still."""
    quota = Quota(1 / 120, 1, clock=lambda: 0.0)
    quota.charge("named mine")
    return quota


async def over_quota(*, shed: bool) -> httpx2.Response:
    world = World(quota=used_up())
    async with world.serving(shed=shed) as port, client(port) as caller:
        refused = await caller.post(WORK, content=b"{}", headers={**HEADERS, "x-caller": "mine"})
        assert (await caller.post(WORK, content=b"{}", headers={**HEADERS, "x-caller": "other"})).text == "done"
    assert world.worked == 1
    assert world.registry.get_sample_value("gateway_callers_refused_total", {"reason": "quota"}) == 1
    return refused


@pytest.mark.requirement("CALLERS-007")
async def test_over_quota_is_refused_unread_as_it_would_be_when_read() -> None:
    at_the_parser, by_the_edge = await over_quota(shed=True), await over_quota(shed=False)
    assert at_the_parser.status_code == by_the_edge.status_code == 429
    assert at_the_parser.json() == by_the_edge.json()
    assert dict(at_the_parser.headers) == dict(by_the_edge.headers)
    assert at_the_parser.headers["retry-after"] == "120"


@pytest.mark.requirement("CALLERS-007")
@pytest.mark.parametrize(("caller", "unread"), [(b"mine", True), (b"other", False)])
async def test_only_who_is_over_quota_is_refused_unread(caller: bytes, unread: bool) -> None:  # noqa: FBT001
    world = World(quota=used_up())
    async with world.serving() as port, client(port):
        refusal = world.edge.shed(b"POST", WORK.encode(), [(b"x-caller", caller)], "127.0.0.1")
    assert (refusal is not None and refusal.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")) == unread


async def test_it_is_counted_like_any_refusal(world: World) -> None:
    await refusal(world, shed=True)
    labels = {"route": "/v2/models/{model}/infer", "code": "UNAVAILABLE"}
    assert world.registry.get_sample_value("gateway_requests_total", labels) == 1


async def test_the_connection_lives_and_serves_once_there_is_room(world: World) -> None:
    async with world.serving() as port, client(port) as caller:
        async with world.full():
            refused = [(await caller.post(WORK, content=bytes(size))).status_code for size in (0, 10, 200_000)]
            assert (await caller.get("/v2/health/ready")).text == "done"
        served = await caller.post(WORK, content=b"{}")
    assert refused == [503] * 3
    assert served.text == "done"


async def test_what_no_place_is_needed_for_is_served(world: World) -> None:
    async with world.serving() as port, client(port) as caller, world.full():
        assert (await caller.post("/v2/models/a/b/infer")).status_code == 404
        assert (await caller.put(WORK)).status_code == 405


async def sent(port: int, *parts: bytes) -> bytes:
    """Send raw bytes, then read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


async def test_requests_in_one_breath_are_answered_one_by_one(world: World) -> None:
    request = f"POST {WORK} HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n".encode()
    last = request + b"connection: close\r\n\r\n{}"
    async with world.serving() as port, world.full():
        answered = await sent(port, (request + b"\r\n{}") * 2 + last)
    assert answered.count(b"HTTP/1.1 503 Service Unavailable") == 3


async def test_a_caller_that_reads_no_answers_is_not_refused_without_end(world: World) -> None:
    request = f"POST {WORK} HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n".encode()
    async with world.serving() as port, world.full():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

        async def send_without_end() -> None:
            for _ in range(100):
                writer.write(request * 2_000)
                await asyncio.wait_for(writer.drain(), 1)

        with pytest.raises(TimeoutError):
            await send_without_end()
        writer.transport.abort()


async def test_a_caller_that_waits_for_leave_to_send_is_told_no(world: World) -> None:
    head = (
        f"POST {WORK} HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\nconnection: close\r\nexpect: 100-continue\r\n\r\n"
    )
    async with world.serving() as port, world.full():
        assert b" 503 " in await sent(port, head.encode(), b"{}")


async def test_a_refused_caller_who_never_ends_its_body_is_let_go(world: World) -> None:
    head = f"POST {WORK} HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\n"
    async with world.serving() as port, world.full():
        assert await sent(port, head.encode(), b"begun") == b""
