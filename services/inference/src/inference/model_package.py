"""Model packages: the pinned release, its files verified by size, sha256 and name."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from service_runtime.process import StartError

from inference.pins import Pin

Parsed = TypeVar("Parsed", bound=BaseModel)

_CHUNK = 1024 * 1024


class PackageFile(BaseModel):
    """One file of a package: its name, size and content hash."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        name = PurePosixPath(path)
        if name.is_absolute() or ".." in name.parts or not name.parts:
            raise ValueError("a file's path must be relative and stay inside the package")
        return path


class Release(BaseModel):
    """The release record of one package."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(ge=1)
    digest: str
    files: tuple[PackageFile, ...] = Field(min_length=1)


class Tensor(BaseModel):
    """An input or output; -1 is a variable size, the first dimension is the batch."""

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: Literal[
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"
    ]
    shape: tuple[int, ...] = Field(min_length=1)


class Batching(BaseModel):
    """How Triton forms batches of this model."""

    model_config = ConfigDict(frozen=True)

    max_queue_delay_microseconds: int = Field(default=0, ge=0)


class FileNames(BaseModel):
    """What the files with a role are called."""

    model_config = ConfigDict(frozen=True)

    model: str = "model.onnx"
    golden: str = "golden.json"


class Contract(BaseModel):
    """What model.yaml says a model takes, gives and needs."""

    model_config = ConfigDict(frozen=True)

    platform: Literal["onnx"]
    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)
    max_batch_size: int = Field(ge=1)
    dynamic_batching: Batching = Batching()
    labels: tuple[str, ...] = ()
    feature_spec: str = ""
    feature_spec_digest: str = ""
    files: FileNames = FileNames()


@dataclass(frozen=True, slots=True)
class Package:
    """The pinned package: a record that agrees with the pin, and the bytes it names."""

    model: str
    release: Release
    contract: Contract
    blobs: Path

    def extract(self, destination: Path) -> None:
        """Copy every file to `destination`, refusing those whose bytes disagree with the release."""
        for record in self.release.files:
            _copy_verified(self.blobs / record.sha256, destination / record.path, record)


def load_package(models: Path, pin: Pin) -> Package:
    """Return the pinned package, or raise StartError with what disagrees and what to do."""
    folder = models / pin.model
    if not (folder / "model.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in models.glob("*/model.yaml"))) or "no model"
        raise StartError(f"INFERENCE_PINS names model '{pin.model}', but {models} holds {known}. Mend the pin.")
    release = _pinned_release(folder, pin)
    return Package(pin.model, release, _parse(Contract, folder / "model.yaml"), folder / "blobs" / "sha256")


def package_digest(files: Iterable[PackageFile]) -> str:
    """Return the digest of a package: sha256 over its canonical manifest, so names are bound as well as bytes."""
    manifest = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in files]
    canonical = json.dumps(sorted(manifest, key=lambda entry: str(entry["path"])), separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _pinned_release(folder: Path, pin: Pin) -> Release:
    hexdigits = pin.digest.removeprefix("sha256:")
    path = folder / "releases" / f"{hexdigits[:12]}.yaml"
    if not path.is_file():
        raise StartError(f"No release {path} for the pinned digest {pin.digest}. Pin a release that exists there.")
    release = _parse(Release, path)
    for claimed, source in ((release.digest, "says digest"), (package_digest(release.files), "lists files that make")):
        if claimed != pin.digest:
            raise StartError(
                f"{path} {source} {claimed}, but the pin is {pin.digest}. "
                "The record was changed: restore it from git, or pin what you mean to serve."
            )
    return release


def _copy_verified(blob: Path, destination: Path, record: PackageFile) -> None:
    """Copy and hash in one reading, so that what was verified is what is served."""
    size, digest = 0, hashlib.sha256()
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        with blob.open("rb") as source, destination.open("wb") as target:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
                target.write(chunk)
    except FileNotFoundError as error:
        raise StartError(f"{blob}, '{record.path}' of the package, is missing. Restore it from git.") from error
    if (size, digest.hexdigest()) != (record.size, record.sha256):
        raise StartError(
            f"{blob}, '{record.path}' of the package, has {size} bytes and sha256 {digest.hexdigest()}; "
            f"the release says {record.size} bytes and {record.sha256}. Restore the file from git."
        )


def _parse(kind: type[Parsed], path: Path) -> Parsed:
    try:
        return kind.model_validate(yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, ValidationError) as error:
        raise StartError(f"{path} is not what this launcher reads: {error}") from error
