"""Upstream's own manifests, taken from the pinned modules when they are needed; none is kept in git."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.commands import output_of
from sandbox.settings import ROOT

MANIFESTS = ROOT / "sandbox" / "manifests"


@dataclass(frozen=True, slots=True)
class Addon:
    """Our kustomization, and the module folder that it calls upstream/."""

    name: str
    family: str
    module: str
    folder: str


STORAGE = Addon("storage", "local-path", "github.com/rancher/local-path-provisioner", "deploy")
NETWORK_POLICY = Addon("network-policy", "netpol", "sigs.k8s.io/kube-network-policies", "install.yaml")
METRICS = Addon("metrics", "metrics-server", "sigs.k8s.io/metrics-server", "manifests")
ARGO_FAMILY, ARGO_MODULE = "argocd", "github.com/argoproj/argo-cd/v3"


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
            return output_of([*self.kustomize, str(work)])

    def argo_cd(self) -> str:
        """Return Argo CD's install.yaml, byte for byte."""
        return (self.argo_cd_module() / "manifests" / "install.yaml").read_text()

    def argo_cd_module(self) -> Path:
        """Return the folder of Argo CD's module."""
        return self.module_folder(ARGO_FAMILY, ARGO_MODULE)
