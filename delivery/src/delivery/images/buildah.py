"""buildah with a storage of its own: what it builds lies in the cache, and nowhere else on the machine."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sandbox.cache import digest_of
from sandbox.commands import output_of, stream
from sandbox.problem import Problem

PROGRAMS = ("buildah", "skopeo")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_SECONDS = 900.0
_TIME = "315532800"
"""1980, for every file of every image: with a commit's time, a layer from the cache would differ from a new one."""
_OPTIONS = ("--isolation", "chroot", "--pull-never", "--format", "oci", "--timestamp", _TIME, "--layers")


@dataclass(frozen=True, slots=True)
class Build:
    """One image to build."""

    name: str
    context: Path
    dockerfile: Path
    arguments: Mapping[str, str]
    layers_kept: bool = True
    """False: build every layer anew."""


@dataclass(frozen=True)
class Buildah:
    """Builds, mounts and exports images; all that it keeps lies in a folder."""

    folder: Path

    @cached_property
    def recipe(self) -> str:
        """Return what decides an image beside its inputs: the program, and how it is called.

        buildah takes a layer from its cache also when it was made in another way, so each recipe has its own.
        """
        return digest_of([output_of(["buildah", "--version"]), *_OPTIONS])[:8]

    def require(self) -> None:
        """Raise Problem when the programs are not there."""
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            remedy = f"apt-get install --no-install-recommends {' '.join(missing)}"
            raise Problem(f"Images are built with {' and '.join(PROGRAMS)}; missing: {', '.join(missing)}.", remedy)

    def has(self, name: str) -> bool:
        """Say whether an image of this name is in the storage."""
        return bool(self._run("images", "--quiet", "--filter", f"reference={name}").strip())

    def digest(self, name: str) -> str:
        """Return the digest of an image in the storage."""
        return self._run("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", name).strip()

    def import_archive(self, archive: Path, name: str) -> None:
        """Make an image of one layer, the same whenever and wherever it is made."""
        container = self._run("from", "scratch").strip()
        try:
            self._run("add", "--quiet", container, str(archive), "/")
            self._run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--cmd", "python", container)
            self._run("commit", "--quiet", "--timestamp", _TIME, "--format", "oci", container, name)
        finally:
            self._run("rm", container)

    def build(self, build: Build, on_line: Callable[[str], None]) -> None:
        """Build an image, handing over the lines that say how far it is."""
        options = [*_OPTIONS, *([] if build.layers_kept else ["--no-cache"])]
        # Only while it builds: the network that packages come through may have an authority of its own.
        options += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if Path(_CERTIFICATES).exists() else []
        options += ["--file", str(build.dockerfile), "--tag", build.name]
        build.dockerfile.write_text(with_arguments(build.dockerfile.read_text(), build.arguments))
        stream([*self._command, "build", *options, str(build.context)], env=self._environment, on_line=on_line)

    def export(self, name: str, layout: Path, tag: str) -> str:
        """Write an image into an OCI layout and return its digest.

        Layers stay as they are: one that is there already is neither read nor packed again.
        """
        told = layout.with_name(f".{tag}.digest")
        options = ("--quiet", "--dest-oci-accept-uncompressed-layers", "--digestfile", str(told))
        source = f"containers-storage:[overlay@{self._storage}+{self._storage}-run]{name}"
        output_of(["skopeo", "copy", *options, source, f"oci:{layout}:{tag}"], timeout_s=_SECONDS)
        digest = told.read_text().strip()
        told.unlink()
        return digest

    @contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """Show an image's root file system as a folder, for a while."""
        container = self._run("from", "--pull-never", name).strip()
        try:
            yield Path(self._run("mount", container).strip())
        finally:
            self._run("rm", container)

    def _run(self, *arguments: str) -> str:
        return output_of([*self._command, *arguments], env=self._environment, timeout_s=_SECONDS)

    @property
    def _storage(self) -> Path:
        return self.folder / f"storage-{self.recipe}"

    @property
    def _command(self) -> tuple[str, ...]:
        storage = ("--storage-driver", "overlay", "--root", str(self._storage), "--runroot", f"{self._storage}-run")
        return ("buildah", *storage)

    @property
    def _environment(self) -> Mapping[str, str]:
        # Below it buildah keeps what Dockerfiles mount as a cache: downloaded packages.
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        return {**os.environ, "TMPDIR": str(scratch)}  # noqa: TID251 - programs inherit it


def with_arguments(dockerfile: str, arguments: Mapping[str, str]) -> str:
    """Return a Dockerfile with these values in the places of its build arguments.

    buildah takes a LABEL or ENV that uses an argument from its cache, also when the argument has another value.
    """
    for name, value in arguments.items():
        dockerfile = re.sub(rf"\$(?:{name}\b|{{{name}}})", value, dockerfile)
    return dockerfile
