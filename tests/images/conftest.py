"""The four images as containers: read-only root, no root user, no capabilities, as the manifests run them."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from delivery.images.inputs import Inputs
from delivery.images.library import Image, Library
from local_stack.settings import ROOT
from sandbox.progress import Progress

SERVICES = ("preprocessing", "monitoring", "inference", "gateway")
NEEDS = ("buildah", "skopeo", "runc", "unshare", "nsenter")
START_S = 60.0
PIN = (ROOT / "local_stack" / "release.env").read_text().split("=", 1)[1].strip()
WRITABLE = {"monitoring": ["/data"]}
SETTINGS = {"inference": {"INFERENCE_PINS": PIN}}


@pytest.fixture(scope="session")
def library() -> Iterator[Library]:
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(f"Images run as containers of root, by runc. Missing: {missing or 'root'}")
    library = Library(Path.home() / ".cache" / "fairlead", Progress())
    with library.held():
        yield library


@pytest.fixture(scope="session")
def images(library: Library) -> Mapping[str, Image]:
    return {name: library.image(Inputs.of(ROOT, name)) for name in SERVICES}


@dataclass(frozen=True)
class Container:
    """A container that runs, in the pod's network."""

    name: str
    root: Path
    log: Path
    process: "subprocess.Popen[bytes]"
    config: Mapping[str, Any]


@dataclass
class Pod:
    """Containers that share a network with nothing else in it."""

    folder: Path
    network: int
    containers: dict[str, Container]

    def run(self, root: Path, name: str, config: Mapping[str, Any]) -> Container:
        """Start an image's own entry point."""
        bundle = self.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self._bundle(root, name, config)))
        log = bundle / "log"
        with log.open("wb") as output:
            command = ["runc", "--root", str(self.folder / "runc"), "run", "--bundle", str(bundle), self._id(name)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        container = Container(name, root, log, process, config)
        self.containers[name] = container
        return container

    def ask(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of this machine in the pod's network."""
        inside = ("nsenter", "--target", str(self.network), "--net", *command)
        return subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)

    def execute(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the image in its container."""
        inside = ("runc", "--root", str(self.folder / "runc"), "exec", self._id(name), *command)
        return subprocess.run(inside, capture_output=True, text=True, timeout=90, check=False)

    def await_ready(self, name: str, port: int) -> None:
        """Wait until its readiness says yes; its log is the reason when it does not."""
        deadline = time.monotonic() + START_S
        while self.ask("curl", "--silent", "--fail", f"http://127.0.0.1:{port}/readyz").returncode:
            container = self.containers[name]
            if container.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} does not become ready:\n{container.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        for name in self.containers:
            self._kill(name, "TERM")
        for name, container in self.containers.items():
            try:
                container.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._kill(name, "KILL")
                container.process.wait(timeout=20)

    def _kill(self, name: str, signal: str) -> None:
        command = ["runc", "--root", str(self.folder / "runc"), "kill", self._id(name), signal]
        subprocess.run(command, capture_output=True, check=False)

    def _id(self, name: str) -> str:
        return f"fairlead-{self.network}-{name}"

    def _bundle(self, root: Path, name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        uid, _, gid = config["User"].partition(":")
        variables = [f"{key}={value}" for key, value in SETTINGS.get(name, {}).items()]
        return {
            "ociVersion": "1.0.2",
            "root": {"path": str(root), "readonly": True},
            "process": {
                "user": {"uid": int(uid), "gid": int(gid)},
                "args": config["Entrypoint"],
                "env": [*config["Env"], *variables],
                "cwd": "/",
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "mounts": list(_mounts(name)),
            "linux": {
                "namespaces": [
                    {"type": "mount"},
                    {"type": "pid"},
                    {"type": "ipc"},
                    {"type": "network", "path": f"/proc/{self.network}/ns/net"},
                ]
            },
        }


def _mounts(name: str) -> Iterator[Mapping[str, Any]]:
    yield {"destination": "/proc", "type": "proc", "source": "proc"}
    yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
    shared = ["nosuid", "nodev", "mode=1777", "size=256m"]
    yield {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": shared}  # noqa: S108 - inside the container
    for folder in ["/tmp", *WRITABLE.get(name, [])]:  # noqa: S108 - inside the container
        options = ["nosuid", "nodev", "uid=65532", "gid=65532", "size=256m"]
        yield {"destination": folder, "type": "tmpfs", "source": "tmpfs", "options": options}


@pytest.fixture(scope="session")
def pod(library: Library, images: Mapping[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    with ExitStack() as stack:
        keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        stack.callback(keeper.wait)
        stack.callback(keeper.kill)
        assert keeper.stdout is not None
        stack.callback(keeper.stdout.close)
        assert keeper.stdout.readline() == b"up\n"
        pod = Pod(tmp_path_factory.mktemp("pod"), keeper.pid, {})
        roots = {name: stack.enter_context(library.mounted(images[name])) for name in SERVICES}
        stack.callback(pod.stop)
        for name in SERVICES:
            pod.run(roots[name], name, library.config(images[name]))
        yield pod
