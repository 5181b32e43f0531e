"""A fork of this repository: its own origin, everything released once, and environments small enough for a sandbox."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml
from delivery.door.local import LocalDoor
from delivery.environments import Facts
from delivery.stages import LOCAL, STAGES, release_path
from sandbox.argo_cd import look_at_git
from sandbox.settings import SandboxSettings

from storykit.clone import Clone
from storykit.cluster import SERVICES, Cluster

_ORIGIN = "platform/origin/patch-origin.yaml"
_ENV = "clusters/staging/env/kustomization.yaml"
_FACTS = "clusters/staging/facts/cluster.yaml"
_ADDONS = "addons/kustomization.yaml"


def make_fork(cluster: Cluster, clone: Clone, name: str) -> Clone:
    """Let a clone be a fork that lives on the sandbox's git server, and return it."""
    bare = cluster.git_folder.parent / f"{name}.git"
    shutil.rmtree(bare, ignore_errors=True)
    subprocess.run(["git", "init", "--bare", "--quiet", "--initial-branch=main", str(bare)], check=True)
    fork = Clone(clone.folder, cluster.repository.replace(cluster.git_folder.name, bare.name), clone.base)
    fork.git("fetch", "--quiet", cluster.repository, "deploy/local")
    _own_origin(fork)
    _small(fork)
    _addons_of_the_sandbox(fork)
    _first_release(fork)
    fork.commit("Make it ours: origin, a small staging, the first release")
    return fork


def bring_up(cluster: Cluster, root: Path) -> None:
    """Let Argo CD forget what it is told, and apply the one object that is applied by hand."""
    namespaces = _namespaces(cluster)
    argo_cd = "--namespace=argocd"
    # root first: it would bring back the others. None of them takes along what it deployed.
    cluster.kubectl.run("delete", "application", "root", argo_cd, "--ignore-not-found")
    cluster.kubectl.run("delete", "applicationsets,applications", "--all", argo_cd)
    if namespaces:
        cluster.kubectl.run("delete", "namespace", *namespaces, timeout_s=300)
    LocalDoor.of(Facts.read(root.parent / "facts"), SandboxSettings.read()).provide(cluster.kubectl)
    cluster.kubectl.run("apply", "--server-side", f"--kustomize={root}")


def refresh(cluster: Cluster) -> None:
    """Let Argo CD look at git, as a Git host's webhook would."""
    look_at_git(cluster.kubectl)
    options = ("--all", "--overwrite", "--namespace=argocd")
    cluster.kubectl.run("annotate", "applications", *options, "argocd.argoproj.io/refresh=normal")


def _own_origin(fork: Clone) -> None:
    before = yaml.safe_load((fork.folder / _ORIGIN).read_text())["data"]
    fork.replace(_ORIGIN, before["repository"], fork.remote)
    local = Facts.read(fork.folder / "clusters" / "local" / "facts")
    fork.replace(_ORIGIN, before["registry"], local.registry)
    fork.replace(_ORIGIN, before["upstream"], local.upstream)
    for fact in ("issuer_host", "jwks", "issuer"):
        fork.replace(_ORIGIN, f"{fact}: {before[fact]}\n", f"{fact}: {getattr(local, fact)}\n")
    _own_issuer(fork)


def _own_issuer(fork: Clone) -> None:
    """The sandbox's issuer has an address and no name: staging reaches it as local does."""
    staging, local = (fork.folder / "clusters" / name / "apps" / "gateway" for name in ("staging", "local"))
    patches = sorted(local.glob("patch-issuer-*.yaml"))
    for patch in patches:
        shutil.copy(patch, staging / patch.name)
    listed = "".join(f"  - path: {patch.name}\n" for patch in patches)
    fork.replace("clusters/staging/apps/gateway/kustomization.yaml", "patches:\n", f"patches:\n{listed}")


def _small(fork: Clone) -> None:
    """Two cores bear no two pods of everything: a size of one's own is one line of env."""
    mesh = "  - ../../../platform/components/mesh\n"
    fork.replace(_ENV, mesh, f"{mesh}  - ../../../platform/components/small\n")


def _addons_of_the_sandbox(fork: Clone) -> None:
    """Proxies and nodes are what the sandbox has, whatever environment it plays."""
    clusters = fork.folder / "clusters"
    shutil.copyfile(clusters / "local" / _ADDONS, clusters / "staging" / _ADDONS)
    fork.replace(_FACTS, "  door: ", "  proxy: plain-envoy\n  door: ")


def _first_release(fork: Clone) -> None:
    """Release to all at once what local runs, as the release workflow does with the first images."""
    for service in SERVICES:
        released = fork.git("show", f"FETCH_HEAD:{release_path(LOCAL, service)}")
        for environment in STAGES:
            (fork.folder / release_path(environment, service)).write_text(f"{released}\n")


def _namespaces(cluster: Cluster) -> Sequence[str]:
    names = cluster.kubectl.run("get", "namespaces", "--output=name").split()
    return [name.partition("/")[2] for name in names if "/fairlead-" in name]
