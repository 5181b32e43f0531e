from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from gateway_kit.native import NativeGateway, native_gateway
from gateway_kit.native_apis import Api, GrpcApi, RestApi


@pytest.fixture
async def gateway() -> AsyncIterator[NativeGateway]:
    async with native_gateway() as serving:
        yield serving


@pytest.fixture(params=[RestApi, GrpcApi], ids=["rest", "grpc"])
async def api(request: pytest.FixtureRequest, gateway: NativeGateway) -> AsyncIterator[Api]:
    client = request.param(gateway)
    yield client
    await client.aclose()


@pytest.fixture
async def http(gateway: NativeGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.http_url) as client:
        yield client


@pytest.fixture
async def stub(gateway: NativeGateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
        yield PredictionServiceStub(channel)
