"""The model package: files by content digest, and the release record that names them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file of a package."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A package as written, and whether it was new."""

    path: Path
    version: int
    digest: str
    new: bool


def write_package(folder: Path, files: Mapping[str, bytes], *, provenance: Mapping[str, object]) -> Release:
    """Write the blobs and, when the digest is new, the next version's release record into models/<model>."""
    manifest = [describe(path, content) for path, content in sorted(files.items())]
    digest = package_digest(manifest)
    for entry in manifest:
        _write_blob(folder / "blobs" / "sha256" / entry.sha256, files[entry.path])
    path = folder / "releases" / f"{digest.removeprefix('sha256:')[:12]}.yaml"
    if path.exists():
        return Release(path, _version(path), digest, new=False)
    version = 1 + max((_version(other) for other in path.parent.glob("*.yaml")), default=0)
    record = {"version": version, "digest": digest, "files": [asdict(entry) for entry in manifest], **provenance}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(record, sort_keys=False, width=120))
    return Release(path, version, digest, new=True)


def describe(path: str, content: bytes) -> PackageFile:
    """Return the manifest entry of a file."""
    return PackageFile(path, len(content), hashlib.sha256(content).hexdigest())


def package_digest(files: list[PackageFile]) -> str:
    """Return the sha256 over the canonical manifest, so that names are bound as well as bytes."""
    manifest = [asdict(entry) for entry in sorted(files, key=lambda entry: entry.path)]
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _write_blob(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def _version(path: Path) -> int:
    try:
        record: dict[str, Any] = yaml.safe_load(path.read_bytes())
        return int(record["version"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is not a release record: restore it from git. ({error!r})") from error
