"""Which commit a release was built from, as the release commits in git say, and what changed since."""

from sandbox.problem import Problem

from delivery.images.inputs import copied, dockerfile_of, services_with_images
from delivery.repository import Repository
from delivery.stages import STAGES, release_path

TRAILER = "Source-Revision"
_FIRST = STAGES[0]
_SHOWN = 20


def changed_services(repository: Repository) -> list[str]:
    """Return the services whose image's inputs changed since they were last released, or that never were."""
    return [name for name in services_with_images(repository.root) if _has_changed(repository, name)]


def revision_of(repository: Repository, service: str, digest: str = "") -> str:
    """Return the commit that an image was built from; without a digest the newest that was released; empty: unknown."""
    told = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x20)"
    only = ["--reverse", f"-S{digest}"] if digest else []
    listed = repository.git("log", told, *only, "HEAD", "--", str(release_path(_FIRST, service)))
    found = next((line.split()[-1] for line in listed.splitlines() if line.strip()), "")
    try:
        return repository.commit(found) if found else ""
    except Problem:  # a shallow clone, or history that was rewritten
        return ""


def commits_between(repository: Repository, service: str, old: str, new: str) -> list[str]:
    """Return the commits to an image's inputs that one commit has and the other has not, newest first."""
    listed = repository.git("log", "--no-merges", "--format=%h %s", f"{old}..{new}", "--", *inputs(repository, service))
    lines = listed.splitlines()
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def inputs(repository: Repository, service: str) -> list[str]:
    """Return the paths that decide an image."""
    dockerfile = dockerfile_of(service)
    return [str(dockerfile), *copied(repository.root / dockerfile)]


def _has_changed(repository: Repository, service: str) -> bool:
    last = revision_of(repository, service)
    return not last or bool(repository.git("diff", "--name-only", last, "HEAD", "--", *inputs(repository, service)))
