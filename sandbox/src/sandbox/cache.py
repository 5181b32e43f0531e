"""What was downloaded or built, kept by the content it was made from."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox.removal import remove_tree


class Cache:
    """A folder of entries, each named by the digest of everything that decides its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str, name: str, *, inputs: Iterable[bytes | str]) -> Path:
        """Return where the entry with these inputs lies, whether or not it was made yet."""
        return self.folder / kind / f"{name}-{digest_of(inputs)[:16]}"

    def make(self, entry: Path, build: Callable[[Path], None]) -> Path:
        """Return the entry; build makes it in a folder beside it, and it appears whole or not at all."""
        if entry.exists():
            return entry
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _locked(entry.parent, fcntl.LOCK_SH):
            scratch = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
            try:
                made = scratch / "entry"
                build(made)
                _sync(made)
                _place(made, entry)
            finally:
                remove_tree(scratch)
        return entry

    def sweep(self) -> None:
        """Remove what commands that were killed left half made; where another command makes something, nothing."""
        for kind in self.folder.glob("*/"):
            with suppress(BlockingIOError), _locked(kind, fcntl.LOCK_EX | fcntl.LOCK_NB):
                for leftover in kind.glob(".*-*.*"):
                    remove_tree(leftover)


def digest_of(inputs: Iterable[bytes | str]) -> str:
    """Return one SHA-256 over all inputs, each bound to its place and length."""
    digest = hashlib.sha256()
    for part in inputs:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on a folder: shared by those who make entries in it. The kernel ends it with its holder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _place(made: Path, entry: Path) -> None:
    try:
        made.replace(entry)
    except OSError:
        # A folder does not replace another one: somebody else made the same entry meanwhile.
        if not entry.is_dir():
            raise


def _sync(path: Path) -> None:
    # A machine that loses power after the rename must not find an empty file under a finished name.
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
