"""The kit's models in a real Triton, and our gateway in front of it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from inference.settings import EnvironmentSettings
from inference.triton_environment import ensure_environment
from local_stack.eventually import eventually
from local_stack.ports import free_ports
from local_stack.service_process import ServiceProcess
from local_stack.services import SERVICES, Ports
from local_stack.settings import StackSettings
from oip_conformance.target import Target

MODELS = Path(__file__).parent / "models"
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class KitServers:
    """Both serve the kit's models; the second is the first's backend."""

    gateway: Target
    triton: Target


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares this Triton in one worker."""
    for item in items:
        if "kit_servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("oip"))
            item.add_marker(pytest.mark.component)


@pytest.fixture(scope="session")
def kit_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KitServers]:
    folder = tmp_path_factory.mktemp("oip")
    ports = free_ports()
    triton = start_triton(ports, folder / "triton.log")
    gateway = prepare_gateway(ports, folder)
    servers = KitServers(
        Target(f"127.0.0.1:{ports['gateway']['http']}", f"127.0.0.1:{ports['gateway']['grpc']}"),
        Target(f"127.0.0.1:{ports['inference']['triton_http']}", f"127.0.0.1:{ports['inference']['triton_grpc']}"),
    )
    try:
        gateway.start()
        eventually(lambda: triton.poll() is not None or is_ready(servers.triton), within=START_SECONDS)
        gateway.wait_ready()
        yield servers
    finally:
        servers.gateway.close()
        servers.triton.close()
        if gateway.was_started:
            gateway.stop()
        triton.terminate()
        triton.wait(timeout=30)


def start_triton(ports: Ports, log: Path) -> subprocess.Popen[bytes]:
    environment = ensure_environment(EnvironmentSettings())
    own = ports["inference"]
    options = {
        "model-repository": MODELS,
        "backend-directory": environment.backends,
        "http-address": "127.0.0.1",
        "http-port": own["triton_http"],
        "grpc-address": "127.0.0.1",
        "grpc-port": own["triton_grpc"],
        "allow-metrics": "false",
        "exit-timeout-secs": 5,
    }
    command = [str(environment.program), *(f"--{name}={value}" for name, value in options.items())]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=dict(environment.variables), stdout=output, stderr=subprocess.STDOUT)


def prepare_gateway(ports: Ports, folder: Path) -> ServiceProcess:
    spec = next(spec for spec in SERVICES if spec.name == "gateway")
    return ServiceProcess(
        spec.name,
        environment={**StackSettings.read().environment, **spec.environment(ports, folder)},
        operations_port=ports[spec.name]["operations"],
        log=folder / "gateway.log",
    )


def is_ready(target: Target) -> bool:
    try:
        return target.send("/v2/health/ready", method="GET").code == "OK"
    except OSError:
        return False
