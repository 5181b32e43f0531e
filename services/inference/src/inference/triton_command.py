"""The command line that Triton is started with."""

import math
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from service_runtime.process import StartError

from inference.settings import Settings

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """The ports that Triton listens on; 0 of the settings is a free one by now."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def choose(cls, settings: Settings) -> Self:
        """Take the ports of the settings, and a free one for every 0: Triton cannot report what it bound.

        A taken port ends the start here: whoever holds it could answer for our Triton.
        """
        http = settings.triton_http_port if settings.triton_http else 0
        with ExitStack() as held:  # all held at once, so that no number is given twice
            return cls(
                _bind(held, _LOOPBACK, http, "INFERENCE_TRITON_HTTP_PORT"),
                _bind(held, settings.triton_host, settings.triton_grpc_port, "INFERENCE_TRITON_GRPC_PORT"),
                _bind(held, settings.triton_host, settings.triton_metrics_port, "INFERENCE_TRITON_METRICS_PORT"),
            )


def triton_command(
    program: Path, settings: Settings, *, repository: Path, backends: Path | None, ports: TritonPorts, shm_prefix: str
) -> list[str]:
    """Return program and options: strict about models, HTTP on the loopback address or not at all."""
    options: dict[str, object] = {
        "model-repository": repository,
        "model-control-mode": "none",
        "exit-on-error": "true",
        "strict-readiness": "true",
        "exit-timeout-secs": max(1, math.floor(settings.grace)),
        "allow-grpc": "true",
        "grpc-address": settings.triton_host,
        "grpc-port": ports.grpc,
        "allow-http": str(settings.triton_http).lower(),
        "http-address": _LOOPBACK,
        "http-port": ports.http,
        "http-thread-count": 2,
        "allow-metrics": "true",
        "metrics-address": settings.triton_host,
        "metrics-port": ports.metrics,
        "allow-gpu-metrics": str(settings.gpu).lower(),
    }
    if backends is not None:
        options["backend-directory"] = backends
    if settings.backend == "python-onnxruntime":
        options["backend-config"] = f"python,shm-region-prefix-name={shm_prefix}"
    if not settings.gpu:
        options["pinned-memory-pool-byte-size"] = 0
    return [str(program), "--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())]


def _bind(held: ExitStack, host: str, port: int, setting: str) -> int:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError as error:
        raise StartError(
            f"{setting}: cannot listen on {host}:{port}: {error.strerror}. Choose another port."
        ) from error
    return int(probe.getsockname()[1])
