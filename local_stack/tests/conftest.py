"""A service small enough to watch the supervisor's own behaviour."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_stack.service_process import ServiceProcess

TINY_SERVICE = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

if os.environ.get("TINY_DIES"):
    sys.exit("cannot listen on 127.0.0.1: is the port taken?")
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid, flush=True)
if not os.environ.get("TINY_STUBBORN"):
    signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), os._exit(0)))
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Probe(BaseHTTPRequestHandler):
    def do_GET(self):
        failures = {"model": "still loading"} if os.environ.get("TINY_NEVER_READY") else {}
        body = json.dumps({"failures": failures}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(os.environ["TINY_OPERATIONS_PORT"])), Probe).serve_forever()
"""

StartTiny = Callable[..., ServiceProcess]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[StartTiny]:
    """Start a service named tiny with the given environment; ended with the test."""
    (tmp_path / "tiny.py").write_text(TINY_SERVICE)
    started: list[ServiceProcess] = []

    def start(**environment: str) -> ServiceProcess:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        service = ServiceProcess(
            "tiny",
            environment={
                "PATH": os.defpath,
                "PYTHONPATH": str(tmp_path),
                "TINY_OPERATIONS_PORT": str(port),
                **environment,
            },
            operations_port=port,
            log=tmp_path / "tiny.log",
        )
        service.start()
        started.append(service)
        return service

    yield start
    for service in started:
        service.kill()
