"""A change of release files in one environment: as commits on a branch, and as text for those who review it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.problem import Problem

from delivery.changes.difference import Difference
from delivery.changes.rendered import rendered_objects
from delivery.programs import Toolbox
from delivery.promotion.release import Release
from delivery.rendering import Renderer
from delivery.repository import Repository
from delivery.stages import release_path

ALL = "all"


@dataclass(frozen=True, slots=True)
class NewRelease:
    """One service's new release file, and the commit message that says why."""

    service: str
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be reviewed: commits on a branch, on top of another commit."""

    environment: str
    branch: str
    base: str
    title: str
    changes: Sequence[NewRelease]
    before: Sequence[Release]
    difference: Difference
    why: str = ""
    """What somebody or something else said of it: text of a stranger."""


def made(
    repository: Repository,
    toolbox: Toolbox,
    *,
    environment: str,
    branch: str,
    title: str,
    changes: Sequence[NewRelease],
    why: str = "",
) -> Move:
    """Commit changes, one by one, to a new branch on top of HEAD, without touching the work tree."""
    if repository.has_branch(branch):
        says = f"There is a branch {branch} already: the same was done before."
        raise Problem(says, f"Use it, or remove it and try again: git branch --delete --force {branch}")
    base, renderer = repository.commit("HEAD"), Renderer.from_toolbox(toolbox)
    before = [Release.parse(repository.content(base, release_path(environment, each.service))) for each in changes]
    with repository.worktree(base) as tree:
        folder = tree.root / "clusters" / environment
        rendered = rendered_objects(folder, renderer)
        for change in changes:
            path = release_path(environment, change.service)
            (tree.root / path).write_text(change.text)
            # A person's hooks run programs that this folder does not have, and these bytes were committed before.
            tree.git("commit", "--quiet", "--no-verify", "--message", change.message, "--", str(path))
        difference = Difference(environment, rendered, rendered_objects(folder, renderer))
        repository.git("branch", branch, tree.commit("HEAD"))
    return Move(environment, branch, base, title, changes, before, difference, why)


def require_committed(repository: Repository, paths: Sequence[object]) -> None:
    """Raise Problem when files have changes that git does not know yet."""
    changed = repository.git("status", "--porcelain", "--", *map(str, paths))
    if changed:
        raise Problem(
            f"Release files have changes that are not committed:\n{changed}",
            "What is committed is what moves. Commit them, or throw them away: git restore -- FILE",
        )


def choose(repository: Repository, environment: str, service: str) -> list[str]:
    """Return the services that are meant; raise Problem for one that there is not."""
    folder = repository.root / "clusters" / environment / "apps"
    known = sorted(each.parents[1].name for each in folder.glob("*/release/kustomization.yaml"))
    if service == ALL:
        return known
    if service not in known:
        raise Problem(f"{environment} has no service {service!r}.", f"Choose from: {', '.join(known)}")
    return [service]
