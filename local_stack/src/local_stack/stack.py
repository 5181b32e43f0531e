"""All services together."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from local_stack.service_process import ServiceProcess
from local_stack.services import SERVICES, Ports

_POLL_SECONDS = 0.05
_STOP_SECONDS = 15.0

OnReady = Callable[[str], None]
OnWait = Callable[[Mapping[str, Mapping[str, str]]], None]


class Stack:
    """The real services as child processes; enter to start and wait until all are ready, leave to stop them in order.

    `overrides` adds environment variables per service; `only` leaves the others out.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports,
        environment: Mapping[str, str],
        overrides: Mapping[str, Mapping[str, str]] | None = None,
        only: Sequence[str] = (),
    ) -> None:
        self.ports = ports
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.services = {
            spec.name: ServiceProcess(
                spec.name,
                environment={
                    **environment,
                    **spec.environment(ports, data),
                    **(overrides or {}).get(spec.name, {}),
                },
                operations_port=ports[spec.name]["operations"],
                log=folder / "logs" / f"{spec.name}.log",
            )
            for spec in SERVICES
            if not only or spec.name in only
        }

    def __getitem__(self, name: str) -> ServiceProcess:
        return self.services[name]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def http_url(self) -> str:
        """Where the gateway serves REST and the page."""
        return self._url("gateway", "http")

    @property
    def grpc_address(self) -> str:
        """Where the gateway serves gRPC."""
        return f"127.0.0.1:{self.ports['gateway']['grpc']}"

    @property
    def monitoring_url(self) -> str:
        """Where the monitoring service serves its page."""
        return self._url("monitoring", "page")

    @property
    def triton_url(self) -> str:
        """Triton's own HTTP address, behind the gateway."""
        return self._url("inference", "triton_http")

    @property
    def triton_grpc_address(self) -> str:
        """Triton's own gRPC address, behind the gateway."""
        return f"127.0.0.1:{self.ports['inference']['triton_grpc']}"

    def operations_url(self, service: str) -> str:
        """Where `service` serves /readyz, /metrics, /buildz and /configz."""
        return self._url(service, "operations")

    def start(self, *, timeout: float = 120, on_ready: OnReady | None = None, on_wait: OnWait | None = None) -> None:
        """Start all at once and wait until each is ready; raises ServiceDied.

        Whoever needs another waits for it in its own /readyz, as it would in a cluster.
        """
        for service in self.services.values():
            service.start()
        waiting = dict(self.services)
        deadline = time.monotonic() + timeout
        while waiting:
            obstacles = {name: service.obstacles() for name, service in waiting.items()}
            for name in [name for name, found in obstacles.items() if not found]:
                del waiting[name]
                if on_ready:
                    on_ready(name)
            self.raise_if_dead()
            if waiting and time.monotonic() > deadline:
                next(iter(waiting.values())).wait_ready(timeout=0)
            if on_wait:
                on_wait({name: obstacles[name] for name in waiting})
            time.sleep(_POLL_SECONDS)

    def raise_if_dead(self) -> None:
        """Raise ServiceDied for the first service that has ended."""
        for service in self.services.values():
            service.raise_if_dead()

    def stop(self) -> dict[str, int]:
        """Stop callers before those they call; return the exit codes."""
        started = [service for service in reversed(self.services.values()) if service.was_started]
        for service in started:
            service.thaw()  # a frozen one cannot hear SIGTERM
        codes: dict[str, int] = {}
        for group in ([s for s in started if s.name == "gateway"], [s for s in started if s.name != "gateway"]):
            for service in group:
                service.terminate()
            codes.update({service.name: service.wait_ended(_STOP_SECONDS) for service in group})
        return codes

    def kill(self) -> None:
        """End everything at once."""
        for service in self.services.values():
            if service.running:
                service.kill()

    def last_lines(self, lines: int = 15) -> str:
        """Return the end of every log, for the report of a failure."""
        return "\n".join(f"--- {name} ---\n{service.tail(lines)}" for name, service in self.services.items())

    def _url(self, service: str, purpose: str) -> str:
        return f"http://127.0.0.1:{self.ports[service][purpose]}"
