"""Build pinned Go programs into the cache, each once per content of its tools module."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sandbox.binaries import Binary
from sandbox.cache import Cache
from sandbox.commands import output_of, stream
from sandbox.progress import Step

_FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
_DOWNLOAD_S = 900


@dataclass(frozen=True)
class GoBuilder:
    """The Go toolchain, the folder of tools modules, and the cache that receives programs."""

    tools: Path
    cache: Cache

    def entry(self, binary: Binary) -> Path:
        """Return where the program lies once it is built."""
        return self.cache.path("binaries", binary.name, inputs=self._inputs(binary))

    def build(self, binary: Binary, step: Step) -> Path:
        """Return the program, built now if its inputs are new."""
        return self.cache.make(self.entry(binary), lambda made: self._compile(binary, made, step))

    def module_folder(self, family: str, module: str) -> Path:
        """Return the source folder of a pinned module: code, manifests and charts, verified by go.sum."""
        return self._download(self.tools / family, module)

    def _compile(self, binary: Binary, made: Path, step: Step) -> None:
        compiled = 0

        def count(_line: str) -> None:
            nonlocal compiled
            compiled += 1
            step.detail = f"{compiled} packages"

        flags = [*_FLAGS, *_tags(binary), f"-ldflags={_linker_flags(binary)}"]
        command = ["go", "build", "-v", *flags, "-o", str(made), binary.package]
        stream(command, cwd=self._sources(binary.family), env=self._env, on_line=count)

    def _inputs(self, binary: Binary) -> Iterator[bytes | str]:
        yield self._toolchain
        yield binary.package
        yield _linker_flags(binary)
        yield from (*_FLAGS, *_tags(binary))
        yield from _content(self.tools / binary.family)

    def _sources(self, family: str) -> Path:
        """Return the module to build in: the committed one, or a copy with its dependency patched."""
        folder = self.tools / family
        if not list(folder.glob("*.patch")):
            return folder
        entry = self.cache.path("sources", family, inputs=_content(folder))
        return self.cache.make(entry, lambda made: self._patch(folder, made))

    def _patch(self, folder: Path, made: Path) -> None:
        shutil.copytree(folder, made)
        replaced = json.loads(output_of(["go", "mod", "edit", "-json"], cwd=made, env=self._env))["Replace"]
        module = next(line["Old"]["Path"] for line in replaced if line["New"]["Path"] == "./patched")
        # With the replacement in force Go would look for the copy that is about to be made.
        output_of(["go", "mod", "edit", f"-dropreplace={module}"], cwd=made, env=self._env)
        shutil.copytree(self._download(made, module), made / "patched", copy_function=shutil.copyfile)
        shutil.copyfile(folder / "go.mod", made / "go.mod")
        for patch in sorted(folder.glob("*.patch")):
            output_of(["git", "apply", "--unidiff-zero", str(patch)], cwd=made / "patched", env=_outside_git(made))

    def _download(self, folder: Path, module: str) -> Path:
        listed = output_of(["go", "list", "-mod=readonly", "-m", module], cwd=folder, env=self._env)
        pinned = "@".join(listed.split()[:2])
        download = ["go", "mod", "download", "-json", pinned]
        return Path(json.loads(output_of(download, cwd=folder, env=self._env, timeout_s=_DOWNLOAD_S))["Dir"])

    @cached_property
    def _toolchain(self) -> str:
        return output_of(["go", "version"])

    @cached_property
    def _env(self) -> dict[str, str]:
        # Flags of the person's own environment must not decide what is in a program kept by content.
        environment = dict(os.environ)  # noqa: TID251 - programs inherit it
        return {**environment, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _linker_flags(binary: Binary) -> str:
    return " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in binary.stamps)])


def _tags(binary: Binary) -> list[str]:
    return ["-tags", ",".join(binary.tags)] if binary.tags else []


def _content(folder: Path) -> Iterator[bytes | str]:
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        yield str(file.relative_to(folder))
        yield file.read_bytes()


def _outside_git(folder: Path) -> dict[str, str]:
    # A cache inside somebody's checkout must not turn git apply into a silent no-op.
    return {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.resolve())}  # noqa: TID251
