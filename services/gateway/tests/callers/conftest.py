"""A whole gateway, an issuer of tokens, and every way to ask for a prediction."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_kit.calls import CALLS, Call
from gateway_kit.issuer import AUDIENCE, ISSUER, Authorized, Issuer
from gateway_kit.whole import Gateway, OpenGateway, running
from service_runtime.http_server import HttpServer
from service_runtime.routed_app import RoutedApp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """One for all tests: an RSA key takes its time. Leave it as you found it."""
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def own_issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def published() -> Callable[[Issuer], AbstractAsyncContextManager[tuple[str, list[int]]]]:
    """Publish an issuer's keys over HTTP: the URL, and with which status it was answered each time."""

    @asynccontextmanager
    async def serving(issuer: Issuer) -> AsyncIterator[tuple[str, list[int]]]:
        asked: list[int] = []

        async def keys(_request: Request) -> Response:
            asked.append(200 if issuer.published else 500)
            return JSONResponse(issuer.document(), asked[-1])

        app = RoutedApp([Route("/jwks", keys)], hint="")
        async with HttpServer(app, host="127.0.0.1", port=0, grace=1) as server:
            yield f"http://127.0.0.1:{server.port}/jwks", asked

    return serving


@pytest.fixture
def open_gateway() -> OpenGateway:
    """Run a gateway with these settings."""
    return running


@pytest.fixture
def with_tokens(issuer: Issuer) -> dict[str, Any]:
    """The settings of a gateway that asks for tokens."""
    return {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(issuer.file)}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """One call for a prediction, in each of the ways there are."""
    return CALLS[request.param]


@pytest.fixture
def calls() -> dict[str, Call]:
    return CALLS


@pytest.fixture(params=["native REST", "native gRPC"])
def predict(request: pytest.FixtureRequest) -> Call:
    """A call over each transport, where the encoding can make no difference."""
    return CALLS[request.param]


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    return lambda token: {"authorization": f"Bearer {token}"}


@pytest.fixture
def authorized(issuer: Issuer) -> Authorized:
    """Return the headers that bring a token with these scopes and claims."""
    return lambda *scopes, **claims: {"authorization": f"Bearer {issuer.token(*scopes, **claims)}"}


@pytest.fixture
async def guarded(open_gateway: OpenGateway, with_tokens: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway that asks for tokens."""
    async with open_gateway(**with_tokens) as gateway:
        yield gateway
