"""The state folder: who runs a sandbox on this machine, and how far it came."""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.problem import Problem
from sandbox.removal import remove_tree
from sandbox.settings import ROOT


@dataclass(frozen=True, slots=True)
class State:
    """The folder that make cluster fills and make cluster-down removes."""

    folder: Path
    lock: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands of the sandbox out; the lock ends with its holder, so it is never stale."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Problem(
                    f"Another command works on the sandbox: {lock.read().strip() or 'just started'}",
                    "Wait for it, or end it; what it did is kept and continued.",
                ) from None
            lock.truncate(0)
            lock.write(f"pid {os.getpid()} in {ROOT}")
            lock.flush()
            yield

    def claim(self, provider: str) -> None:
        """Make the folder this checkout's; raise Problem when it is another's."""
        self.refuse_strangers()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
        (self.folder / "owner.json").write_text(json.dumps({"checkout": str(ROOT), "provider": provider}))

    def refuse_strangers(self) -> None:
        """Raise Problem when the sandbox belongs to another checkout, unless that checkout is gone."""
        owner = self.owner()
        if owner and owner.checkout != str(ROOT) and Path(owner.checkout).exists():
            raise Problem(
                f"Another sandbox runs on this machine: {owner.provider}, of {owner.checkout}.",
                f"End it first: make -C {owner.checkout} cluster-down",
            )

    def owner(self) -> "Owner | None":
        """Return whose sandbox this is; None when there is none."""
        try:
            told = json.loads((self.folder / "owner.json").read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        return Owner(told["checkout"], told["provider"])

    def initialised_with(self) -> str:
        """Return the digest of what the control plane was initialised with; empty before that."""
        marker = self.folder / "initialised"
        return marker.read_text() if marker.exists() else ""

    def initialised(self, digest: str) -> None:
        """Remember that the control plane was initialised, and with what."""
        (self.folder / "initialised").write_text(digest)

    def remove(self) -> None:
        """Remove the folder."""
        remove_tree(self.folder)


@dataclass(frozen=True, slots=True)
class Owner:
    """The checkout that started the sandbox, and with which provider."""

    checkout: str
    provider: str
