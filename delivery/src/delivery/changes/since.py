"""What a work tree changes since a commit."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.problem import Problem

from delivery.changes.difference import Difference, coloured, differences, summary
from delivery.changes.rendered import rendered_environments
from delivery.rendering import Renderer
from delivery.repository import Repository


@dataclass(frozen=True, slots=True)
class Change:
    """A work tree, with the commit that it is compared with."""

    repository: Repository
    base: str
    differences: list[Difference]

    @property
    def differs(self) -> bool:
        """Whether any environment would run anything else."""
        return any(each.names for each in self.differences)

    def report(self) -> Iterator[str]:
        """Return the summary, then every line that differs."""
        yield f"Rendered now, compared with {self.repository.subject(self.base)}"
        yield ""
        yield from summary(self.differences)
        for each in self.differences:
            if each.names:
                yield f"\n{each.environment}"
                yield from each.lines()

    @classmethod
    def since(cls, repository: Repository, base: str, renderer: Renderer) -> "Change":
        """Render the commit and the work tree."""
        with repository.worktree(base) as before:
            rendered = rendered_environments(before.root, renderer)
        return cls(repository, base, differences(rendered, rendered_environments(repository.root, renderer)))


def show(lines: Iterator[str]) -> None:
    """Print lines, in colour where a person looks at them."""
    for line in lines:
        print(coloured(line) if sys.stdout.isatty() else line)


def where_it_left(repository: Repository, reference: str) -> str:
    """Return the commit to compare with: what came to the reference since is no change of this work tree."""
    commit = repository.commit(reference)
    try:
        return repository.git("merge-base", commit, "HEAD")
    except Problem as problem:
        says = f"{reference} and HEAD have no commit in common."
        raise Problem(says, "A shallow clone lacks it: git fetch --unshallow") from problem
