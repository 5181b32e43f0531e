"""What a gateway does before anybody can call it."""

import asyncio

import pytest
from gateway.app import gateway
from gateway.settings import Settings
from service_runtime.process import Process

pytestmark = pytest.mark.requirement("GATEWAY-008")


async def test_it_is_connected_before_it_is_called_and_starts_also_where_nobody_is(unused_tcp_port: int) -> None:
    connected: asyncio.Queue[str] = asyncio.Queue()

    async def preprocessing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.put_nowait("preprocessing")
        writer.close()

    nobody = f"127.0.0.1:{unused_tcp_port}"
    async with await asyncio.start_server(preprocessing, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        settings = Settings(
            preprocessing_address=f"{host}:{port}",
            inference_address=nobody,
            monitoring_address=nobody,
            http_host="127.0.0.1",
            http_port=0,
            grpc_address="127.0.0.1:0",
        )
        async with gateway(Process(), settings):
            assert await asyncio.wait_for(connected.get(), timeout=5) == "preprocessing"
