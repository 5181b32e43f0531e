"""From a commit on main to a cluster that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.progress import Progress
from sandbox.registry import Registry
from sandbox.settings import SandboxSettings

from delivery.door.local import LocalDoor
from delivery.environments import Facts
from delivery.images.inputs import Inputs, services_with_images
from delivery.images.library import Library
from delivery.push.argo_cd import ArgoCD
from delivery.push.leftovers import sweep
from delivery.push.received import DEPLOYED
from delivery.push.release_files import write_releases
from delivery.repository import Repository
from delivery.rollouts.told import held
from delivery.stages import LOCAL, application_of, release_path

_ENVIRONMENT = Path("clusters") / LOCAL
_IDENTITY = ("-c", "user.name=sandbox", "-c", "user.email=sandbox@localhost")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a push to the sandbox's git server starts."""

    repository: Repository
    library: Library
    argo_cd: ArgoCD
    progress: Progress
    settings: SandboxSettings

    def run(self, commit: str) -> None:
        """Build what changed, write the releases on top of the commit, tell Argo CD, wait."""
        with self.repository.worktree(commit) as tree:
            facts = Facts.read(tree.root / _ENVIRONMENT / "facts")
            digests = self._images(tree.root, facts.registry)
            # Certificates and tokens are not in git, and pods of the door wait for them.
            LocalDoor.of(facts, self.settings).provide(self.argo_cd.kubectl)
            write_releases(tree.root, LOCAL, digests)
            before = _tip(self.repository)
            deployed = self._commit(tree, commit, digests)
            changed = _changed(self.repository, before, deployed)
            if not self.argo_cd.has_root():
                with self.progress.step("root application, the only one applied by hand"):
                    self.argo_cd.apply(tree.root / _ENVIRONMENT / "root")
        self.progress.say(f"  ok     deploy/local is {deployed[:12]}, on top of {commit[:12]}")
        self.argo_cd.notify(facts.repository, before=before, commit=deployed, changed=changed)
        with self.progress.step("Argo CD") as step:
            self.argo_cd.wait(["root", *map(application_of, digests)], deployed, step, namespace=facts.namespace)
        sweep(self.argo_cd.kubectl, facts.namespace)
        for line in held(self.argo_cd.kubectl, facts.namespace):
            self.progress.say(f"  {line}")
        self.progress.say(f"  deployed {commit[:12]} in {self.progress.total()}")

    def _images(self, folder: Path, registry: str) -> Mapping[str, str]:
        address, _, namespace = registry.partition("/")
        there = Registry(address)
        with self.library.held():
            images = [self.library.image(Inputs.of(folder, name)) for name in services_with_images(folder)]
            for image in images:
                # To have it looked at by skopeo costs a second, for each service whose image is the one before.
                if not there.holds(f"{namespace}/{image.service}", image.digest):
                    self.library.push(image, registry)
        return {image.service: image.digest for image in images}

    def _commit(self, tree: Repository, commit: str, digests: Mapping[str, str]) -> str:
        """Make deploy/local the pushed commit and one more: a push rewrites it, so nobody has to merge it."""
        tree.git("add", "--", *(str(release_path(LOCAL, service)) for service in digests))
        tree.git(*_IDENTITY, "commit", "--quiet", "--allow-empty", "--message", f"Release {commit[:12]} to local")
        deployed = tree.commit("HEAD")
        self.repository.git("update-ref", DEPLOYED, deployed)
        return deployed


def _tip(repository: Repository) -> str:
    return repository.git("for-each-ref", "--format=%(objectname)", DEPLOYED)


def _changed(repository: Repository, before: str, after: str) -> list[str]:
    """Return the files between two deployed commits: Argo CD looks at the applications that they concern."""
    listed = ("diff", "--name-only", before, after) if before else ("ls-tree", "-r", "--name-only", after)
    return repository.git(*listed).splitlines()
