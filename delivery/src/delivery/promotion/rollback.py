"""Rollback: the revert of the change that brought what runs now."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from sandbox.problem import Problem

from delivery.programs import Toolbox
from delivery.promotion.move import ALL, Move, NewRelease, choose, made, require_committed
from delivery.promotion.release import Release, short
from delivery.repository import Repository
from delivery.stages import release_path, require_stage

_REVERTS = "This reverts commit "


@dataclass(frozen=True, slots=True)
class _Past:
    """A commit that changed a release file, seen from main: what ran before and what ran with it."""

    commit: str
    before: str
    after: str
    message: str

    @property
    def went_back(self) -> bool:
        return _REVERTS in self.message


def roll_back(repository: Repository, toolbox: Toolbox, *, service: str, environment: str, why: str = "") -> Move:
    """Commit what ran before the release that runs now to a branch; again, and it goes back further."""
    require_stage(environment)
    if service == ALL:
        raise Problem("One service at a time goes back.", "Name it: SERVICE=gateway")
    choose(repository, environment, service)
    path = release_path(environment, service)
    require_committed(repository, [path])
    now = repository.content("HEAD", path)
    undone = next((each for each in _history(repository, path) if each.after == now and not each.went_back), None)
    if undone is None or not Release.parse(undone.before).has(service):
        says = f"{service} in {environment} has nothing to go back to: no release ran there before this one."
        raise Problem(says, f"See: git log --first-parent -- {path}")
    return made(
        repository,
        toolbox,
        environment=environment,
        branch=f"rollback/{service}-in-{environment}-{undone.commit[:8]}",
        title=f"Roll back {service} in {environment}",
        changes=[NewRelease(service, undone.before, _message(repository, service, environment, undone, why))],
        why=why,
    )


def _history(repository: Repository, path: Path) -> Iterator[_Past]:
    """Return the changes of a file, newest first, each merge as the one change that it was to main."""
    listed = repository.git("log", "--first-parent", "--format=%H", "--", str(path))
    for commit in listed.splitlines():
        has_parent = len(repository.git("rev-list", "--parents", "-1", commit).split()) > 1
        before = repository.content(f"{commit}^1", path) if has_parent else ""
        # A merge says little; what it brought to this file says whether that was a rollback.
        brought = f"{commit}^1..{commit}" if has_parent else commit
        message = repository.git("log", "-1", "--no-merges", "--format=%B", brought, "--", str(path))
        yield _Past(commit, before, repository.content(commit, path), message)


def _message(repository: Repository, service: str, environment: str, undone: _Past, why: str) -> str:
    digests = Release.parse(undone.before).digests
    main = short(digests[f"fairlead/{service}"])
    others = len(repository.git("show", "--first-parent", "--format=", "--name-only", undone.commit).split()) > 1
    whole = f", in {release_path(environment, service)} alone" if others else ""
    comes = "\n".join(f"{name}@{digest}" for name, digest in digests.items())
    subject = f"Roll back {service} in {environment} to {main}"
    # Indented, no line of a stranger's text is a trailer, such as the one that opens the gate.
    because = f"\n\nWhy:\n\n{indent(why, '    ')}" if why else ""
    return f"{subject}\n\n{_REVERTS}{undone.commit}{whole}.{because}\n\nWhat comes back:\n\n{comes}"
