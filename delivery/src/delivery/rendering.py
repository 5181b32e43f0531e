"""kustomize build, with its errors as findings."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from delivery.findings import CannotCheck
from delivery.manifests import Manifest
from delivery.programs import KUSTOMIZE, Toolbox

_SECONDS = 60


class DoesNotRender(Exception):
    """Kustomize refuses a folder; the message is its own."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """Builds kustomizations as Argo CD does: no plugins, no files from above their root, no network."""

    kustomize: Path

    @classmethod
    def from_toolbox(cls, toolbox: Toolbox) -> "Renderer":
        """Use the pinned kustomize."""
        return cls(toolbox.program(KUSTOMIZE))

    def text(self, folder: Path) -> str:
        """Return the YAML that a folder renders to."""
        try:
            done = subprocess.run(
                [self.kustomize, "build", folder], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CannotCheck(f"kustomize needed more than {_SECONDS} s for {folder}") from error
        if done.returncode:
            raise DoesNotRender(done.stderr.strip().removeprefix("Error: "))
        return done.stdout

    def objects(self, folder: Path) -> list[Manifest]:
        """Return the objects that a folder renders to."""
        return Manifest.parse_all(self.text(folder))

    def composed(self, resources: Sequence[Path], components: Sequence[Path]) -> list[Manifest]:
        """Return what components make of resources, without a kustomization of their own in git."""
        with tempfile.TemporaryDirectory(prefix="fairlead-compose-") as scratch:
            folder = Path(scratch).resolve()
            content = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [os.path.relpath(each.resolve(), folder) for each in resources],
                "components": [os.path.relpath(each.resolve(), folder) for each in components],
            }
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
            return self.objects(folder)
