"""Go programs such as kustomize, built from their modules once and kept; what lies in module zips, downloaded once."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from delivery.findings import CannotCheck

_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program at one version."""

    package: str
    version: str

    @property
    def name(self) -> str:
        """What its binary is called."""
        last = self.package.rpartition("/")[2]
        return self.package.split("/")[-2] if last.startswith("v") and last[1:].isdecimal() else last


KUSTOMIZE = Program("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1")
KUBECONFORM = Program("github.com/yannh/kubeconform/cmd/kubeconform", "v0.7.0")


class Toolbox:
    """Builds and downloads on demand into a folder of the cache."""

    def __init__(self, cache: Path | None = None) -> None:
        self.folder = (cache or Path.home() / ".cache" / "fairlead") / "delivery"

    def program(self, program: Program) -> Path:
        """Return the binary, built now when this version is new here."""
        kept = self.folder / f"{program.name}-{program.version}"
        with self.locked(kept):
            if not kept.exists():
                scratch = self.folder / f".{kept.name}"
                self._go("install", "-trimpath", f"{program.package}@{program.version}", GOBIN=str(scratch))
                (scratch / program.name).replace(kept)
                shutil.rmtree(scratch)
        return kept

    def module(self, module: str) -> Path:
        """Return the folder of a Go module, as module@version, from Go's own cache."""
        return Path(json.loads(self._go("mod", "download", "-json", module))["Dir"])

    @contextmanager
    def locked(self, entry: Path) -> Iterator[None]:
        """Keep other processes from making the same entry at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with entry.with_name(f".{entry.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _go(self, *arguments: str, **variables: str) -> str:
        if not self._has_go:
            raise CannotCheck("Go is not installed. Programs that checks use, such as kustomize, are built with it.")
        done = subprocess.run(
            ["go", *arguments],
            env={**self._environment, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            raise CannotCheck(f"go {' '.join(arguments)} failed:\n{done.stderr or done.stdout}")
        return done.stdout

    @cached_property
    def _has_go(self) -> bool:
        return shutil.which("go") is not None

    @property
    def _environment(self) -> Mapping[str, str]:
        # A person's own flags must not decide what is kept.
        ours = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
        return {**os.environ, **ours}  # noqa: TID251 - Go reads its proxy and caches from there
