"""From a commit on main to a cluster that runs it."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.progress import Progress
from sandbox.registry import Registry

from delivery.environments import Facts
from delivery.images.inputs import Inputs, services_with_images
from delivery.images.library import Library
from delivery.push.argo_cd import ArgoCD
from delivery.push.received import DEPLOYED
from delivery.push.release_files import release_file, write_releases

_ENVIRONMENT = Path("clusters") / "local"
_IDENTITY = ("-c", "user.name=sandbox", "-c", "user.email=sandbox@localhost")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a push to the sandbox's git server starts."""

    repository: Path
    library: Library
    argo_cd: ArgoCD
    progress: Progress

    def run(self, commit: str) -> None:
        """Build what changed, write the releases on top of the commit, tell Argo CD, wait."""
        with self._checkout(commit) as folder:
            facts = Facts.read(folder / _ENVIRONMENT / "facts")
            digests = self._images(folder, facts.registry)
            write_releases(folder / _ENVIRONMENT, digests)
            before = _tip(self.repository)
            deployed = self._commit(folder, commit, digests)
            changed = _changed(self.repository, before, deployed)
            if not self.argo_cd.has_root():
                with self.progress.step("root application, the only one applied by hand"):
                    self.argo_cd.apply(folder / _ENVIRONMENT / "root")
        self.progress.say(f"  ok     deploy/local is {deployed[:12]}, on top of {commit[:12]}")
        self.argo_cd.notify(facts.repository, before=before, commit=deployed, changed=changed)
        with self.progress.step("Argo CD") as step:
            self.argo_cd.wait(["root", *digests], deployed, step, namespace=facts.namespace)
        self.progress.say(f"  deployed {commit[:12]} in {self.progress.total()}")

    def _images(self, folder: Path, registry: str) -> Mapping[str, str]:
        address, _, namespace = registry.partition("/")
        with self.library.held():
            images = [self.library.image(Inputs.of(folder, name)) for name in services_with_images(folder)]
            for image in images:
                # To have it looked at by skopeo costs a second, for each service whose image is the one before.
                if not Registry(address).holds(f"{namespace}/{image.service}", image.digest):
                    self.library.push(image, registry)
        return {image.service: image.digest for image in images}

    @contextmanager
    def _checkout(self, commit: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="fairlead-push-") as scratch:
            folder = Path(scratch) / "checkout"
            _git(self.repository, "worktree", "add", "--quiet", "--detach", str(folder), commit)
            try:
                yield folder
            finally:
                _git(self.repository, "worktree", "remove", "--force", str(folder))

    def _commit(self, folder: Path, commit: str, digests: Mapping[str, str]) -> str:
        """Make deploy/local the pushed commit and one more: a push rewrites it, so nobody has to merge it."""
        files = [str(release_file(_ENVIRONMENT, service)) for service in digests]
        _git(folder, "add", "--", *files)
        _git(folder, *_IDENTITY, "commit", "--quiet", "--allow-empty", "--message", f"Release {commit[:12]} to local")
        deployed = _git(folder, "rev-parse", "HEAD")
        _git(self.repository, "update-ref", DEPLOYED, deployed)
        return deployed


def _tip(repository: Path) -> str:
    return _git(repository, "for-each-ref", "--format=%(objectname)", DEPLOYED)


def _changed(repository: Path, before: str, after: str) -> list[str]:
    """Return the files between two deployed commits: Argo CD looks at the applications that they concern."""
    listed = ("diff", "--name-only", before, after) if before else ("ls-tree", "-r", "--name-only", after)
    return _git(repository, *listed).splitlines()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
