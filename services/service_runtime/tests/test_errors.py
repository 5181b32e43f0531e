"""One vocabulary: every status code and every error class, through both mappers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from service_runtime.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    QuotaExceeded,
    ServiceError,
    Unauthenticated,
    UnsupportedMediaType,
    Violation,
    http_status,
)
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import Process
from service_runtime.routed_app import RoutedApp
from starlette.requests import Request
from starlette.routing import Route

LEAK = "/srv/models/digits: the password is swordfish"
DESIGN = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
ERRORS = [
    (InvalidInput("Send 64 numbers.", violations=(Violation("images[3]", "Is blank."),)), "INVALID_ARGUMENT", 400),
    (UnsupportedMediaType("Send image/png."), "INVALID_ARGUMENT", 415),
    (FailedPrecondition("Another digest is served."), "FAILED_PRECONDITION", 400),
    (Unauthenticated("Bring a token.", challenge='Bearer realm="test"'), "UNAUTHENTICATED", 401),
    (PermissionDenied("Not yours.", challenge='Bearer error="insufficient_scope"'), "PERMISSION_DENIED", 403),
    (NotFound("No model 'cats'."), "NOT_FOUND", 404),
    (QuotaExceeded("Too often.", retry_after=0.5), "RESOURCE_EXHAUSTED", 429),
    (PayloadTooLarge("At most 8 MiB."), "RESOURCE_EXHAUSTED", 413),
    (DependencyUnavailable("Triton is away.", retry_after=1.5), "UNAVAILABLE", 503),
    (Overloaded("Full."), "UNAVAILABLE", 503),
    (DeadlineExceeded("inference"), "DEADLINE_EXCEEDED", 504),
]
NAMES = [type(error).__name__ for error, _, _ in ERRORS]

Raise = Callable[[BaseException], Awaitable[Any]]


@pytest.mark.requirement("RUNTIME-004")
@pytest.mark.parametrize("code", StatusCode)
def test_every_grpc_status_has_its_http_status(code: StatusCode) -> None:
    assert http_status(code) == DESIGN[code.name]


def test_every_error_class_is_in_the_table_of_these_tests() -> None:
    def below(cls: type[ServiceError]) -> set[type[ServiceError]]:
        return {cls}.union(*map(below, cls.__subclasses__()))

    # Services may derive their own; the tree in errors.py is what they derive from.
    ours = {error for error in below(ServiceError) if error.__module__ == ServiceError.__module__}
    assert ours - {ServiceError} == {type(error) for error, _, _ in ERRORS}


@pytest.fixture
async def over_http() -> AsyncIterator[Raise]:
    """Raise an error in a handler and return the HTTP answer."""
    pending: list[BaseException] = []

    async def endpoint(_request: Request) -> Any:
        raise pending.pop()

    app = RoutedApp([Route("/thing", endpoint)], hint="")
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:

        async def raise_it(error: BaseException) -> httpx2.Response:
            pending.append(error)
            return await client.get("/thing")

        yield raise_it


@pytest.fixture(params=["unary_unary", "unary_stream"])
async def over_grpc(request: pytest.FixtureRequest) -> AsyncIterator[Raise]:
    """Raise an error in a servicer and return the gRPC error, for both shapes of answers."""
    pending: list[BaseException] = []
    seen: asyncio.Queue[StatusCode] = asyncio.Queue()

    async def unary(_request: bytes, _context: Any) -> bytes:
        raise pending.pop()

    async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        raise pending.pop()
        yield b""

    server = GrpcServer(
        Process(),
        address="127.0.0.1:0",
        grace=0,
        services=["test.Test"],
        reflected=False,
        observe=lambda _method, code, _seconds: seen.put_nowait(code),
    )
    method = getattr(grpc, f"{request.param}_rpc_method_handler")(unary if request.param == "unary_unary" else stream)
    server.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Raise": method}),))

    async def answers(channel: grpc.aio.Channel) -> list[bytes]:
        if request.param == "unary_unary":
            ask: Any = channel.unary_unary("/test.Test/Raise")
            return [await ask(b"", timeout=5)]
        ask = channel.unary_stream("/test.Test/Raise")
        return [answer async for answer in ask(b"", timeout=5)]

    async with server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:

        async def raise_it(error: BaseException) -> grpc.aio.AioRpcError:
            pending.append(error)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await answers(channel)
            counted = await asyncio.wait_for(seen.get(), 5)  # after the answer has left
            assert counted is raised.value.code(), "metrics count what the caller sees"
            return raised.value

        yield raise_it


@pytest.mark.requirement("RUNTIME-004")
@pytest.mark.parametrize(("error", "code", "status"), ERRORS, ids=NAMES)
async def test_an_error_becomes_a_problem_with_all_its_fields(
    over_http: Raise, error: ServiceError, code: str, status: int
) -> None:
    response = await over_http(error)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "instance": "/thing",
        "error": error.message,
        "code": code,
        "trace_id": "",
        "retryable": status in (429, 503),
        "violations": [{"field": v.field, "description": v.description} for v in error.violations],
    }
    assert ("retry-after" in response.headers) == (status in (429, 503))
    assert response.headers.get("www-authenticate") == error.challenge


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    from service_runtime.problems import problem_response  # noqa: PLC0415 - beside its only use

    error = DependencyUnavailable("Away.", retry_after=0.2)
    assert problem_response(error, instance="/").headers["retry-after"] == "1"


@pytest.mark.requirement("RUNTIME-004")
@pytest.mark.parametrize(("error", "code", "status"), ERRORS, ids=NAMES)
async def test_an_error_becomes_a_grpc_status_with_its_details(
    over_grpc: Raise, error: ServiceError, code: str, status: int
) -> None:
    raised = await over_grpc(error)
    assert raised.code().name == code
    assert raised.details() == error.message
    trailers = dict(raised.trailing_metadata())
    assert len(str(trailers["x-trace-id"])) == 32
    pushback = {"Overloaded": "-1", "DependencyUnavailable": "1500"}.get(type(error).__name__)
    assert trailers.get("grpc-retry-pushback-ms") == pushback
    assert trailers.get("www-authenticate") == error.challenge
    details = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    assert details.code == (raised.code().value[0] if details.details else 0)
    retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    for each in details.details:
        assert each.Unpack(retry) or each.Unpack(bad)
    assert retry.retry_delay.ToTimedelta().total_seconds() == (error.retry_after or 0)
    assert [(v.field, v.description) for v in bad.field_violations] == [
        (v.field, v.description) for v in error.violations
    ]


@pytest.mark.requirement("RUNTIME-005")
async def test_the_text_of_an_unknown_exception_stays_here(
    over_http: Raise, over_grpc: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    response = await over_http(RuntimeError(LEAK))
    assert response.status_code == 500
    assert "swordfish" not in response.text
    assert response.json()["retryable"] is False
    raised = await over_grpc(RuntimeError(LEAK))
    assert raised.code() is StatusCode.INTERNAL
    assert "swordfish" not in json.dumps(
        [raised.details(), raised.debug_error_string(), str(raised.trailing_metadata())]
    )
    assert dict(raised.trailing_metadata())["x-trace-id"]
