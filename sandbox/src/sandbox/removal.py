"""Removing folders as root, and never through something that is mounted in them."""

import shutil
from pathlib import Path

from sandbox.problem import Problem


def remove_tree(folder: Path) -> None:
    """Remove a folder; raise Problem when another file system is mounted below it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    below = sorted((point for line in mounts if (point := Path(line.split()[4])).is_relative_to(folder)), reverse=True)
    if below:
        raise Problem(f"{below[0]} is mounted below what is to be removed.", f"umount {below[0]}")
    if folder.exists():
        shutil.rmtree(folder)
