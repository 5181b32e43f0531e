"""A clone to change, commit and push from; the developer's own files are never touched."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.commands import CommandFailed, stream

_IDENTITY = {"user.name": "story", "user.email": "story@localhost"}


@dataclass(frozen=True, slots=True)
class Push:
    """What git push said, and how long it took."""

    commit: str
    accepted: bool
    output: str
    seconds: float

    @property
    def deployed(self) -> bool:
        """Whether the cluster ran the commit when the push ended."""
        return f"deployed {self.commit[:12]} in " in self.output


@dataclass(frozen=True, slots=True)
class Clone:
    """A working copy of the commit that the suite began with."""

    folder: Path
    remote: str
    base: str

    @classmethod
    def of(cls, source: Path, folder: Path, remote: str) -> Self:
        """Clone what is committed at a checkout's HEAD."""
        subprocess.run(["git", "clone", "--quiet", "--shared", str(source), str(folder)], check=True)
        clone = cls(folder, remote, "HEAD")
        for name, value in _IDENTITY.items():
            clone.git("config", name, value)
        return cls(folder, remote, clone.git("rev-parse", "HEAD"))

    def git(self, *arguments: str) -> str:
        """Run git in the clone and return what it prints."""
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def replace(self, path: str, old: str, new: str) -> None:
        """Change one place of a file."""
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times, not once"
        file.write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commit everything that was changed, added or removed."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def revert(self, commit: str) -> str:
        """Take a commit back by another one."""
        self.git("revert", "--no-edit", commit)
        return self.git("rev-parse", "HEAD")

    def reset(self) -> None:
        """Be again what the suite began with."""
        self.git("reset", "--quiet", "--hard", self.base)
        self.git("clean", "--quiet", "--force", "-d")

    def main(self) -> str:
        """Return the commit that is main at the sandbox; empty when there is none yet."""
        return self.git("ls-remote", self.remote, "refs/heads/main").partition("\t")[0]

    def main_is_base(self) -> bool:
        """Say whether main at the sandbox holds the same files as the commit that the suite began with."""
        main = self.main()
        return main == self.base or not self.git("diff", "--name-only", self.base, main)

    def push(self, *, on_line: Callable[[str], None] = lambda _: None) -> Push:
        """Push HEAD to main, as a developer does; hand over each line that is printed, at the end an empty one."""
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line.removeprefix("remote: ").rstrip())
            on_line(lines[-1].strip())

        began, accepted = time.monotonic(), True
        try:
            # Forced, because stories end by pushing what was there before them.
            stream(["git", "push", "--force", self.remote, "HEAD:main"], cwd=self.folder, on_line=keep)
        except CommandFailed:
            accepted = False
        on_line("")
        return Push(self.git("rev-parse", "HEAD"), accepted, "\n".join(lines), time.monotonic() - began)
