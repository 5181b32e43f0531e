"""What is loaded: a named host, the stack that runs here, or one started for the purpose."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local_stack.ports import free_ports
from local_stack.run_folder import RunFolder
from local_stack.settings import StackSettings
from local_stack.stack import Stack

_GRPC_PORT = 9000
_START_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway's two doors."""

    http_url: str
    grpc_address: str


@contextmanager
def chosen(host: str | None, grpc: str | None) -> Iterator[Target]:
    """Return the host that was named; else what `make up` started; else a stack that ends with the run."""
    if host:
        yield Target(host.rstrip("/"), grpc or f"{urlsplit(host).hostname}:{_GRPC_PORT}")
        return
    settings = StackSettings.read()
    state = RunFolder(settings.run_folder).state()
    if state.get("answered"):
        yield Target(str(state["url"]), str(state["grpc"]))
        return
    print("Nothing runs here (make up): starting the services for this run", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        stack = Stack(Path(scratch), ports=free_ports(), environment=settings.environment)
        try:
            stack.start(timeout=_START_SECONDS)
            yield Target(stack.http_url, stack.grpc_address)
        finally:
            stack.stop()
