"""What the gateway calls is replaced behind one address under load, as a rollout in Kubernetes does: nobody notices."""

import asyncio
import contextlib
import socket
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from local_stack.eventually import eventually_async
from local_stack.pytest_plugin import StartStack
from local_stack.service_process import ServiceProcess
from local_stack.stack import Stack

pytestmark = [pytest.mark.component, pytest.mark.timeout(240)]

# What the manifests of every environment set.
DRAIN_DELAY = "5"
CALLED_AT = {"inference": "triton_grpc", "preprocessing": "grpc"}
KINDS = {"inference": ("oip-rest", "oip-grpc"), "preprocessing": ("native-rest", "native-grpc")}
# Rules that lead connections to pods follow readiness by so much.
PROGRAMMED = 1.0
CALLERS = 3
SOME = 60
LONG = 20.0


class Address(socketserver.ThreadingTCPServer):
    """A Service's: a new connection goes to whom it stands for now, an open one stays where it is."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.stands_for = port

    def __str__(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    server: Address

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.stands_for)) as there:
            back = threading.Thread(target=_pour, args=(there, self.request), daemon=True)
            back.start()
            _pour(self.request, there)
            back.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes until one end is gone; then both are."""
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A service behind an address, and the port of the one that replaces it."""

    services: Any
    name: str
    old: ServiceProcess
    new_port: int
    address: Address

    async def happen(self) -> int:
        """End the old one, with the new one in its place; return its exit code."""
        self.old.terminate()
        await eventually_async(self._not_ready)
        await asyncio.sleep(PROGRAMMED)
        self.address.stands_for = self.new_port
        return await asyncio.to_thread(self.old.wait_ended, 60)

    async def _not_ready(self) -> bool:
        return bool(await asyncio.to_thread(self.old.obstacles))


@pytest.fixture(params=sorted(KINDS))
def rollout(
    request: pytest.FixtureRequest, stack: Stack, start_services: Any, start_stack: StartStack
) -> Iterator[Rollout]:
    name: str = request.param
    old = start_stack(overrides={name: {f"{name}_drain_delay".upper(): DRAIN_DELAY}}, only=(name,))
    with Address(old.ports[name][CALLED_AT[name]]) as address:
        serving = threading.Thread(target=address.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        services = start_services(gateway={f"{name}_address": str(address)})
        yield Rollout(services, name, old[name], stack.ports[name][CALLED_AT[name]], address)
        address.shutdown()
        serving.join()


class Load:
    """Callers who ask again and again; what they were told."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self.leaving = asyncio.Event()

    async def ask(self, caller: Any, kind: str) -> None:
        while not self.leaving.is_set():
            reply = await caller.call(kind, asked=LONG)
            if reply.code == "OK":
                self.answered += 1
            else:
                self.failed.append(f"{kind}: {reply.code} {reply.detail}")

    async def more(self) -> None:
        """Wait for more answers."""
        wanted = self.answered + SOME

        async def enough() -> bool:
            return self.answered >= wanted

        await eventually_async(enough, within=LONG)


@asynccontextmanager
async def load_on(rollout: Rollout) -> AsyncIterator[Load]:
    load = Load()
    async with rollout.services.caller() as caller, asyncio.TaskGroup() as tasks:
        for kind in KINDS[rollout.name]:
            for _ in range(CALLERS):
                tasks.create_task(load.ask(caller, kind))
        try:
            yield load
        finally:
            load.leaving.set()


@pytest.mark.requirement("STRESS-120")
async def test_no_call_is_lost_when_what_the_gateway_calls_is_replaced_under_load(rollout: Rollout) -> None:
    async with load_on(rollout) as load:
        await load.more()
        code = await rollout.happen()
        await load.more()
    assert load.failed == []
    assert code == 0
