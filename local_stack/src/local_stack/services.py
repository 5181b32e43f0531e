"""What runs on one machine: each service, its ports and the settings that tie it to the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_stack.settings import ROOT

INFERENCE_FILES = {
    "models": str(ROOT / "models"),
    "triton_requirements": str(ROOT / "requirements" / "triton.txt"),
}
"""Settings whose defaults are relative to the checkout."""

Ports = Mapping[str, Mapping[str, int]]
"""Port numbers by service and purpose."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service as this machine runs it."""

    name: str
    ports: Mapping[str, int]
    """Laptop defaults by purpose; every service has `operations`."""
    settings: Callable[[Ports, Path], dict[str, str]]
    """Settings by field name, from all ports and the folder for data."""

    def environment(self, ports: Ports, data: Path) -> dict[str, str]:
        """Return the environment variables of this service."""
        own = {"operations_port": str(ports[self.name]["operations"]), **self.settings(ports, data)}
        return {f"{self.name}_{setting}".upper(): value for setting, value in own.items()}


def _monitoring(ports: Ports, data: Path) -> dict[str, str]:
    return {
        "grpc_address": _address(ports["monitoring"]["grpc"]),
        "page_port": str(ports["monitoring"]["page"]),
        "database": str(data / "predictions.db"),
    }


def _preprocessing(ports: Ports, _data: Path) -> dict[str, str]:
    return {"grpc_address": _address(ports["preprocessing"]["grpc"])}


def _inference(ports: Ports, _data: Path) -> dict[str, str]:
    own = ports["inference"]
    return {
        **INFERENCE_FILES,
        "triton_http_port": str(own["triton_http"]),
        "triton_grpc_port": str(own["triton_grpc"]),
        "triton_metrics_port": str(own["triton_metrics"]),
    }


def _gateway(ports: Ports, _data: Path) -> dict[str, str]:
    return {
        "http_port": str(ports["gateway"]["http"]),
        "grpc_address": _address(ports["gateway"]["grpc"]),
        "preprocessing_address": _address(ports["preprocessing"]["grpc"]),
        "inference_address": _address(ports["inference"]["triton_grpc"]),
        "monitoring_address": _address(ports["monitoring"]["grpc"]),
    }


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


SERVICES = (
    ServiceSpec("monitoring", {"grpc": 9002, "page": 8081, "operations": 9092}, _monitoring),
    ServiceSpec("preprocessing", {"grpc": 9001, "operations": 9091}, _preprocessing),
    ServiceSpec(
        "inference",
        {"triton_http": 8000, "triton_grpc": 8001, "triton_metrics": 8002, "operations": 9093},
        _inference,
    ),
    ServiceSpec("gateway", {"http": 8080, "grpc": 9000, "operations": 9090}, _gateway),
)
"""In the order of their calls: nobody calls one that stands after it."""
