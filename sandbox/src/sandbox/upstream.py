"""Upstream's own manifests, taken from the pinned modules when they are needed; none is kept in git."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.commands import output_of
from sandbox.settings import ROOT

MANIFESTS = ROOT / "sandbox" / "manifests"
DNS = MANIFESTS / "dns" / "configmap.yaml"


@dataclass(frozen=True, slots=True)
class Addon:
    """Our kustomization, and the module folder that it calls upstream/."""

    name: str
    family: str
    module: str
    folder: str
    ours: Path | None = None
    """A Component of this repository, put beside upstream's files."""


STORAGE = Addon("storage", "local-path", "github.com/rancher/local-path-provisioner", "deploy")
NETWORK_POLICY = Addon("network-policy", "netpol", "sigs.k8s.io/kube-network-policies", "install.yaml")
METRICS = Addon("metrics", "metrics-server", "sigs.k8s.io/metrics-server", "manifests")
ARGO_CD = Addon(
    "argocd",
    "argocd",
    "github.com/argoproj/argo-cd/v3",
    "manifests/install.yaml",
    ours=ROOT / "platform" / "addons" / "argocd",
)


@dataclass(frozen=True, slots=True)
class Manifests:
    """Renders manifests from module sources."""

    module_folder: Callable[[str, str], Path]
    """Returns the folder of a module that a family of tools pins."""
    kustomize: tuple[str, ...]
    """The command that builds the folder named after it."""

    def render(self, addon: Addon) -> str:
        """Return an addon's manifests with our patches."""
        module = self.module_folder(addon.family, addon.module)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            shutil.copytree(MANIFESTS / addon.name, work, dirs_exist_ok=True)
            source = module / addon.folder
            if source.is_dir():
                shutil.copytree(source, work / "upstream", copy_function=shutil.copyfile)
            else:
                (work / "upstream").mkdir()
                shutil.copyfile(source, work / "upstream" / source.name)
            if addon.ours:
                shutil.copytree(addon.ours, work / "ours")
            return output_of([*self.kustomize, str(work)])

    def argo_cd_module(self) -> Path:
        """Return the folder of Argo CD's module."""
        return self.module_folder(ARGO_CD.family, ARGO_CD.module)
