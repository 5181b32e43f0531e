"""The commits that brought an aborted revision, found and reverted on top of main."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.problem import Problem

from delivery.images.inputs import copied, dockerfile_of
from delivery.proposals.branches import branch_of
from delivery.proposals.pods import is_made_of, pod_template, source_of
from delivery.push.received import DEPLOYED, MAIN
from delivery.rendering import DoesNotRender, Renderer
from delivery.repository import GitFailed, Repository
from delivery.stages import LOCAL

_LOOKED_AT = 30
_IDENTITY = ("-c", "user.name=sandbox", "-c", "user.email=sandbox@localhost")


@dataclass(frozen=True, slots=True)
class Aborted:
    """A rollout that went back: the pods that it wanted, those that serve, and why."""

    service: str
    canary: Mapping[str, Any]
    """The pod template of the revision that git asks for."""
    stable: Mapping[str, Any]
    """That of the revision that serves."""
    why: str


@dataclass(frozen=True, slots=True)
class Reverting:
    """Writes proposals into the sandbox's bare repository; main is only read."""

    repository: Repository
    renderer: Renderer

    def propose(self, aborted: Aborted) -> str:
        """Write the branch, unless it is there, and return its name; raise Problem when there is nothing to revert."""
        main = self.repository.commit(MAIN)
        branch = branch_of(aborted.service, main)
        if self.repository.has_branch(branch):
            return branch
        if not self._renders(self.repository.commit(DEPLOYED), aborted.service, aborted.canary):
            raise Problem(f"What was aborted of {aborted.service} is not what main asks for now.", "")
        good = self._last_good(aborted, main)
        culprits = self._culprits(aborted.service, good, main)
        if not culprits:
            raise Problem(f"Nothing between {good[:12]} and main changes {aborted.service}.", "")
        with self.repository.worktree(main) as tree:
            for culprit in culprits:
                _revert(tree, culprit, aborted)
            if self._source(tree, aborted.service, "HEAD") != self._source(tree, aborted.service, good):
                raise Problem(f"Reverting {_named(culprits)} does not bring {aborted.service} back.", _BY_HAND)
            self.repository.git("branch", branch, tree.commit("HEAD"))
        return branch

    def _last_good(self, aborted: Aborted, main: str) -> str:
        """Return the newest commit of main whose deployment is what serves."""
        deployed = self.repository.git("reflog", "show", "--format=%H", f"-{_LOOKED_AT}", DEPLOYED).split()
        for each in dict.fromkeys(deployed):
            commit = self.repository.commit(f"{each}^")
            if self._is_before(commit, main) and self._renders(each, aborted.service, aborted.stable):
                return commit
        raise Problem(f"None of the last deployments before main is what serves of {aborted.service}.", _BY_HAND)

    def _is_before(self, commit: str, main: str) -> bool:
        return commit != main and self.repository.git("merge-base", "--all", commit, main) == commit

    def _renders(self, deployed: str, service: str, live: Mapping[str, Any]) -> bool:
        with self.repository.worktree(deployed) as tree:
            try:
                objects = self.renderer.objects(tree.root / "clusters" / LOCAL / "apps" / service)
            except DoesNotRender:
                return False
        told = pod_template(objects, service)
        return bool(told) and is_made_of(live, told)

    def _culprits(self, service: str, good: str, main: str) -> list[str]:
        """Return the commits in between that change what decides the pods, newest first."""
        with self.repository.worktree(main) as tree:
            dockerfile = dockerfile_of(service)
            paths = [str(dockerfile), *copied(tree.root / dockerfile), f"services/{service}/deploy"]
            paths += [f"clusters/{LOCAL}", "platform"]
            listed = tree.git("rev-list", "--no-merges", "--topo-order", f"{good}..{main}", "--", *paths).split()
            return [each for each in listed if self._differs(tree, service, each)]

    def _differs(self, tree: Repository, service: str, commit: str) -> bool:
        return self._source(tree, service, commit) != self._source(tree, service, f"{commit}^")

    def _source(self, tree: Repository, service: str, commit: str) -> str:
        """Look at another commit in the same work tree; leave it as it was."""
        before = tree.commit("HEAD")
        tree.git("checkout", "--quiet", "--detach", commit)
        try:
            return source_of(tree, self.renderer, service, LOCAL)
        except DoesNotRender as error:
            return str(error)
        finally:
            tree.git("checkout", "--quiet", "--detach", before)


_BY_HAND = "Look at it by hand: docs/runbooks/aborted-canary.md"


def _revert(tree: Repository, commit: str, aborted: Aborted) -> None:
    subject = tree.git("log", "-1", "--format=%s", commit)
    why = f"The rollout of {aborted.service} was aborted:\n\n{aborted.why}"
    message = f'Revert "{subject}"\n\nThis reverts commit {commit}.\n\n{why}'
    try:
        tree.git(*_IDENTITY, "revert", "--no-commit", commit)
        tree.git(*_IDENTITY, "commit", "--quiet", "--no-verify", "--message", message)
    except GitFailed as failed:
        raise Problem(f"{commit[:12]} cannot be reverted by itself: {failed}", _BY_HAND) from failed


def _named(commits: Sequence[str]) -> str:
    return ", ".join(each[:12] for each in commits)
