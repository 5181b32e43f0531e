"""The image that services' images start from, where no registry has upstream's: Debian's own Python."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.cache import Cache
from sandbox.debian import Debian
from sandbox.progress import Progress

from delivery.images.buildah import Buildah

UPSTREAM = "docker.io/library/python:3.11-slim-bookworm"
"""What the Dockerfiles name: the same Debian with Python built by Docker's library."""
_PACKAGES = ("ca-certificates", "libpython3.11", "netbase", "python-is-python3", "python3-venv", "tzdata")


@dataclass(frozen=True, slots=True)
class Base:
    """An image in buildah's storage."""

    name: str
    digest: str


def ensure_base(cache: Path, buildah: Buildah, progress: Progress) -> Base:
    """Return the stand-in, made now when it is not there."""
    archive = _archive(cache, progress)
    name = f"localhost/fairlead/{archive.name}:bookworm"
    if not buildah.has(name):
        with progress.step("base image"):
            buildah.import_archive(archive, name)
    return Base(name, buildah.digest(name))


def _archive(cache: Path, progress: Progress) -> Path:
    kept = Cache(cache)
    kept.sweep()
    with progress.step("Debian with Python") as step:
        return Debian(kept).archive("python", _PACKAGES, step)
