"""The servers under test: Fairlead's own stack and the peers, all on one core."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from local_stack.ports import free_ports
from local_stack.settings import ROOT, StackSettings, release_pins
from local_stack.stack import Stack

from loadtests.bench.accounting import tree

SERVER_CORE = 0
PEERS = ROOT / "loadtests" / "bench" / "peers"
FAIRLEAD = ("gateway", "preprocessing", "monitoring", "inference")
_DIGITS = ROOT / "models" / "digits"
_CACHE = Path.home() / ".cache" / "fairlead"
_START_SECONDS = 600.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 10.0
_TUNED = "-tuned"
PEER_ENVIRONMENTS = {
    "kserve-predictor": "kserve",
    "kserve-predictor-tuned": "kserve",
    "kserve-transformer": "kserve",
    "kserve-transformer-tuned": "kserve",
    "fastapi": "fastapi",
}


class PeerDied(Exception):
    """A peer ended or never listened; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Everything that runs, and where."""

    stack: Stack
    ports: Mapping[str, Mapping[str, int]]
    """Ports of the peers by name and protocol."""
    groups: Mapping[str, tuple[int, ...]]
    """Process ids by name; `triton` is the server and its model processes without our launcher."""

    def pids(self, names: Sequence[str]) -> list[int]:
        """Return the processes of several groups."""
        return [pid for name in names for pid in self.groups[name]]


@contextlib.contextmanager
def running(scratch: Path) -> Iterator[Servers]:
    """Run the stack and all peers until left."""
    stack = Stack(scratch, ports=free_ports(), environment=_environment())
    with contextlib.ExitStack() as cleanup:
        with pinned(SERVER_CORE):
            cleanup.callback(stack.stop)
            stack.start(timeout=_START_SECONDS)
        ports = {name: {"http": _free_port(), "grpc": _free_port()} for name in PEER_ENVIRONMENTS}
        peers = {name: _started(name, stack, ports[name], scratch, cleanup) for name in ports}
        for name, process in peers.items():
            _wait_listening(name, process, ports[name]["http"], scratch)
        launcher, *triton = tree(stack["inference"].pid)
        groups = {name: tuple(tree(stack[name].pid)) for name in FAIRLEAD}
        groups |= {"inference": (launcher,), "triton": tuple(triton)}
        yield Servers(stack, ports, groups | {name: tuple(tree(each.pid)) for name, each in peers.items()})


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let this process, and what it starts meanwhile, run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _command(name: str, stack: Stack, ports: Mapping[str, int]) -> list[str]:
    common = ["--model_name", "digits", "--http_port", str(ports["http"]), "--grpc_port", str(ports["grpc"])]
    common += ["--tuned"] if name.endswith(_TUNED) else []
    triton = stack.triton_grpc_address
    match name.removesuffix(_TUNED):
        case "kserve-predictor":
            return ["kserve_predictor.py", *common, "--model_path", str(_graph())]
        case "kserve-transformer":
            return ["kserve_transformer.py", *common, "--predictor_host", triton, "--predictor_protocol", "grpc-v2"]
        case _:
            return ["fastapi_app.py", triton, str(ports["http"])]


def _started(
    name: str, stack: Stack, ports: Mapping[str, int], scratch: Path, cleanup: contextlib.ExitStack
) -> subprocess.Popen[bytes]:
    python = environment_of(PEER_ENVIRONMENTS[name]) / "bin" / "python"
    sources = ROOT / "services" / "preprocessing" / "src"
    with pinned(SERVER_CORE), (scratch / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), *_command(name, stack, ports)],
            cwd=PEERS,
            env={**_environment(), "PYTHONPATH": str(sources)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    cleanup.callback(_stop, process)
    return process


def environment_of(peer: str) -> Path:
    """Return the peer's own environment, made from its locked requirements when it is not cached."""
    requirements = PEERS / f"{peer}.txt"
    folder = _CACHE / f"bench-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]}"
    finished = folder / ".complete"
    if not finished.exists():
        print(f"Installing the environment of {peer} (the first time only)", flush=True)
        uv = str(Path(sys.prefix) / "bin" / "uv")
        subprocess.check_call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        python = str(folder / "bin" / "python")
        install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(requirements)]
        subprocess.check_call(install)
        finished.touch()
    return folder


def _graph() -> Path:
    """Return the ONNX graph of the release that this machine serves."""
    pin = release_pins()["INFERENCE_PINS"].rpartition("sha256:")[2]
    release = yaml.safe_load((_DIGITS / "releases" / f"{pin[:12]}.yaml").read_text())
    digests: dict[str, str] = {file["path"]: file["sha256"] for file in release["files"]}
    return _DIGITS / "blobs" / "sha256" / digests["model.onnx"]


def _environment() -> dict[str, str]:
    return {**StackSettings.read().environment, "OMP_NUM_THREADS": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_listening(name: str, process: subprocess.Popen[bytes], port: int, scratch: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(_POLL_SECONDS)
    raise PeerDied(f"{name} does not listen:\n{(scratch / f'{name}.log').read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
