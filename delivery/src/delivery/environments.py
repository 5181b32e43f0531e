"""Environments as git describes them: facts, rendered applications, namespace, and what Argo CD is told."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import yaml

from delivery.declarations import Declaration, declared_services
from delivery.manifests import Manifest
from delivery.rendering import Renderer
from delivery.stages import release_path

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What is so of a cluster, with what it takes from platform/origin."""

    environment: str
    namespace: str
    repository: str
    revision: str
    registry: str
    upstream: str
    proxy: str
    availability: str
    door: str
    host: str
    issuer: str
    issuer_host: str
    jwks: str
    audience: str

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        """Read clusters/<environment>/facts; kustomize would drop the object, for it is never applied."""
        data = yaml.safe_load((folder / "cluster.yaml").read_text())["data"]
        origin = folder.parents[2] / "platform" / "origin" / "patch-origin.yaml"
        known = {**yaml.safe_load(origin.read_text())["data"], **data}
        return cls(**{name: known.get(name, "") for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class App:
    """One service in one environment, rendered."""

    service: Declaration
    facts: Facts
    objects: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, rendered."""

    folder: Path
    facts: Facts
    apps: Mapping[str, App]
    namespaces: tuple[Manifest, ...]
    argocd: tuple[Manifest, ...]
    root: tuple[Manifest, ...]
    addons: tuple[Manifest, ...] = ()
    """What is ours of the addons; upstream's own manifests are rendered on the cluster alone."""

    @property
    def name(self) -> str:
        """The environment's name, which is its folder's."""
        return self.folder.name

    @property
    def objects(self) -> list[Manifest]:
        """Everything that is applied, of all applications."""
        apps = [each for app in self.apps.values() for each in app.objects]
        return [*apps, *self.namespaces, *self.argocd, *self.root, *self.addons]

    def release(self, service: str) -> Path:
        """Return the file that promotion copies."""
        return self.folder.parents[1] / release_path(self.name, service)


def environment_folders(root: Path) -> list[Path]:
    """Return the folders of all environments."""
    return sorted(facts.parents[1] for facts in root.glob("clusters/*/facts/cluster.yaml"))


def render_environment(folder: Path, renderer: Renderer) -> Environment:
    """Render everything of one environment."""
    facts = Facts.read(folder / "facts")
    services = declared_services(folder.parents[1])
    names = sorted(app.parent.name for app in folder.glob("apps/*/kustomization.yaml"))
    addons = sorted(str(each.parent.relative_to(folder)) for each in folder.glob("addons/*/kustomization.yaml"))
    parts = ["namespaces", "argocd", "root", *(f"apps/{name}" for name in names), *addons]
    with ThreadPoolExecutor(_WORKERS) as pool:
        namespaces, argocd, root, *rest = pool.map(lambda part: tuple(renderer.objects(folder / part)), parts)
    rendered, ours = rest[: len(names)], rest[len(names) :]
    apps = {
        name: App(services[name], facts, objects)
        for name, objects in zip(names, rendered, strict=True)
        if name in services
    }
    return Environment(folder, facts, apps, namespaces, argocd, root, tuple(chain.from_iterable(ours)))
