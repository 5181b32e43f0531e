"""Layers of container images: tar archives whose bytes depend on their content alone."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """One file of a layer: where its bytes come from, and its mode."""

    source: Path | str
    mode: int = 0o755

    @property
    def content(self) -> bytes:
        """The bytes; a string is a file's text."""
        return self.source.encode() if isinstance(self.source, str) else self.source.read_bytes()


@dataclass(frozen=True, slots=True)
class Files:
    """A layer of files, links and folders, by absolute path; folders name their owner."""

    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, int] = field(default_factory=dict)

    def inputs(self) -> Iterator[bytes | str]:
        """Return everything that decides the layer's bytes. Files of the cache are named by content already."""
        for path, file in sorted(self.files.items()):
            yield f"{path} {file.mode:o}"
            yield str(file.source)
        for path, target in sorted(self.links.items()):
            yield f"{path} -> {target}"
        for path, owner in sorted(self.folders.items()):
            yield f"{path} {owner}"


@dataclass(frozen=True, slots=True)
class Archive:
    """A layer that exists already: a root file system from the cache."""

    path: Path

    def inputs(self) -> Iterator[bytes | str]:
        """Return the name, which the cache made from the content."""
        yield self.path.name


Layer = Files | Archive


def write(layer: Layer, folder: Path) -> tuple[Path, str]:
    """Return the layer as an archive, written into the folder if it is none yet, and its digest."""
    path = layer.path if isinstance(layer, Archive) else _archive(layer, folder)
    with path.open("rb") as file:
        return path, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _archive(layer: Files, folder: Path) -> Path:
    path = folder / "layer.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, owner in sorted(layer.folders.items()):
            archive.addfile(_entry(name, type=tarfile.DIRTYPE, mode=0o755, uid=owner))
        for name, file in sorted(layer.files.items()):
            content = file.content
            archive.addfile(_entry(name, mode=file.mode, size=len(content)), io.BytesIO(content))
        for name, target in sorted(layer.links.items()):
            archive.addfile(_entry(name, type=tarfile.SYMTYPE, linkname=target))
    return path


def _entry(name: str, **attributes: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.lstrip("/"))
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry
