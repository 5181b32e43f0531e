"""A small real service, for tests that need a process of its own: python sample_service.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import structlog
from pydantic_settings import SettingsConfigDict
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import Process, run
from service_runtime.settings import GrpcServiceSettings
from service_runtime.tracing import client_span, current_span

log = structlog.get_logger()


class Settings(GrpcServiceSettings):
    """Read from SAMPLE_* variables."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_")

    grpc_address: str = "127.0.0.1:0"
    """Address and port of gRPC."""

    ready_file: str = ""
    """Ready only while this file exists; empty: always."""

    start_blocked: bool = False
    """Never finish starting."""

    fails_at_once: bool = False
    """Report a failure right after the start."""


@asynccontextmanager
async def sample(process: Process) -> AsyncIterator[None]:
    """Serve sample.Sample with a few odd methods."""
    settings = Settings()
    draining = asyncio.Event()
    process.on_drain(draining.set)
    if settings.ready_file:
        process.readiness.require("file", lambda: _check(Path(settings.ready_file)))
    if settings.start_blocked:
        log.info("sample.blocked")
        await asyncio.Event().wait()

    async def hold(_request: bytes, _context: Any) -> bytes:
        log.info("sample.holding")
        await draining.wait()
        return b"finished while draining"

    async def hang(_request: bytes, _context: Any) -> bytes:
        log.info("sample.holding")
        await asyncio.Event().wait()
        return b""

    async def trace(_request: bytes, _context: Any) -> bytes:
        log.info("sample.traced")
        with client_span("downstream") as span:
            inner = span.traceparent()
        outer = current_span()
        return f"{outer.traceparent() if outer else ''} {inner}".encode()

    async def explode(_request: bytes, _context: Any) -> bytes:
        raise RuntimeError("the password is swordfish")

    server = GrpcServer(
        process,
        address=settings.grpc_address,
        grace=settings.grace,
        services=["sample.Sample"],
        reflected=settings.reflection,
        observe=lambda *_: None,
    )
    methods = {method.__name__.capitalize(): method for method in (hold, hang, trace, explode)}
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("sample.Sample", handlers),))
    async with server:
        if settings.fails_at_once:
            process.fail("its engine died")
        yield
        log.info("sample.left")
    log.info("sample.server_stopped")


async def _check(path: Path) -> None:
    if not path.exists():  # noqa: ASYNC240 - one stat
        raise FileNotFoundError(f"{path.name} is missing")


if __name__ == "__main__":
    run("sample", Settings.read(), sample, version="1.2.3")
