"""The launcher's life: verify, lay out, start Triton, check golden vectors, then be ready."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from service_runtime.process import Process, StartError

from inference.golden import check_golden
from inference.metrics import PINNED, START_SECONDS
from inference.model_package import Package, load_package
from inference.model_repository import lay_out
from inference.pins import Pin
from inference.settings import Settings
from inference.shared_memory import SharedMemory
from inference.triton_client import NotReady, TritonClient
from inference.triton_command import TritonPorts, triton_command
from inference.triton_environment import ensure_environment
from inference.triton_process import TritonProcess

log = structlog.get_logger()

_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 5.0


@contextlib.asynccontextmanager
async def launch(process: Process, settings: Settings) -> AsyncIterator[None]:
    """Serve the pinned packages by a Triton of our own until left; fail the process when Triton dies."""
    started = time.monotonic()
    packages = [load_package(settings.models, pin) for pin in Pin.parse_all(settings.pins)]
    process.build_info = lambda: {"models": {package.model: package.release.digest for package in packages}}
    ports = TritonPorts.choose(settings)
    with _repository(packages, settings) as repository:
        triton = await asyncio.to_thread(_triton, settings, repository.folder, ports)
        async with triton, TritonClient(f"{settings.triton_host}:{ports.grpc}") as client:
            log.info("triton.starting", **asdict(ports))
            await _until_ready(triton, client, timeout=settings.start_timeout)
            for package, version in repository.versions:
                await check_golden(client, package, version)
                PINNED.labels(package.model, package.release.version, package.release.digest).set(1)
            START_SECONDS.set(time.monotonic() - started)
            process.readiness.require("triton", client.check_ready)
            watch = asyncio.create_task(_fail_when_ended(triton, process))
            yield
            watch.cancel()


@dataclass(frozen=True, slots=True)
class _Repository:
    folder: Path
    versions: list[tuple[Package, Path]]


@contextlib.contextmanager
def _repository(packages: list[Package], settings: Settings) -> Iterator[_Repository]:
    with tempfile.TemporaryDirectory(prefix="fairlead-inference-", dir=settings.work) as work:
        folder = Path(work)
        yield _Repository(folder, [(package, lay_out(package, folder, settings)) for package in packages])


def _triton(settings: Settings, repository: Path, ports: TritonPorts) -> TritonProcess:
    shared_memory = SharedMemory(os.getpid())
    if settings.backend == "python-onnxruntime":
        environment = ensure_environment(settings)
        program, backends, variables = environment.program, environment.backends, environment.variables
    else:
        program, backends, variables = settings.tritonserver, None, {}
        if not program.is_file():
            raise StartError(f"INFERENCE_TRITONSERVER: {program} does not exist. It is part of NVIDIA's image.")
    command = triton_command(
        program, settings, repository=repository, backends=backends, ports=ports, shm_prefix=shared_memory.prefix
    )
    return TritonProcess(command, variables=variables, grace=settings.grace, shared_memory=shared_memory)


async def _until_ready(triton: TritonProcess, client: TritonClient, *, timeout: float) -> None:  # noqa: ASYNC109
    ended = asyncio.create_task(triton.ended())
    try:
        async with asyncio.timeout(timeout):
            while not await _is_ready(client):
                done, _ = await asyncio.wait({ended}, timeout=_POLL_SECONDS)
                if done:
                    raise StartError(f"{ended.result()}. It never became ready.")
    except TimeoutError as error:
        raise StartError(
            f"Triton was not ready within {timeout:g} s; INFERENCE_LOG_LEVEL=debug shows what it does, "
            "INFERENCE_START_TIMEOUT gives it longer."
        ) from error
    finally:
        ended.cancel()


async def _is_ready(client: TritonClient) -> bool:
    try:
        await client.check_ready()
    except NotReady:
        return False
    return True


async def _fail_when_ended(triton: TritonProcess, process: Process) -> None:
    process.fail(f"{await triton.ended()}. Nothing is served without it, so this process ends too.")
