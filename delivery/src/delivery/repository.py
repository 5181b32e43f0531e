"""A git repository, with git's own words in the error when it refuses."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.problem import Problem


class GitFailed(Problem):
    """Git refused, in its own words."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree and its history."""

    root: Path

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed; raise GitFailed when it fails."""
        done = self._run(*arguments)
        if done.returncode:
            raise GitFailed(f"git {' '.join(arguments[:6])} failed: {(done.stderr or done.stdout).strip()}", "")
        return done.stdout.rstrip("\n")

    def commit(self, reference: str) -> str:
        """Return the full name of a commit."""
        done = self._run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{reference}^{{commit}}")
        if done.returncode:
            raise Problem(
                f"There is no commit {reference!r} here.", "Name a branch, tag or commit; a new one: git fetch"
            )
        return done.stdout.strip()

    def content(self, commit: str, path: Path) -> str:
        """Return a file as a commit has it; empty when it has none."""
        done = self._run("show", f"{commit}:{path}")
        return "" if done.returncode else done.stdout

    def has_branch(self, name: str) -> bool:
        """Say whether a local branch exists."""
        return self._run("show-ref", "--verify", "--quiet", f"refs/heads/{name}").returncode == 0

    def subject(self, commit: str) -> str:
        """Return a commit's short name and first line."""
        return self.git("log", "-1", "--format=%h %s", commit)

    @contextmanager
    def worktree(self, commit: str) -> Iterator["Repository"]:
        """Check a commit out into a folder of its own, for a while; commits made there stay."""
        with tempfile.TemporaryDirectory(prefix="fairlead-tree-") as scratch:
            folder = Path(scratch).resolve() / "tree"
            self.git("worktree", "add", "--quiet", "--detach", str(folder), commit)
            try:
                yield Repository(folder)
            finally:
                self.git("worktree", "remove", "--force", str(folder))

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["git", "-C", self.root, *arguments], capture_output=True, text=True, check=False)
