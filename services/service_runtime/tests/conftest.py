"""A real process of the sample service, and an in-process gRPC server."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_stack.eventually import eventually

SAMPLE = Path(__file__).parent / "sample_service.py"


class Sample:
    """The sample service in a process of its own; its output is in a file."""

    def __init__(self, output: Path, **settings: str) -> None:
        self._output = output
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.operations_port = settings.get("operations_port", str(probe.getsockname()[1]))
        variables = {f"SAMPLE_{name}".upper(): value for name, value in settings.items()}
        with output.open("wb") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, str(SAMPLE)],
                env={"PATH": os.defpath, "SAMPLE_OPERATIONS_PORT": self.operations_port, **variables},
                stdout=stdout,
                stderr=subprocess.STDOUT,
            )

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        return [json.loads(line) for line in self._output.read_text().splitlines() if line.startswith("{")]

    def output(self) -> str:
        """All that it printed so far."""
        return self._output.read_text()

    def events(self) -> list[str]:
        """The events that it logged so far, in order."""
        return [str(line["event"]) for line in self.lines()]

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait until it logs `event` and return that line."""
        found = eventually(lambda: [line for line in self.lines() if line["event"] == event], within=30)
        return found[0]

    @property
    def grpc_address(self) -> str:
        """Where it serves gRPC, once it does."""
        return f"127.0.0.1:{self.wait_for('grpc.listening')['port']}"

    def operations(self, path: str) -> tuple[int, Any]:
        """GET a path of the operations port: status and JSON."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operations_port}{path}", timeout=5) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def start_sample(tmp_path: Path) -> Iterator[Callable[..., Sample]]:
    """Start the sample service with settings; killed with the test."""
    samples: list[Sample] = []

    def start(**settings: str) -> Sample:
        samples.append(Sample(tmp_path / f"sample-{len(samples)}.log", **settings))
        return samples[-1]

    yield start
    for sample in samples:
        sample.process.kill()
        sample.process.wait()
