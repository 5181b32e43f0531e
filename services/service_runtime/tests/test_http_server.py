"""Connections that send everything but a request."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from service_runtime.http_server import HttpServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
BODY = b"content-length: 4\r\n\r\nbody"
CHUNK = b"x" * 8192


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    async with HttpServer(app, host="127.0.0.1", port=0, grace=1, head_seconds=0.3) as running:
        yield running


@pytest.fixture
async def connection(server: HttpServer) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(10):
        yield reader, writer
    writer.close()


def endless_headers() -> Iterator[bytes]:
    yield HEAD
    while True:
        yield b"x-header: " + CHUNK + b"\r\n"


def one_endless_header() -> Iterator[bytes]:
    yield HEAD + b"x-header: "
    while True:
        yield CHUNK


def endless_trailers() -> Iterator[bytes]:
    yield HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
    while True:
        yield b"x-trailer: " + CHUNK + b"\r\n"


@pytest.mark.requirement("RUNTIME-009")
@pytest.mark.parametrize(
    "sent", [endless_headers(), one_endless_header(), endless_trailers()], ids=lambda each: each.__name__
)
async def test_an_endless_head_is_refused(connection: Connection, sent: Iterator[bytes]) -> None:
    reader, writer = connection
    answer = asyncio.create_task(reader.read(65536))
    size = 0
    while not answer.done():
        part = next(sent)
        writer.write(part)
        size += len(part)
        await asyncio.wait({answer}, timeout=0.001)
    assert (await answer).startswith(b"HTTP/1.1 400")
    assert size < 4_000_000


@pytest.mark.requirement("RUNTIME-009")
@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + BODY + HEAD], ids=["nothing", "half a head", "half a second head"])
async def test_a_head_that_never_comes_ends_the_connection(connection: Connection, sent: bytes) -> None:
    reader, writer = connection
    writer.write(sent)
    answered = await reader.read()
    assert answered.endswith(b"body") == (BODY in sent)


async def test_a_slow_body_and_idle_time_between_requests_are_not_cut_short(connection: Connection) -> None:
    reader, writer = connection
    for _ in range(2):
        writer.write(HEAD + BODY[:-1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.6)
        writer.write(BODY[-1:])
        assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.6)
