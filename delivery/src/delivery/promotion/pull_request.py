"""The text that reviewers of a promotion or rollback read, and the pull request that holds it."""

import shutil
from collections.abc import Iterator, Sequence

from sandbox.commands import CommandFailed, output_of, succeeds
from sandbox.problem import Problem

from delivery.changes.markdown import fenced
from delivery.promotion.move import Move
from delivery.promotion.release import Release, short
from delivery.release.revisions import commits_between, revision_of
from delivery.repository import Repository

_REMOTE = "origin"
_MAIN = "main"
_SECONDS = 120


def body(repository: Repository, move: Move) -> str:
    """Return the text of the pull request."""
    rendered = list(move.difference.lines())
    count = f"What {move.environment} renders to changes in {len(move.difference.names)} objects:"
    why = ["", "Why:", "", fenced(move.why.splitlines())] if move.why else []
    return "\n".join([*_table(move), *why, *_commits(repository, move), "", count, "", fenced(rendered)])


def can_open(repository: Repository) -> bool:
    """Say whether GitHub's program is here, knows who asks, and has a place to push to."""
    return (
        shutil.which("gh") is not None
        and _REMOTE in repository.git("remote").split()
        and succeeds(["gh", "auth", "status"])
    )


def opened(repository: Repository, move: Move) -> str:
    """Push the branch, open the pull request and return its address."""
    repository.git("push", "--quiet", _REMOTE, f"{move.branch}:{move.branch}")
    command = ["gh", "pr", "create", "--base", _MAIN, "--head", move.branch, "--title", move.title, "--body-file", "-"]
    try:
        return output_of(command, cwd=repository.root, text=body(repository, move), timeout_s=_SECONDS).strip()
    except CommandFailed as failed:
        says = f"{move.branch} is pushed, but the pull request was not opened:\n{failed.output.strip()}"
        raise Problem(says, "Open it on the page of the repository.") from failed


def _table(move: Move) -> Iterator[str]:
    yield f"| {move.environment} | runs now | with this |"
    yield "| --- | --- | --- |"
    for change, before in zip(move.changes, move.before, strict=True):
        old, new = before.digests, Release.parse(change.text).digests
        for name in sorted({*old, *new}):
            yield f"| {name} | {_told(old.get(name))} | {_told(new.get(name))} |"


def _commits(repository: Repository, move: Move) -> Iterator[str]:
    """Return what was committed between the two releases, where git knows what they were built from."""
    for change, before in zip(move.changes, move.before, strict=True):
        name = f"fairlead/{change.service}"
        old, new = (
            revision_of(repository, change.service, digest) if (digest := each.images.get(name)) else ""
            for each in (before, Release.parse(change.text))
        )
        if old and new:
            yield from _listed(f"Comes with {change.service}:", commits_between(repository, change.service, old, new))
            yield from _listed(f"Goes with {change.service}:", commits_between(repository, change.service, new, old))


def _listed(heading: str, lines: Sequence[str]) -> list[str]:
    return ["", heading, "", *(f"- {line}" for line in lines)] if lines else []


def _told(digest: str | None) -> str:
    return f"`{short(digest)}`" if digest else "nothing"
