"""Write released digests into dev's release files, on top of whatever main is by then."""

import subprocess
from collections.abc import Iterable, Iterator

from sandbox.problem import Problem

from delivery.changes.gate import TRAILER as EVERYWHERE
from delivery.promotion.release import Release, short
from delivery.push.release_files import released
from delivery.release.images import Pushed
from delivery.release.revisions import TRAILER, revision_of
from delivery.repository import Repository
from delivery.stages import STAGES, release_path

_REMOTE, _MAIN = "origin", "main"
_TRIES = 5


def release(repository: Repository, pushed: Iterable[Pushed]) -> list[str]:
    """Commit one release for each image to main and push; return the subjects of the commits."""
    pushed = list(pushed)
    for _ in range(_TRIES):
        repository.git("fetch", "--quiet", _REMOTE, _MAIN)
        with repository.worktree("FETCH_HEAD") as tree:
            subjects = [subject for each in pushed for subject in _commit(tree, each)]
            if not subjects or _push(tree):
                return subjects
    raise Problem(
        f"{_MAIN} moved {_TRIES} times while it was pushed to, or it takes no push.",
        "Let the workflow's token past the rules of the branch, then run the job again.",
    )


def _commit(tree: Repository, pushed: Pushed) -> Iterator[str]:
    """Commit a release; nothing when dev has it already, or a newer one."""
    first = release_path(STAGES[0], pushed.service)
    text = (tree.root / first).read_text()
    new = released(text, f"fairlead/{pushed.service}", pushed.digest)
    if new == text or _is_older(tree, pushed):
        return
    is_first = not Release.parse(text).has(pushed.service)
    paths = [release_path(stage, pushed.service) for stage in (STAGES if is_first else STAGES[:1])]
    for path in paths:
        before = (tree.root / path).read_text()
        (tree.root / path).write_text(released(before, f"fairlead/{pushed.service}", pushed.digest))
    subject = f"Release {pushed.service} {short(pushed.digest)} to {', '.join(STAGES if is_first else STAGES[:1])}"
    trailers = [f"{TRAILER}: {pushed.revision}"]
    trailers += [f"{EVERYWHERE}: the first release of {pushed.service}"] if is_first else []
    message = "\n".join([subject, "", pushed.reference, "", *trailers])
    tree.git("commit", "--quiet", "--no-verify", "--message", message, "--", *map(str, paths))
    yield subject


def _is_older(tree: Repository, pushed: Pushed) -> bool:
    """Say whether dev got a later commit already, as when an old run is started again."""
    last = revision_of(tree, pushed.service)
    if not last or last == pushed.revision:
        return False
    return tree.git("merge-base", pushed.revision, last) == pushed.revision


def _push(tree: Repository) -> bool:
    command = ["git", "-C", str(tree.root), "push", "--quiet", _REMOTE, f"HEAD:{_MAIN}"]
    return subprocess.run(command, check=False).returncode == 0
