"""What no route takes, and what a route raises, over plain ASGI."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from service_runtime.errors import DependencyUnavailable
from service_runtime.routed_app import RoutedApp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def thing(_request: Request) -> Response:
    raise DependencyUnavailable("Away for a while.", retry_after=3)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    app = RoutedApp([Route("/thing", thing, methods=["PUT"])], hint="Look at /docs.")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as opened:
        yield opened


@pytest.mark.requirement("RUNTIME-004")
@pytest.mark.parametrize(
    ("method", "path", "problem"),
    [
        ("GET", "/nothing", {"status": 404, "code": "NOT_FOUND", "detail": "No such path. Look at /docs."}),
        ("POST", "/thing", {"status": 405, "detail": "Method Not Allowed: POST is not for this path."}),
        ("PUT", "/thing", {"status": 503, "code": "UNAVAILABLE", "detail": "Away for a while."}),
    ],
)
async def test_every_refusal_is_a_problem(
    client: httpx2.AsyncClient, method: str, path: str, problem: dict[str, object]
) -> None:
    answer = await client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == problem["status"]
    assert answer.json().items() >= {**problem, "instance": path}.items()


@pytest.mark.requirement("RUNTIME-004")
async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/thing")
    assert answer.headers["allow"] == "PUT"
