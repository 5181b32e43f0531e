"""Repositories of upstream's that Applications name, with just those folders, made from the pinned Go modules."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.binaries import ARGO_ROLLOUTS, ISTIO
from sandbox.cache import digest_of
from sandbox.commands import output_of
from sandbox.removal import remove_tree

_EPOCH = "2000-01-01T00:00:00Z"
_FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Mirror:
    """One repository on the git server, below upstream/: the module it is made from, and what of it is served."""

    repository: str
    tag: str
    family: str
    module: str
    folders: tuple[str, ...]


MIRRORS = (
    Mirror("kubernetes-sigs/gateway-api", "v1.6.0", "istio", "sigs.k8s.io/gateway-api", ("config/crd",)),
    Mirror(
        "istio/istio",
        ISTIO,
        "istio",
        "istio.io/istio",
        ("manifests/charts/base", "manifests/charts/istio-cni", "manifests/charts/istio-control/istio-discovery"),
    ),
    Mirror("argoproj/argo-rollouts", ARGO_ROLLOUTS, "rollouts", "github.com/argoproj/argo-rollouts", ("manifests",)),
)


def make_mirrors(folder: Path, module_folder: Callable[[str, str], Path]) -> None:
    """Let a folder hold every mirror as a bare repository; one that is there and whose inputs are the same stays."""
    for mirror in MIRRORS:
        make_mirror(folder / f"{mirror.repository}.git", mirror, module_folder(mirror.family, mirror.module))


def make_mirror(repository: Path, mirror: Mirror, module: Path) -> None:
    """Make one: a single commit that is the same wherever it is made, with upstream's tag."""
    # The folder of a module is named after its version, and Go verified its content.
    inputs = digest_of([_FORMAT, module.name, mirror.tag, *mirror.folders])
    made_from = repository / "made-from"
    if made_from.exists() and made_from.read_text() == inputs:
        return
    repository.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=repository.parent) as scratch:
        made = Path(scratch) / "made.git"
        _git(module, made, "init", "--bare", "--quiet", "--initial-branch=main", str(made))
        _git(module, made, "add", "--force", "--", *mirror.folders)
        tree = _git(module, made, "write-tree")
        said = f"{mirror.module} as {module.name}: {', '.join(mirror.folders)}"
        commit = _git(module, made, "commit-tree", tree, "-m", said)
        _git(module, made, "update-ref", "refs/heads/main", commit)
        _git(module, made, "update-ref", f"refs/tags/{mirror.tag}", commit)
        (made / "made-from").write_text(inputs)
        if repository.exists():
            remove_tree(repository)
        made.rename(repository)


def _git(module: Path, repository: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{what}": "sandbox" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {
        **os.environ,  # noqa: TID251 - git needs its PATH
        **who,
        "GIT_AUTHOR_DATE": _EPOCH,
        "GIT_COMMITTER_DATE": _EPOCH,
        # A person's settings, of line ends for one, would decide what the commit is.
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(repository),
        "GIT_WORK_TREE": str(module),
    }
    if arguments[0] == "init":
        del environment["GIT_DIR"], environment["GIT_WORK_TREE"]
    return output_of(["git", *arguments], cwd=module, env=environment).strip()
