"""Packages made on the spot, and the real launcher with a real Triton."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import yaml
from inference.model_package import PackageFile, package_digest
from local_stack.ports import free_ports
from local_stack.service_process import ServiceProcess
from local_stack.settings import ROOT, StackSettings, release_pins
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

CONTRACT = {
    "name": "doubler",
    "platform": "onnx",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    "labels": ["low", "high"],
    "max_batch_size": 8,
    "dynamic_batching": {"max_queue_delay_microseconds": 250},
    "feature_spec": "pairs",
    "feature_spec_digest": "sha256:" + "5" * 64,
    "files": {"model": "model.onnx", "golden": "golden.json"},
}


@dataclass(frozen=True, slots=True)
class WrittenPackage:
    """A package on disk and the pin that names it."""

    models: Path
    pin: str

    @property
    def folder(self) -> Path:
        return self.models / self.pin.partition("@")[0]

    @property
    def release(self) -> Path:
        return self.folder / "releases" / f"{self.pin.partition('sha256:')[2][:12]}.yaml"

    def blob(self, name: str) -> Path:
        record = yaml.safe_load(self.release.read_bytes())
        (entry,) = (entry for entry in record["files"] if entry["path"] == name)
        return self.folder / "blobs" / "sha256" / str(entry["sha256"])


WritePackage = Callable[..., WrittenPackage]


@pytest.fixture
def write_package(tmp_path: Path) -> WritePackage:
    """Write a package of any bytes as training would."""

    def write(files: Mapping[str, bytes] | None = None, contract: Mapping[str, object] = CONTRACT) -> WrittenPackage:
        files = files or {"model.onnx": b"a graph", "golden.json": b"{}"}
        folder = tmp_path / "models" / str(contract["name"])
        entries = []
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            blob = folder / "blobs" / "sha256" / digest
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            entries.append(PackageFile(path=path, size=len(content), sha256=digest))
        written = WrittenPackage(tmp_path / "models", f"{contract['name']}@{package_digest(entries)}")
        record = {"version": 3, "digest": package_digest(entries), "files": [entry.model_dump() for entry in entries]}
        written.release.parent.mkdir()
        written.release.write_text(yaml.safe_dump(record))
        (folder / "model.yaml").write_text(yaml.safe_dump(contract))
        return written

    return write


class Launcher:
    """The launcher as a process, and what can be seen of it from outside."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        ports = free_ports()["inference"]
        self.grpc_address = f"127.0.0.1:{ports['triton_grpc']}"
        environment = {f"INFERENCE_{purpose}_PORT".upper(): str(port) for purpose, port in ports.items()}
        self.process = ServiceProcess(
            "inference",
            environment={**StackSettings.read().environment, "INFERENCE_MODELS": str(ROOT / "models"), **environment}
            | {f"INFERENCE_{name.upper()}": value for name, value in settings.items()},
            operations_port=ports["operations"],
            log=folder / "inference.log",
        )

    def entries(self, event: str) -> list[dict[str, object]]:
        lines = self.process.log.read_text().splitlines()
        return [entry for line in lines if line.startswith("{") and (entry := json.loads(line))["event"] == event]


Launch = Callable[..., Launcher]


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Start launchers; they end with the module."""
    launchers: list[Launcher] = []

    def start(**settings: str) -> Launcher:
        launcher = Launcher(tmp_path_factory.mktemp("launcher"), settings)
        launchers.append(launcher)
        launcher.process.start()
        return launcher

    yield start
    for launcher in launchers:
        launcher.process.stop()


@pytest.fixture(scope="module")
def served(launch: Launch) -> Launcher:
    """The released digits model, served."""
    launcher = launch()
    launcher.process.wait_ready()
    return launcher


@pytest.fixture
def triton(served: Launcher) -> Iterator[GRPCInferenceServiceStub]:
    """A stub of the served Triton."""
    with grpc.insecure_channel(served.grpc_address) as channel:
        yield GRPCInferenceServiceStub(channel)


@pytest.fixture
def one_row() -> pb.ModelInferRequest:
    """One empty picture for digits."""
    request = pb.ModelInferRequest(model_name="digits")
    request.inputs.add(name="pixels", datatype="FP32", shape=[1, 64])
    request.raw_input_contents.append(struct.pack("<64f", *[0.0] * 64))
    return request


@pytest.fixture
def pinned_digest() -> str:
    """The digest that this repository's release file pins."""
    return release_pins()["INFERENCE_PINS"].partition("@")[2]


@dataclass(frozen=True, slots=True)
class ReleasedPackage:
    """The files and the contract of the package that this repository serves."""

    files: dict[str, bytes]
    contract: dict[str, object]


@pytest.fixture
def released(pinned_digest: str) -> ReleasedPackage:
    """The pinned digits package, to write damaged copies of."""
    folder = ROOT / "models" / "digits"
    pinned = WrittenPackage(ROOT / "models", f"digits@{pinned_digest}")
    names = [entry["path"] for entry in yaml.safe_load(pinned.release.read_bytes())["files"]]
    files = {name: pinned.blob(name).read_bytes() for name in names}
    return ReleasedPackage(files, yaml.safe_load((folder / "model.yaml").read_bytes()))
