"""What was downloaded or built, kept by the content it was made from."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
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
        scratch = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
        try:
            made = scratch / "entry"
            build(made)
            _sync(made)
            made.replace(entry)
        finally:
            remove_tree(scratch)
        return entry

    def sweep(self) -> None:
        """Remove what commands that were killed left half made."""
        for leftover in self.folder.glob("*/.*-*.*"):
            remove_tree(leftover)


def digest_of(inputs: Iterable[bytes | str]) -> str:
    """Return one SHA-256 over all inputs, each bound to its place and length."""
    digest = hashlib.sha256()
    for part in inputs:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    # A machine that loses power after the rename must not find an empty file under a finished name.
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
