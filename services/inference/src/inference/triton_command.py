"""The command line that Triton is started with."""

import math
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
        """Take the ports of the settings, and a free one for every 0: Triton cannot report what it bound."""
        asked = (settings.triton_http_port, settings.triton_grpc_port, settings.triton_metrics_port)
        with ExitStack() as held:  # all held at once, so that no number is given twice
            return cls(*(port or _free_port(held) for port in asked))


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


def _free_port(held: ExitStack) -> int:
    probe = held.enter_context(socket.socket())
    probe.bind((_LOOPBACK, 0))
    return int(probe.getsockname()[1])
